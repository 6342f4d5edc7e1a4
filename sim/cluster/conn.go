package cluster

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// segment is what was written at once, or how the stream ends.
type segment struct {
	b   []byte
	err error
	due time.Time
}

// stream is one direction of a connection.
type stream struct {
	net      *Net
	from, to netip.Addr
	queue    []segment
	size     int
	last     time.Time // when the latest segment is due
	broken   error     // what reads give, at once
	stopped  error     // what writes give
	orphan   bool      // its writer has no power any more
	stuck    time.Time // nothing arrives before
	wake     chan struct{}
	room     chan struct{}
}

// window is how much may be on its way.
const window = 4 << 20

func (s *stream) wakeLocked() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) sendLocked(g segment) {
	g.due = time.Now().Add(s.net.delayLocked(s.from, s.to))
	if g.due.Before(s.last) {
		g.due = s.last
	}
	s.last = g.due
	if s.net.heard != nil {
		s.net.heard(s.from, s.to, g)
	}
	s.queue = append(s.queue, g)
	s.size += len(g.b)
	s.wakeLocked()
}

func (s *stream) breakLocked(err error) {
	if s.broken == nil {
		s.broken = err
	}
	s.wakeLocked()
}

func (s *stream) breakWriterLocked(err error) {
	if s.stopped == nil {
		s.stopped = err
	}
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// conn implements net.Conn.
type conn struct {
	host          *Host
	peer          *conn
	local, remote netip.AddrPort
	in, out       *stream
	readBy        deadline
	writeBy       deadline
	closed        bool
}

// deadline is one of a connection's two.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	moved chan struct{}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	d.at = t
	close(d.moved)
	d.moved = make(chan struct{})
	d.mu.Unlock()
}

func (d *deadline) get() (time.Time, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at, d.moved
}

func newPair(a, b *Host, la, lb netip.AddrPort) (*conn, *conn) {
	stream := func(from, to netip.Addr) *stream {
		return &stream{net: a.net, from: from, to: to, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	}
	ab, ba := stream(a.addr, b.addr), stream(b.addr, a.addr)
	x := &conn{host: a, local: la, remote: lb, in: ba, out: ab}
	y := &conn{host: b, local: lb, remote: la, in: ab, out: ba}
	x.peer, y.peer = y, x
	for _, c := range []*conn{x, y} {
		c.readBy.moved, c.writeBy.moved = make(chan struct{}), make(chan struct{})
	}
	return x, y
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		c.host.gate.wait()
		n, wait, err := c.tryRead(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		if err := c.wait(&c.readBy, c.in.wake, wait); err != nil {
			return 0, c.failed("read", err)
		}
	}
}

// tryRead gives what is there, or how long nothing will be.
func (c *conn) tryRead(b []byte) (int, time.Duration, error) {
	n := c.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	s := c.in
	if s.broken != nil {
		return 0, 0, c.failed("read", s.broken)
	}
	if len(s.queue) == 0 || n.linkLocked(s.from, s.to).cut || s.orphan {
		return 0, forever, nil
	}
	g := &s.queue[0]
	if left := max(time.Until(g.due), time.Until(s.stuck)); left > 0 {
		return 0, left, nil
	}
	if g.err != nil {
		s.broken = g.err
		if errors.Is(g.err, io.EOF) {
			return 0, 0, io.EOF
		}
		c.out.breakWriterLocked(g.err)
		return 0, 0, c.failed("read", g.err)
	}
	k := copy(b, g.b)
	g.b = g.b[k:]
	s.size -= k
	if len(g.b) == 0 {
		s.queue[0] = segment{}
		s.queue = s.queue[1:]
	}
	select {
	case s.room <- struct{}{}:
	default:
	}
	return k, 0, nil
}

const forever = time.Duration(1<<63 - 1)

// wait returns when there may be news, or with the deadline's error.
func (c *conn) wait(d *deadline, news <-chan struct{}, most time.Duration) error {
	at, moved := d.get()
	limit := most
	if !at.IsZero() {
		left := time.Until(at)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		limit = min(limit, left)
	}
	var over <-chan time.Time
	if limit != forever {
		t := time.NewTimer(limit)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-news:
	case <-moved:
	case <-over:
	}
	return nil
}

func (c *conn) Write(b []byte) (int, error) {
	for {
		c.host.gate.wait()
		ok, err := c.tryWrite(b)
		switch {
		case err != nil:
			return 0, err
		case ok:
			return len(b), nil
		}
		if err := c.wait(&c.writeBy, c.out.room, forever); err != nil {
			return 0, c.failed("write", err)
		}
	}
}

func (c *conn) tryWrite(b []byte) (bool, error) {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.out.stopped != nil {
		return false, c.failed("write", c.out.stopped)
	}
	if c.out.size > window {
		return false, nil
	}
	c.out.sendLocked(segment{b: append([]byte(nil), b...)})
	if c.peer.closed || !c.peer.host.up && !c.host.net.dark(c.remote.Addr()) {
		// Whoever is there now knows nothing of this connection.
		c.in.orphan = false
		c.in.sendLocked(segment{err: syscall.ECONNRESET})
	}
	return true, nil
}

func (c *conn) Close() error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return c.failed("close", net.ErrClosed)
	}
	c.closeLocked()
	return nil
}

func (c *conn) closeLocked() {
	if c.closed {
		return
	}
	c.closed = true
	end := error(io.EOF)
	if len(c.in.queue) > 0 {
		end = syscall.ECONNRESET // what was not read is refused
	}
	if c.out.stopped == nil {
		c.out.sendLocked(segment{err: end})
	}
	c.in.breakLocked(net.ErrClosed)
	c.out.breakWriterLocked(net.ErrClosed)
	delete(c.host.conns, c)
}

func (c *conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func (c *conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *conn) SetDeadline(t time.Time) error {
	c.readBy.set(t)
	c.writeBy.set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.readBy.set(t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writeBy.set(t)
	return nil
}

func (c *conn) String() string { return fmt.Sprintf("%s-%s", c.local, c.remote) }
