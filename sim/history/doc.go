// Package history records what clients of a cluster saw and finds what they must never see.
//
// Owns:        Op, the recorder, the file form (JSON lines), Check with its anomalies, the short trace of an anomaly.
// Never:       talks to a cluster, reads a clock, knows how a fault was made.
// Concurrency: a Recorder is safe for any number of clients; everything else works on a finished History.
// Invariants:  an op's Index is its place in the History; an invoke is recorded before its request leaves and its completion after the
//
//	answer came, so "completion of A stands before invoke of B" means that A happened before B.
//
// Start at:    op.go, check.go; the kinds of anomaly stand in anomaly.go, one smallest history of each in check_test.go.
package history
