// Package kafkaref runs Apache Kafka itself in tests: a broker to compare Klamm with, and its command line tools to try on either.
//
// Owns:        the release compared with (Version, pom.xml), one-node brokers on free ports, a Shell that runs many tools in one JVM.
// Never:       touches an installed Kafka: the jars come from Maven into the cache of package toolchain.
// Concurrency: a Broker is one process of its own. A Shell runs one tool at a time, callers wait for each other.
// Start at:    broker.go (Start), shell.go (Shell.Run), tools.go (the tools' names).
package kafkaref
