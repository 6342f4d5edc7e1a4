// Package kafkatools is the command line tools of Apache Kafka, spoken when the binary is called by their names: kafka-topics,
// kafka-console-producer, kafka-console-consumer, kafka-consumer-groups, kafka-configs, kafka-get-offsets, kafka-producer-perf-test and
// kafka-consumer-perf-test, each with or without .sh behind it.
//
// Owns:        flags, output and exit codes as scripts know them from Apache Kafka 4.3: what goes to standard output is the same text.
// Never:       adds anything of its own; klamm's commands are for that.
// Concurrency: one tool per process.
// Start at:    tool.go, then options.go (how Kafka's tools read flags), then the file named after a tool; the texts are checked side by
// side with Apache Kafka in test/cli.
package kafkatools
