// Package perf loads a broker and measures: what `klamm bench`, kafka-producer-perf-test and kafka-consumer-perf-test share.
//
// Owns:        the load loops, the latency histogram, the lines Kafka's tools print.
// Never:       parses flags; compares brokers (bench/ at the top does that, with processes pinned and interleaved).
// Concurrency: a run is one goroutine and the client's callbacks; Latencies may be recorded to by many.
// Start at:    produce.go, then latency.go.
package perf
