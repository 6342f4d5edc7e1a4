// Package group is Kafka's group coordinator for the classic protocol: membership, rebalances, committed offsets.
//
// Owns:        the state of groups, kept in __consumer_offsets in Kafka's record format (docs/format/consumer-offsets.md).
// Never:       reads the wall clock, knows a socket, appends by itself (the coordinator room does).
// Concurrency: the state of a shard is stepped by one goroutine at a time; Service may be called from any.
// Invariants:  G1 an acknowledged offset is not lost and goes back only by an explicit commit of the current generation;
//
//	G2 commits of old generations and unknown members are refused; G3 a partition has at most one owner at a time: assignments
//	are handed out only after they are committed, and only to members of the generation they were made for;
//	G4 what was synced survives a crash, ids of static members too; G6 offsets expire only by the rules of KIP-211.
//
// What must survive changes only by replay of records: offsets, and generations with their members and assignments. What a
// rebalance in progress knows (who joined, who waits, when somebody's session ends) is in memory only, as in Kafka: after a crash
// the members find an older generation, and join again.
//
// Start at:    state.go, group.go, step_join.go, rebalance.go, step_sync.go, then testdata/.
package group
