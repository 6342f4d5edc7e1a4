// Package batch is Kafka's record batch, the unit in which records are produced, stored, replicated and fetched.
//
// Owns:        the v2 batch: header, checksum, records, compression, building; what a broker checks before it appends a batch of a
// client (Validate); message sets of the formats v0 and v1, which are only ever converted to v2.
// Never:       opens files, knows partitions or segments, reads the clock, keeps a batch.
// Concurrency: functions may be called from any goroutine; values belong to their caller. Validate and the Set functions write into
// the bytes they are given.
// Invariants:  no input makes it panic, run without end, or use more memory than the limits it was given; a batch that Validate lets
// pass has the checksum, count, offsets, sizes and timestamps that its header says.
// Start at:    header.go (the 61 bytes), record.go, validate.go; docs/format/batch.md draws them.
package batch
