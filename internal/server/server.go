package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/klamm/klamm/internal/clock"
)

// Options are what a server needs.
type Options struct {
	Handler  Handler
	Limits   Limits
	Clock    clock.Clock
	Logger   *slog.Logger
	Observer Observer // may be nil
}

// Listener is how connections of one listener are treated.
type Listener struct {
	// Name is Kafka's listener name, such as PLAINTEXT; brokers advertise an address per name.
	Name string
	// Authenticate says that clients must authenticate before they are trusted with more than a handshake.
	Authenticate bool
}

// Server serves any number of listeners.
type Server struct {
	o         Options
	mem       *memory
	stats     Stats
	now       atomic.Int64 // Unix nanoseconds of the last sweep: a clock that costs nothing
	coldSlots chan struct{}
	replies   sync.Pool
	closed    chan struct{}
	rate      bucket
	swept     []*Conn // the sweeper's scratch

	mu struct {
		sync.Mutex
		conns     map[*Conn]struct{}
		perIP     map[netip.Addr]int
		listeners map[net.Listener]struct{}
		draining  bool
		closed    bool
		sweeper   clock.Timer
		idle      chan struct{} // closed when draining and the last connection is gone
	}
}

// New makes a server. It serves nothing until Serve is called.
func New(o Options) *Server {
	o.Limits = o.Limits.withDefaults()
	s := &Server{o: o, mem: newMemory(o.Limits.QueuedBytes), closed: make(chan struct{})}
	s.coldSlots = make(chan struct{}, o.Limits.ColdReads)
	s.mu.conns, s.mu.perIP, s.mu.listeners = map[*Conn]struct{}{}, map[netip.Addr]int{}, map[net.Listener]struct{}{}
	s.mu.idle = make(chan struct{})
	now := o.Clock.Now()
	s.now.Store(now.UnixNano())
	s.rate.perSecond = float64(o.Limits.ConnectionsPerSecond)
	s.rate.mu.tokens, s.rate.mu.at = s.rate.perSecond, now
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.sweeper = o.Clock.AfterFunc(s.sweepEvery(), s.sweep)
	return s
}

// Stats are the server's counters.
func (s *Server) Stats() *Stats { return &s.stats }

// QueuedBytes is the memory that requests and unsent replies occupy now.
func (s *Server) QueuedBytes() int64 { return s.mem.used.Load() }

// Drain stops accepting and reading, has every open reply answered soon, and returns when the last one was sent and its connection
// closed, or with ctx's error.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	already := s.mu.draining
	s.mu.draining = true
	listeners, conns := s.takeAllLocked()
	if !already && len(s.mu.conns) == 0 {
		close(s.mu.idle)
	}
	s.mu.Unlock()
	err := closeAll(listeners)
	for _, c := range conns {
		c.drain()
	}
	select {
	case <-s.mu.idle:
		return err
	case <-s.closed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends everything at once.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.mu.closed {
		s.mu.Unlock()
		return nil
	}
	s.mu.closed, s.mu.draining = true, true
	listeners, conns := s.takeAllLocked()
	s.mu.sweeper.Stop()
	close(s.closed)
	s.mu.Unlock()
	err := closeAll(listeners)
	for _, c := range conns {
		c.close(errStopped)
	}
	return err
}

func (s *Server) takeAllLocked() (listeners []net.Listener, conns []*Conn) {
	for l := range s.mu.listeners {
		listeners = append(listeners, l)
	}
	clear(s.mu.listeners)
	for c := range s.mu.conns {
		conns = append(conns, c)
	}
	return listeners, conns
}

func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// reply takes a Reply for reuse.
func (s *Server) reply() *Reply {
	if r, ok := s.replies.Get().(*Reply); ok {
		return r
	}
	return &Reply{}
}
