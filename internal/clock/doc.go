// Package clock is where time enters the engines: the wall clock in production, a hand-driven one in tests.
//
// Owns:        Clock, Timer, the real clock and the manual one.
// Never:       looks at real time behind a Clock's back: a caller that waits (Sleep) waits for a timer of that clock.
// Concurrency: safe for concurrent use; timers run on their own goroutine (Real) or on that of Advance's caller (Manual).
// Invariants:  a manual clock never goes back and runs due functions in the order of their due times.
// Start at:    clock.go.
package clock
