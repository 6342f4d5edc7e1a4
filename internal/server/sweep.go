package server

import (
	"errors"
	"time"
)

// The sweeper looks at every connection now and then: timeouts are long, and a timer per connection and read costs more than being up to
// one interval late.

const (
	minSweep = 10 * time.Millisecond
	maxSweep = time.Second
)

// sweepEvery is a fraction of the shortest limit.
func (s *Server) sweepEvery() time.Duration {
	l := &s.o.Limits
	return min(max(min(l.Idle, l.Handshake, l.PartialFrame, l.WriteStall)/8, minSweep), maxSweep)
}

func (s *Server) sweep() {
	now := s.o.Clock.Now()
	s.now.Store(now.UnixNano())
	s.mu.Lock()
	conns := s.swept[:0]
	for c := range s.mu.conns {
		conns = append(conns, c)
	}
	s.swept = conns
	s.mu.Unlock()
	for i, c := range conns {
		conns[i] = nil
		if cause := c.overdue(now); cause != nil {
			c.close(cause)
		} else {
			c.slim(now)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.closed {
		s.mu.sweeper.Reset(s.sweepEvery())
	}
}

// overdue says which limit the connection has passed.
func (c *Conn) overdue(now time.Time) error {
	l := &c.s.o.Limits
	since := func(t int64) time.Duration { return time.Duration(now.UnixNano() - t) }
	c.mu.Lock()
	writing, owed := c.mu.writing, c.mu.queue.n
	c.mu.Unlock()
	read, wrote := c.lastRead.Load(), c.lastWrite.Load()
	reading := c.reading.Load()
	switch {
	case writing && wrote != notStalled && since(wrote) > l.WriteStall:
		return errStalled
	case !c.trusted.Load() && now.Sub(c.opened) > l.Handshake:
		return errHandshake
	case reading == readPartial && since(read) > l.PartialFrame:
		return errPartial
	case reading == readIdle && !writing && owed == 0 && since(max(read, wrote)) > l.Idle:
		return errIdle
	}
	return nil
}

// note counts and logs why a connection ended.
func (s *Server) note(c *Conn, cause error) {
	switch {
	case errors.Is(cause, errIdle):
		s.stats.ClosedIdle.Add(1)
	case errors.Is(cause, errPartial):
		s.stats.ClosedPartial.Add(1)
	case errors.Is(cause, errStalled):
		s.stats.ClosedStalled.Add(1)
	case errors.Is(cause, errHandshake):
		s.stats.ClosedHandshake.Add(1)
	case errors.Is(cause, errFrame):
		s.stats.ClosedMalformed.Add(1)
	}
	if !expected(cause) {
		s.o.Logger.Debug("connection closed", "client", c.RemoteAddr(), "listener", c.listener.Name, "err", cause)
	}
}
