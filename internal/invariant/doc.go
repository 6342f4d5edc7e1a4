// Package invariant states what the program itself guarantees, and stops it when that turns out to be false.
//
// Owns:        Check, the switch for costly checks, and the counters of interesting states that tests want to have seen.
// Never:       judges input: bytes from a socket or a disk get an error, not a panic.
// Concurrency: everything here may be called from any goroutine.
// Start at:    invariant.go.
package invariant
