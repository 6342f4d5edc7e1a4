// Package fetcher copies what leaders have: one loop per leader broker fetches for all partitions this node follows there.
//
// Owns:        Fetcher and its loops: fetch sessions with other brokers, back-off, the step from an answer to the partitions.
// Never:       decides what to truncate or append (replication does), opens connections (client does), reads the metadata.
// Concurrency: two goroutines per leader that has followers here, one that fetches and one that reports; Follow and Forget may be called from
// anywhere and never block.
// Invariants:  one fetch per leader is under way; what a fetch or a report claims to be synced is what replication says is safe here, so a
// leader never counts on more; a partition is fetched by one loop at most.
// Start at:    fetcher.go, then loop.go, session.go, reports.go.
package fetcher
