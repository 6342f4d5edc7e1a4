package clock

import "time"

// Clock tells the time and starts timers.
type Clock interface {
	// Now is the current time. The real clock's value carries a monotonic reading.
	Now() time.Time
	// AfterFunc calls f once, d from now, unless the timer is stopped before. f must not block for long.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a pending call of AfterFunc. *time.Timer is one.
type Timer interface {
	// Stop prevents the call and reports whether it did.
	Stop() bool
	// Reset moves the call to d from now and reports whether it was still pending.
	Reset(d time.Duration) bool
}

// Real is the machine's clock.
func Real() Clock { return realClock{} }

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
