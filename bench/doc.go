// Command bench runs Klamm and Apache Kafka side by side in one session and prints ratios.
//
// Broker processes are pinned to one core and the load to another, runs are interleaved (Klamm, Kafka, Kafka, Klamm, ...), the
// first pair of each row is discarded, and the unit is the broker's own CPU seconds per GB or per request: on a small shared
// machine MB/s mostly measures the client. Raw runs go to bench/results as JSON lines; the table shows the median of paired
// ratios with their spread, and an A/A line (Klamm against itself) says what difference the session could see at all.
//
// Rows that begin with x3 are for three brokers on each side, on the loopback, with replication factor 3: those beside Kafka in
// rows_cluster.go, and in solo*.go those that Klamm runs alone against a limit of its own (formation, idle, admin work, failover, handover,
// catching up), each on a cluster that has just been formed. The three brokers and their load share all processors.
//
// Start at:    main.go (flags and rows), row.go (pairing and ratios), load_*.go (the load, run in a child process).
package main
