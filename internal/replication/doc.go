// Package replication decides who may read and write a partition, and how far.
//
// Owns:        Partition: role, leader epoch, ISR, high watermark, waiting requests.
// Never:       opens files or sockets, reads the wall clock, looks at other partitions.
// Concurrency: every exported method may be called from any goroutine. What changes takes Partition.mu; nothing is called while it is held
//
//	but commitlog. Waiters and the ISRProposer are called without it. Reads take no lock of this room.
//
// Invariants:  logStart <= highWatermark <= logEnd; highWatermark and leaderEpoch never go back while leader;
//
//	a record is acknowledged (acks=all) only when every member of the ISR has it as durably as the topic asks.
//
// Start at:    state.go (what a replica knows), step_leader.go, step_follower.go, then testdata/, then partition.go.
package replication
