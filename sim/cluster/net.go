package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Net is the network: hosts, each with one address, and a link for every ordered pair of them. A connection is two ordered streams of bytes,
// as TCP makes it: what a link loses is sent again and arrives late, so a program sees delay, silence and broken connections, and order only
// within one stream.
type Net struct {
	rng *rand.Rand
	// heard, if set, is told of every segment that is sent.
	heard func(from, to netip.Addr, g segment)
	mu    struct {
		sync.Mutex
		hosts map[netip.Addr]*Host
		links map[[2]netip.Addr]*link
		// Delays of a link that nothing is wrong with.
		least, most time.Duration
	}
}

// link is one direction between two hosts.
type link struct {
	cut   bool
	dark  bool          // of the link from a machine to nowhere: it has no power
	slow  time.Duration // added to each segment
	lossy float64       // share of segments that have to be sent again
}

// NewNet is a network whose links take from least to most.
func NewNet(rng *rand.Rand, least, most time.Duration) *Net {
	n := &Net{rng: rng}
	n.mu.hosts, n.mu.links = map[netip.Addr]*Host{}, map[[2]netip.Addr]*link{}
	n.mu.least, n.mu.most = least, most
	return n
}

// Host is a machine's network interface while one process uses it. A process that is gone, and all it holds, has no way back.
type Host struct {
	net  *Net
	addr netip.Addr
	gate *gate
	// Under net.mu.
	up        bool
	nextPort  uint16
	listeners map[uint16]*listener
	conns     map[*conn]struct{}
}

// Boot connects a process at an address; the one before it must be gone.
func (n *Net) Boot(addr netip.Addr, g *gate) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &Host{net: n, addr: addr, gate: g, up: true, nextPort: 20000, listeners: map[uint16]*listener{}, conns: map[*conn]struct{}{}}
	n.mu.hosts[addr] = h
	return h
}

// retransmit is how long TCP waits before it sends again.
const retransmit = 200 * time.Millisecond

// Leave takes a process off the network. Its kernel resets its connections when only the process died; a machine without power says nothing.
func (h *Host) Leave(kernelAlive bool) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	h.up = false
	if n.mu.hosts[h.addr] == h {
		delete(n.mu.hosts, h.addr)
	}
	for _, l := range h.listeners {
		l.closeLocked()
	}
	for _, c := range sortedConns(h.conns) {
		c.in.breakLocked(net.ErrClosed)
		c.out.breakWriterLocked(net.ErrClosed)
		if kernelAlive {
			c.out.sendLocked(segment{err: syscall.ECONNRESET})
		} else {
			c.out.orphan = true
		}
	}
}

// Reset breaks every connection between two hosts, as a firewall does that lost its state.
func (n *Net) Reset(a, b netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.mu.hosts[a]; h != nil {
		for _, c := range sortedConns(h.conns) {
			if c.peer.host.addr == b {
				c.in.breakLocked(syscall.ECONNRESET)
				c.out.breakWriterLocked(syscall.ECONNRESET)
				c.peer.in.breakLocked(syscall.ECONNRESET)
				c.peer.out.breakWriterLocked(syscall.ECONNRESET)
			}
		}
	}
}

// linkLocked is the link from a to b.
func (n *Net) linkLocked(a, b netip.Addr) *link {
	l := n.mu.links[[2]netip.Addr{a, b}]
	if l == nil {
		l = &link{}
		n.mu.links[[2]netip.Addr{a, b}] = l
	}
	return l
}

// Cut stops everything from a to b, or lets it through again.
func (n *Net) Cut(a, b netip.Addr, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(a, b).cut = cut
	n.wakeLocked(a, b)
}

// Disturb makes a link slow and lossy.
func (n *Net) Disturb(a, b netip.Addr, slow time.Duration, lossy float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.linkLocked(a, b)
	l.slow, l.lossy = slow, lossy
}

// Heal makes every link whole.
func (n *Net) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.mu.links {
		*l = link{dark: l.dark}
	}
	for _, addr := range slices.SortedFunc(maps.Keys(n.mu.hosts), netip.Addr.Compare) {
		for _, c := range sortedConns(n.mu.hosts[addr].conns) {
			c.in.wakeLocked()
		}
	}
}

// sortedConns gives connections in an order that does not depend on where they lie in memory.
func sortedConns(set map[*conn]struct{}) []*conn {
	return slices.SortedFunc(maps.Keys(set), func(a, b *conn) int {
		return cmp.Or(a.local.Compare(b.local), a.remote.Compare(b.remote))
	})
}

// wakeLocked makes those look again who wait for something from a at b.
func (n *Net) wakeLocked(a, b netip.Addr) {
	if h := n.mu.hosts[b]; h != nil {
		for _, c := range sortedConns(h.conns) {
			if c.peer.host.addr == a {
				c.in.wakeLocked()
			}
		}
	}
}

// delayLocked is how long the next segment from a to b takes.
func (n *Net) delayLocked(a, b netip.Addr) time.Duration {
	d := n.mu.least + time.Duration(n.rng.Int64N(int64(n.mu.most-n.mu.least)+1))
	l := n.linkLocked(a, b)
	for again := retransmit; n.rng.Float64() < l.lossy && again < 10*time.Second; again *= 2 {
		d += again
	}
	return d + l.slow
}

// Listen implements node.Network.
func (h *Host) Listen(_, address string) (net.Listener, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: err}
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	port := ap.Port()
	if port == 0 {
		port = h.portLocked()
	}
	if !h.up || ap.Addr() != h.addr || h.listeners[port] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &listener{host: h, at: netip.AddrPortFrom(h.addr, port), queue: make(chan *conn, 1024), closed: make(chan struct{})}
	h.listeners[port] = l
	return l, nil
}

func (h *Host) portLocked() uint16 {
	h.nextPort++
	return h.nextPort
}

// DialContext implements node.Network.
func (h *Host) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	c, err := h.dial(ctx, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	return c, nil
}

// knock is between two attempts of a dial whose packets get no answer.
const knock = 250 * time.Millisecond

func (h *Host) dial(ctx context.Context, address string) (*conn, error) {
	h.gate.wait()
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	for {
		c, trip, err := h.tryDial(to)
		if c == nil && err == nil {
			trip = knock // silence
		}
		t := time.NewTimer(trip)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			if c != nil {
				_ = c.Close()
			}
			return nil, ctx.Err()
		}
		h.gate.wait()
		if c != nil || err != nil {
			return c, err
		}
	}
}

// tryDial gives a connection, an error, or neither when nothing comes back.
func (h *Host) tryDial(to netip.AddrPort) (*conn, time.Duration, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if !h.up {
		return nil, 0, net.ErrClosed
	}
	peer := n.mu.hosts[to.Addr()]
	if n.linkLocked(h.addr, to.Addr()).cut || n.linkLocked(to.Addr(), h.addr).cut {
		return nil, 0, nil
	}
	trip := n.delayLocked(h.addr, to.Addr()) + n.delayLocked(to.Addr(), h.addr)
	if peer == nil {
		if n.dark(to.Addr()) {
			return nil, 0, nil
		}
		return nil, trip, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	l := peer.listeners[to.Port()]
	if l == nil {
		return nil, trip, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	a, b := newPair(h, peer, netip.AddrPortFrom(h.addr, h.portLocked()), to)
	select {
	case l.queue <- b:
	default:
		return nil, 0, nil // the backlog is full
	}
	h.conns[a], peer.conns[b] = struct{}{}, struct{}{}
	return a, trip, nil
}

// Dark says that a machine has no power: nobody answers for it.
func (n *Net) Dark(addr netip.Addr, dark bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(addr, netip.Addr{}).dark = dark
}

func (n *Net) dark(addr netip.Addr) bool { return n.linkLocked(addr, netip.Addr{}).dark }

// listener implements net.Listener.
type listener struct {
	host   *Host
	at     netip.AddrPort
	queue  chan *conn
	closed chan struct{}
	done   bool // under net.mu
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		l.host.gate.wait()
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: net.ErrClosed}
	}
}

func (l *listener) Close() error {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	l.closeLocked()
	return nil
}

func (l *listener) closeLocked() {
	if l.done {
		return
	}
	l.done = true
	close(l.closed)
	delete(l.host.listeners, l.at.Port())
	for {
		select {
		case c := <-l.queue: // never accepted
			c.closeLocked()
		default:
			return
		}
	}
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

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
	if left := time.Until(g.due); left > 0 {
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
