package cluster

import (
	"cmp"
	"context"
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
	n.each(a, b, func(c *conn) {
		c.in.breakLocked(syscall.ECONNRESET)
		c.out.breakWriterLocked(syscall.ECONNRESET)
		c.peer.in.breakLocked(syscall.ECONNRESET)
		c.peer.out.breakWriterLocked(syscall.ECONNRESET)
	})
}

// Strand makes everything that a says to b over the connections there are late by d, or what is left of it: as when their packets take a way that
// has stopped, and others' do not.
func (n *Net) Strand(a, b netip.Addr, d time.Duration) {
	n.each(a, b, func(c *conn) { c.out.stuck = time.Now().Add(d) })
}

// Orphan ends every connection from a to b at a alone. What was said before is still on its way.
func (n *Net) Orphan(a, b netip.Addr) {
	n.each(a, b, func(c *conn) {
		if c.out.stopped == nil {
			c.out.sendLocked(segment{err: syscall.ECONNRESET})
		}
		c.in.breakLocked(syscall.ECONNRESET)
		c.out.breakWriterLocked(syscall.ECONNRESET)
	})
}

func (n *Net) each(a, b netip.Addr, f func(*conn)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.mu.hosts[a]; h != nil {
		for _, c := range sortedConns(h.conns) {
			if c.peer.host.addr == b {
				f(c)
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
			c.in.stuck = time.Time{}
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

// deaf is after how long a dial ends by itself. Linux takes two minutes, net.Dialer's users mostly less.
const deaf = 10 * time.Second

func (h *Host) dial(ctx context.Context, address string) (*conn, error) {
	h.gate.wait()
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	for begun := time.Now(); ; {
		c, trip, err := h.tryDial(to)
		if c == nil && err == nil {
			trip = knock // silence
			if time.Since(begun) > deaf {
				err = os.NewSyscallError("connect", syscall.ETIMEDOUT)
			}
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
