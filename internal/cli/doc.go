// Package cli is the command line: klamm's own commands, and Kafka's tools when the binary is called by their names.
//
// Owns:        commands, flags, what they print and the exit codes: 0 done, 1 failed, 2 called wrongly, 3 done in part, 4 timed out.
// Never:       reaches into a node; it knows a cluster as every client does, by Kafka's protocol and public HTTP. The storage commands
// read a data directory whose node is stopped.
// Concurrency: one command per process.
// Start at:    main.go (entry), root.go (global flags), output.go (what answers look like), fault.go (what errors look like);
// kafkatools/ holds the tools called by Kafka's names, connect/ the way to a cluster, reset/ and perf/ what both kinds share.
package cli
