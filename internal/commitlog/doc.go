// Package commitlog keeps partitions on disk, in the files Kafka keeps them in, and says how far they are safe.
//
// Owns:        Dir (one data directory: lock, identity, checkpoints, group commit), Log (one partition: segments, indexes, producer
// state, leader epochs, retention), recovery after a crash.
// Never:       decides who leads, what is committed, or what a client may see; reads the wall clock; retries a failed sync.
// Concurrency: one writer per Log under Log.mu, which is never held while waiting for a sync; readers take an immutable view and a
// counted reference to the file they read, so no deletion or truncation pulls it from under them. Callbacks run without locks.
// Invariants:  start <= durable end <= end. What DurableEnd covers survives a crash of every process and a power cut. Offsets
// strictly increase, and follow each other without gaps until compaction or DeleteRecords. Indexes, snapshots and checkpoints can be
// derived: losing or damaging one costs time, never an answer.
// Start at:    testdata/ (recovery as stories), dir.go and log.go, then append.go, read.go, committer.go, recover.go, clean.go;
// docs/format/commitlog.md draws every file.
//
// # What is assumed of the disk
//
// A write, a new length and a new, renamed or removed name each reach the disk or not, in any order, until the sync that covers them
// returns nil; sectors of 512 bytes are not torn. Therefore a record is durable when its segment has been synced, every segment before
// it too, and the directory entries of both. A rename replaces its target in one step.
//
// A failed sync means that what it covered may be lost although the page cache still shows it, and that a second sync would
// prove nothing. The directory goes offline at once: nothing more is acknowledged from it, and only a restart, which reads back what the
// disk really has, brings it back. A failed read or write (EIO) does the same. A full disk does not: the partial write is cut off,
// the append fails with ErrNoSpace, and the next one tries again. Nor does a process out of descriptors (ErrTooManyFiles).
//
// A crash may leave: a torn or missing tail behind the last durable record, index entries without their records, leftovers of
// interrupted renames and deletions, old checkpoints. Opening scans from the recovery point, which never lies behind undurable data or
// indexes, cuts the log at the first batch that is not whole, and derives the rest.
//
// A crash does not leave: a durable record changed. If one is found changed all the same (a flipped bit below the recovery point), its
// range is marked, reported, and answered with ErrCorrupt, never served.
package commitlog
