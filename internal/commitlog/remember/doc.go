// Package remember reads and writes the small files by which a data directory knows of its logs from one run to the next.
//
// Owns:        the forms of Kafka's checkpoint files (per directory and of leader epochs) with our checksum, and of the clean state.
// Never:       opens a file; decides what is written when, or what to do about damage.
// Concurrency: pure functions.
// Invariants:  what was not written as it is read gives an error, never a wrong answer.
// Start at:    checkpoint.go, cleanstate.go; docs/format/commitlog.md and clean-state.md draw them.
package remember
