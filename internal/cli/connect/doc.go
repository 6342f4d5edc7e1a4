// Package connect turns client settings, in the names Java clients have for them, into a connection to a cluster.
//
// Owns:        which property means what to the client library; reading property files; how long a command waits for a broker.
// Never:       prints; reads flags or the environment; knows one command from another.
// Concurrency: values only.
// Start at:    settings.go.
package connect
