// Package controller decides what the cluster's metadata becomes: it turns admin requests and news of brokers into records.
//
// Owns:        the decisions, one file each, as pure functions (image, request) -> (records, reply): topics, partitions,
// configurations, features, registrations, leader election, reassignment, producer ids; and the one event loop that runs them.
// Never:       changes an Image (only replayed records do), does I/O, calls raft: it has a Log.
// Concurrency: methods may be called from any goroutine and wait with their ctx. Decisions run one after another in one goroutine,
// each on the image that all earlier ones lead to, committed or not; answers wait until everything they rest on is committed and
// published on this node.
// Invariants:  records are proposed only if they replay on the image they were decided on; an answer of success means the records
// are durable in the metadata log (M1); after losing the log's leadership nothing undecided is remembered.
// Start at:    controller.go (the loop), create_topics.go (what a decision looks like), elect.go, then testdata/.
package controller
