package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Serve accepts connections until l is closed, by Drain, Close or its owner. It returns nil then.
func (s *Server) Serve(l net.Listener, how Listener) error {
	if !s.listening(l) {
		return l.Close()
	}
	backoff := minBackoff
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.isStopping() || errors.Is(err, net.ErrClosed) {
				return nil
			}
			// Descriptors ran out, or the client was gone before it was accepted: neither ends the listener.
			s.o.Logger.Warn("accept failed", "listener", how.Name, "err", err)
			if !s.sleep(backoff) {
				return nil
			}
			backoff = min(2*backoff, maxBackoff)
			continue
		}
		backoff = minBackoff
		s.admit(nc, &how)
		if wait := s.rate.take(s.o.Clock.Now()); wait > 0 && !s.sleep(wait) {
			return nil
		}
	}
}

const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

func (s *Server) listening(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.draining {
		return false
	}
	s.mu.listeners[l] = struct{}{}
	return true
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.draining
}

// sleep waits, and reports false when the server stops meanwhile.
func (s *Server) sleep(d time.Duration) bool {
	done := make(chan struct{})
	t := s.o.Clock.AfterFunc(d, func() { close(done) })
	defer t.Stop()
	select {
	case <-done:
		return !s.isStopping()
	case <-s.closed:
		return false
	}
}

// admit starts serving a connection, or closes it at once when there are too many: a client that is told so can try elsewhere, one
// left in the backlog cannot.
func (s *Server) admit(nc net.Conn, l *Listener) {
	ip := addrOf(nc)
	if err := s.reserve(ip); err != nil {
		s.o.Logger.Debug("connection refused", "client", ip, "err", err)
		_ = nc.Close() // the refusal itself
		return
	}
	c := newConn(s, nc, l)
	s.mu.Lock()
	stopped := s.mu.draining
	if !stopped {
		s.mu.conns[c] = struct{}{}
	} else {
		s.freeLocked(ip)
	}
	s.mu.Unlock()
	if stopped {
		_ = nc.Close() // as good as never accepted
		return
	}
	s.stats.Accepted.Add(1)
	s.stats.Open.Add(1)
	go c.run()
}

var errTooMany = errors.New("too many connections")

// reserve counts a connection that is about to be served.
func (s *Server) reserve(ip netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.mu.conns); n >= s.o.Limits.Connections {
		s.stats.RefusedTotal.Add(1)
		return fmt.Errorf("%w: %d in all", errTooMany, n)
	}
	if n := s.mu.perIP[ip]; ip.IsValid() && n >= s.o.Limits.ConnectionsPerIP {
		s.stats.RefusedPerIP.Add(1)
		return fmt.Errorf("%w: %d from this address", errTooMany, n)
	}
	s.mu.perIP[ip]++
	return nil
}

func (s *Server) freeLocked(ip netip.Addr) {
	if s.mu.perIP[ip]--; s.mu.perIP[ip] <= 0 {
		delete(s.mu.perIP, ip)
	}
}

// forget uncounts a closed connection.
func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.mu.conns[c]; !ok {
		return
	}
	delete(s.mu.conns, c)
	s.freeLocked(c.remote)
	s.stats.Open.Add(-1)
	if s.mu.draining && len(s.mu.conns) == 0 && !s.mu.closed {
		close(s.mu.idle)
	}
}

// bucket bounds a rate; a burst of one second's worth passes at once. All accept loops share it.
type bucket struct {
	perSecond float64

	mu struct {
		sync.Mutex
		tokens float64
		at     time.Time
	}
}

// take uses one token, or says how long to wait for it; it is then used already.
func (b *bucket) take(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := now.Sub(b.mu.at); d > 0 {
		b.mu.tokens = min(b.perSecond, b.mu.tokens+d.Seconds()*b.perSecond)
		b.mu.at = now
	}
	b.mu.tokens--
	if b.mu.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.mu.tokens / b.perSecond * float64(time.Second))
}
