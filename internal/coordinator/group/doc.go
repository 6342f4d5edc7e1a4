// Package group is Kafka's group coordinator for the classic protocol: membership, rebalances, committed offsets.
//
// Owns:        the state of groups, kept in __consumer_offsets in Kafka's record format.
// Never:       reads the wall clock, knows a socket, appends by itself (the coordinator room does).
// Concurrency: the state of a shard is stepped by one goroutine at a time; Service may be called from any.
// Invariants:  G1 an acknowledged offset is not lost and goes back only by an explicit commit of the current generation;
//
//	G2 commits of old generations and unknown members are refused; G3 a partition has at most one owner at a time;
//	G4 what was synced survives a crash; G6 offsets expire only by the rules of KIP-211.
//
// Start at:    shard.go (the state), step_join.go, step_sync.go, then testdata/.
package group
