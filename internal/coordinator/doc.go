// Package coordinator runs state machines whose state is a partition of an internal topic: groups today, transactions later.
//
// Owns:        Shard: the queue of one partition, loading it, appending to it, holding replies back until they may be given.
// Never:       knows what a record means (the Machine does), opens files, reads the wall clock.
// Concurrency: a shard's work runs on one goroutine at a time, started when there is some and gone when there is none, so that
//
//	idle shards cost nothing. A Machine needs no lock. Exported methods may be called from any goroutine.
//
// Invariants:  a step decides without changing what the log holds; its records are appended; only then they are replayed into the
//
//	Machine, so a failed append leaves nothing to undo. A reply is given when all records it rests on are committed.
//	A stopped shard answers NOT_COORDINATOR to everything, also to what was parked.
//
// Start at:    machine.go (what a shard runs), shard.go (the loop), append.go, load.go.
package coordinator
