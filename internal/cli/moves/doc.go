// Package moves plans where replicas should be: by hand, evenly, or away from a broker.
//
// Owns:        Plan and how it is made, Kafka's reassignment JSON.
// Never:       talks to a cluster.
// Concurrency: pure functions.
// Invariants:  a plan names only partitions it changes; no plan takes a partition's last replica or puts two on one broker; the same
// input gives the same plan.
// Start at:    plan.go.
package moves
