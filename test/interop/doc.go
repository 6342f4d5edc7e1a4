// Package interop shows that real Kafka clients and Apache Kafka's own tools work on Klamm, and writes docs/compatibility.md from what ran.
//
// Owns:        the cases that each client goes through (cases.go), their programs (java, python, node, goclients, spark), the comparison of one
// Java program's transcripts on Kafka and on Klamm (semantics), the tests of Kafka's tools; clients that work on while brokers are stopped and
// killed (ride, streams, spark, Kafka's verifiable ones).
// Never:       looks inside the broker: it knows an address and, for dump-log, the files in the data directory.
// Concurrency: clients run beside each other on one cluster, each with a prefix of its own for topics and groups.
// Start at:    cases.go, interop_test.go, target_test.go (what they run on). KLAMM_TEST_TARGET=kafka runs everything against Apache Kafka, where it must pass too.
package interop
