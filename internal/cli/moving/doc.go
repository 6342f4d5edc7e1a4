// Package moving is what goes with replicas on the move in a cluster: throttles, brokers that get no new ones, and how far a move is.
//
// Owns:        Kafka's throttles of moves (KIP-73), cordons (KIP-1066), what is copied.
// Never:       decides what moves where: that is package moves.
// Concurrency: calls to the cluster, one after another.
// Invariants:  what is set here is Kafka's own, so that kafka-reassign-partitions may take over.
// Start at:    throttle.go.
package moving
