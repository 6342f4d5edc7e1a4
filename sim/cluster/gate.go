package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/clock"
)

// gate is where a process waits while it is paused (SIGSTOP): whatever it does with time, disk or network goes through it.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // nil: open
}

func (g *gate) wait() {
	for {
		g.mu.Lock()
		c := g.open
		g.mu.Unlock()
		if c == nil {
			return
		}
		<-c
	}
}

func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open != nil
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(chan struct{})
	}
}

func (g *gate) reopen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != nil {
		close(g.open)
		g.open = nil
	}
}

// wallClock is a machine's clock: the simulation's, some time off, which may jump.
type wallClock struct {
	gate   *gate
	offset *atomic.Int64 // nanoseconds
}

func (c wallClock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// AfterFunc counts time as it passes: a jump of the wall clock does not move timers.
func (c wallClock) AfterFunc(d time.Duration, f func()) clock.Timer {
	return time.AfterFunc(d, func() {
		c.gate.wait()
		f()
	})
}
