// Command bench runs Klamm and Apache Kafka side by side in one session and prints ratios.
//
// Broker processes are pinned to one core and the load to another, runs are interleaved (Klamm, Kafka, Kafka, Klamm, ...), the
// first pair of each row is discarded, and the unit is the broker's own CPU seconds per GB or per request: on a small shared
// machine MB/s mostly measures the client. Raw runs go to bench/results as JSON lines; the table shows the median of paired
// ratios with their spread, and an A/A line (Klamm against itself) says what difference the session could see at all.
//
// Start at:    main.go (flags and rows), row.go (pairing and ratios), load_*.go (the load, run in a child process).
package main
