package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// precisely gives the calling goroutine a thread of its own that wakes when it asked to, until the returned function is called. Go's own
// timers are rounded up to a millisecond while the process is otherwise idle, which is more than what is measured here.
func precisely() (done func()) {
	runtime.LockOSThread()
	// While this thread sleeps in the kernel others must find a processor at once, also where only one is to be had.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 4))
	// Without the finer slack a sleep is 50 microseconds late; that is no reason not to measure.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return runtime.UnlockOSThread
}

// sleepUntil sleeps on the thread, not in the scheduler.
func sleepUntil(at time.Time) {
	for d := time.Until(at); d > 0; d = time.Until(at) {
		ts := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&ts, nil) // a signal ends it early: then again
	}
}
