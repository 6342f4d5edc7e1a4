// Package toolchain brings other languages' Kafka clients to the tests: jars from Maven, a Python environment from pip, modules from npm.
//
// Owns:        the cache folder outside the repository (~/.cache/klamm); one folder per manifest, named by its hash: changed means fetched anew.
// Never:       commits what it fetched or names a registry: each fetch is made by the ordinary client of its language, by package name.
// Concurrency: processes that want the same folder wait for each other on a file lock.
// Start at:    cache.go (Folder), then maven.go, python.go, node.go.
package toolchain
