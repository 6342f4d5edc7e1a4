// Package config knows every configuration key: what it is called, what it may hold, what it is by default, and where a value came from.
//
// Owns:        the one table of broker, topic and group keys, from which files are read, requests are checked, DescribeConfigs answers
// and docs/configuration.md is written; the parsers of server.properties, YAML and the environment; the resolution of a value
// through its layers (dynamic of this broker, dynamic of all brokers, static, default; a topic's own before all of them).
// Never:       keeps dynamic values (they live in the metadata image), decides what an engine does with a value, logs.
// Concurrency: everything returned is immutable; a Resolver may be shared.
// Invariants:  a *Static has been validated, so its typed getters cannot fail; a key that would change who may connect is refused, never ignored.
// Start at:    key.go (what a key is), table.go (finding one), load.go (files and environment), resolve.go (layers).
package config
