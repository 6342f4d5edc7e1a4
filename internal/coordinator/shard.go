package coordinator

import (
	"log/slog"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
)

// Options is what a shard needs.
type Options[M Machine] struct {
	Log   Log
	Epoch model.LeaderEpoch
	// New makes an empty machine, for each load.
	New    func() M
	Clock  clock.Clock
	Logger *slog.Logger
	// BatchBytes is the largest batch to build of several steps; a single step may exceed it.
	BatchBytes func() int
	// Loads bounds how many shards load at the same time: a load holds one place in it.
	Loads chan struct{}
}

// Shard runs one machine on one partition, under one leader epoch.
type Shard[M Machine] struct {
	o     Options[M]
	stop  chan struct{} // closed by Stop
	ended chan struct{} // closed when the last goroutine is through with a stopped shard

	mu struct {
		sync.Mutex
		queue   []Event[M]
		running bool // a goroutine works on the shard
		due     bool // the timer rang
		broken  bool // a commit failed: load again
		stopped bool
		flights []*flight     // appended, not yet released, oldest first
		ready   chan struct{} // closed while the shard serves, and when it is over
	}

	// The fields below belong to the running goroutine.
	phase   phase
	machine M
	end     model.Offset // log end after the last replayed record
	builder *batch.Builder
	bundle  bundle
	timer   clock.Timer
	armed   time.Time // when timer rings; zero when it does not
}

// phase is where a shard stands.
type phase int

const (
	loading  phase = iota // the log is not replayed yet
	settling              // it is, but its end is not committed yet
	serving
	over
)

// retryLoad is how long a failed load waits before the next try; settleCheck how often the high watermark is looked at before serving.
const (
	retryLoad   = 500 * time.Millisecond
	settleCheck = 5 * time.Millisecond
)

// Start makes a shard, which begins to load. Stop ends it.
func Start[M Machine](o Options[M]) *Shard[M] {
	s := &Shard[M]{o: o, stop: make(chan struct{}), ended: make(chan struct{}), builder: batch.NewBuilder(batch.PlainBatch())}
	s.mu.ready = make(chan struct{})
	s.mu.running = true
	go s.run()
	return s
}

// Epoch is the leader epoch that the shard works in.
func (s *Shard[M]) Epoch() model.LeaderEpoch { return s.o.Epoch }

// Ready is closed when events are served at once, or refused for good.
func (s *Shard[M]) Ready() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.ready
}

// Submit queues an event. It will be stepped or refused, and never both.
func (s *Shard[M]) Submit(e Event[M]) {
	s.mu.Lock()
	if s.mu.stopped {
		s.mu.Unlock()
		e.Refuse(model.NotCoordinator)
		return
	}
	s.mu.queue = append(s.mu.queue, e)
	s.wakeLocked()
	s.mu.Unlock()
}

// Stop ends the shard: everything queued and parked is answered NOT_COORDINATOR. It returns at once; Ended tells when that is done.
func (s *Shard[M]) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.stopped {
		s.mu.stopped = true
		close(s.stop)
		s.wakeLocked()
	}
}

// Ended is closed when a stopped shard has nothing left to do.
func (s *Shard[M]) Ended() <-chan struct{} { return s.ended }

func (s *Shard[M]) wakeLocked() {
	if !s.mu.running {
		s.mu.running = true
		go s.run()
	}
}

// run works until there is nothing to do. Only one runs at a time.
func (s *Shard[M]) run() {
	var spare []Event[M]
	for {
		s.mu.Lock()
		events, due, stopped := s.mu.queue, s.mu.due, s.mu.stopped
		if s.mu.broken && !stopped {
			s.mu.broken = false
			s.mu.Unlock()
			s.unload()
			continue
		}
		if s.phase != serving && !stopped {
			s.mu.due = false
			s.mu.Unlock()
			if s.load() {
				continue
			}
			if !s.rest() {
				continue
			}
			return
		}
		if len(events) == 0 && !due && !stopped {
			s.mu.running = false
			s.mu.Unlock()
			return
		}
		s.mu.queue, s.mu.due = spare[:0], false
		s.mu.Unlock()
		if stopped {
			s.finish(events)
			return
		}
		s.serve(events)
		clear(events)
		spare = events
	}
}

// rest ends the goroutine of a shard that is not serving yet, until the timer or Stop wakes it. Events stay queued.
func (s *Shard[M]) rest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.due || s.mu.stopped {
		return false
	}
	s.mu.running = false
	return true
}

// serve steps events, then whatever is due.
func (s *Shard[M]) serve(events []Event[M]) {
	now := s.o.Clock.Now()
	for _, e := range events {
		if !e.Independent() {
			s.flush(now)
		}
		s.take(e.Step(s.machine, now), now)
		if !e.Independent() {
			s.flush(now)
		}
	}
	s.flush(now)
	for {
		at, ok := s.machine.Next()
		if !ok {
			return
		}
		if at.After(now) {
			s.arm(at, now)
			return
		}
		s.take(s.machine.Tick(now), now)
		s.flush(now)
	}
}

// arm makes the timer ring at the given time or before. A timer that rings early only looks again.
func (s *Shard[M]) arm(at, now time.Time) {
	if !s.armed.IsZero() && s.armed.After(now) && !s.armed.After(at) {
		return
	}
	s.armed = at
	if s.timer == nil {
		s.timer = s.o.Clock.AfterFunc(at.Sub(now), s.ring)
		return
	}
	s.timer.Reset(at.Sub(now))
}

func (s *Shard[M]) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.due = true
	s.wakeLocked()
}

// finish refuses everything. The goroutine that runs it is the shard's last.
func (s *Shard[M]) finish(events []Event[M]) {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.drop(model.NotCoordinator)
	for _, e := range events {
		e.Refuse(model.NotCoordinator)
	}
	if s.phase != serving {
		s.mu.Lock()
		close(s.mu.ready)
		s.mu.Unlock()
	}
	s.phase = over
	close(s.ended)
}
