// Package cli runs the built binary as a user does: the README's tour, klamm's own commands, and Kafka's tools by their names against golden
// scripts in testdata. The tools' texts in them were compared with those of Apache Kafka 4.3.1 on a broker of its own; rewrite them with
//
//	go test ./test/cli -update
//
// and read the difference.
package cli
