package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is one client's connection.
type Conn struct {
	s        *Server
	nc       net.Conn
	t        transport
	listener *Listener
	remote   netip.Addr
	opened   time.Time

	// Of the reader goroutine alone.
	in       inbound
	req      Request
	clientID string
	burst    []BurstEnder
	attached any

	trusted  atomic.Bool
	software atomic.Pointer[software]

	// What the sweeper looks at: when bytes last moved, and what the reader waits for.
	lastRead, lastWrite atomic.Int64 // Unix nanoseconds
	reading             atomic.Int32
	grown               atomic.Bool // the reader's stack has grown

	mu struct {
		sync.Mutex
		queue    ring   // replies owed, in order of their requests
		unsent   int    // bytes of completed replies in queue
		owed     int    // replies not completed
		current  *Reply // of the request in Serve: the reader itself sees to it
		writing  bool   // one goroutine has the writer role
		waiting  bool   // the reader waits on changed
		dead     bool
		draining bool
		aborted  bool // nothing more is served
		cause    error
	}
	changed sync.Cond // of mu: replies were completed or written, or the connection died
}

// What the reader waits for.
const (
	readBusy    int32 = iota // nothing: it serves, or it waits for room
	readIdle                 // the first byte of a frame
	readPartial              // the rest of a frame
)

type software struct{ name, version string }

func newConn(s *Server, nc net.Conn, l *Listener) *Conn {
	c := &Conn{s: s, nc: nc, listener: l, opened: s.o.Clock.Now()}
	c.remote = addrOf(nc)
	c.changed.L = &c.mu
	c.trusted.Store(!l.Authenticate)
	now := c.opened.UnixNano()
	c.lastRead.Store(now)
	c.lastWrite.Store(now)
	c.in.hint = startClass
	c.t = newTransport(c, nc)
	return c
}

// addrOf is the peer's IP address, the zero Addr where there is none (a pipe in a test).
func addrOf(nc net.Conn) netip.Addr {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// Listener is the listener that accepted the connection.
func (c *Conn) Listener() *Listener { return c.listener }

// RemoteAddr is the client's address, for logs and for describing group members.
func (c *Conn) RemoteAddr() string {
	if c.remote.IsValid() {
		return c.remote.String()
	}
	return c.nc.RemoteAddr().String()
}

// LocalAddr is the address the client connected to.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// ClientID is what the client called itself in its last request. Only Serve may call it.
func (c *Conn) ClientID() string { return c.clientID }

// SetSoftware notes what the client says it is (KIP-511).
func (c *Conn) SetSoftware(name, version string) { c.software.Store(&software{name, version}) }

// Software is what SetSoftware noted, "" before.
func (c *Conn) Software() (name, version string) {
	if s := c.software.Load(); s != nil {
		return s.name, s.version
	}
	return "", ""
}

// Authenticated lifts the limits of a connection whose listener demands authentication.
func (c *Conn) Authenticated() { c.trusted.Store(true) }

// Attach keeps what the handler knows of this connection from one request to the next. Only Serve may call it.
func (c *Conn) Attach(v any) { c.attached = v }

// Attached is what Attach kept, nil before. Only Serve may call it.
func (c *Conn) Attached() any { return c.attached }

// AtBurstEnd calls b.BurstEnd once, when the requests that arrived together have been served. Only Serve may call it.
func (c *Conn) AtBurstEnd(b BurstEnder) {
	if !slices.Contains(c.burst, b) {
		c.burst = append(c.burst, b)
	}
}

// AwaitEarlier waits until every request before the current one has been answered, and sends those answers. It returns false when the
// connection died or ctx ended. Only Serve may call it.
func (c *Conn) AwaitEarlier(ctx context.Context) bool {
	if !c.behind() {
		return true
	}
	c.endBurst()
	stop := context.AfterFunc(ctx, c.wake)
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.mu.owed > 1 && !c.mu.dead && ctx.Err() == nil {
		c.waitLocked()
	}
	return !c.mu.dead && ctx.Err() == nil
}

// behind reports that replies before the current one are owed or were not sent.
func (c *Conn) behind() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.queue.n > 1
}

func (c *Conn) wake() {
	c.mu.Lock()
	c.changed.Signal()
	c.mu.Unlock()
}

// isDead reports that the connection is closed.
func (c *Conn) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.dead
}

// run is the reader goroutine.
func (c *Conn) run() {
	for {
		err := c.fill()
		lost := err != nil && !errors.Is(err, errDraining)
		if err == nil {
			err = c.serveFrames()
		}
		if err == nil {
			continue
		}
		if errors.Is(err, errSlim) {
			c.grown.Store(false)
			go c.run()
			return
		}
		c.endBurst()
		if !lost {
			// What was asked before still gets its answer.
			c.in.release(c.s.mem)
			c.hurry()
			c.awaitWritten()
		}
		c.close(err)
		c.in.release(c.s.mem)
		return
	}
}

// awaitWritten waits until nothing is owed any more.
func (c *Conn) awaitWritten() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for (c.mu.queue.n > 0 || c.mu.writing) && !c.mu.dead {
		c.waitLocked()
	}
}

// drain makes the reader stop at the end of the frames it has.
func (c *Conn) drain() {
	c.hurry()
	// A deadline that has passed wakes a parked reader; the error says nothing, a closed connection is as good as a woken one.
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
}

// slim lets a reader that has served and has nothing to do start over on a new stack: a handler needs more than waiting does, and a stack
// that has grown does not shrink to its first size again. Of ten thousand idle connections each keeps 2 KiB less.
func (c *Conn) slim(now time.Time) {
	quiet := now.UnixNano()-max(c.lastRead.Load(), c.lastWrite.Load()) > int64(slimAfter)
	if quiet && c.grown.Load() && c.reading.Load() == readIdle {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // as in drain
	}
}

// slimAfter is how long a connection must have been quiet.
const slimAfter = 5 * time.Second

// hurry asks for every open reply, also of requests still to be served.
func (c *Conn) hurry() {
	c.mu.Lock()
	c.mu.draining = true
	owners := c.ownersLocked()
	c.mu.Unlock()
	for _, o := range owners {
		o.Hurry()
	}
}

// ownersLocked lists who is to be hurried.
func (c *Conn) ownersLocked() []Owner {
	var owners []Owner
	for i := range c.mu.queue.n {
		if r := c.mu.queue.at(i); !r.done && r.owner != nil {
			owners = append(owners, r.owner)
		}
	}
	return owners
}

// close ends the connection for cause. Replies that were completed are dropped; those still open are dropped when they complete.
func (c *Conn) close(cause error) {
	c.mu.Lock()
	if c.mu.dead {
		c.mu.Unlock()
		return
	}
	c.mu.dead, c.mu.cause = true, cause
	owners := c.ownersLocked()
	c.changed.Signal()
	c.mu.Unlock()
	// Nothing can be done about an error here; what matters is that reader and writer wake up.
	_ = c.nc.Close()
	c.s.forget(c)
	c.s.mem.wake()
	c.s.note(c, cause)
	for _, o := range owners {
		o.Hurry()
	}
	c.sweepOut()
}

// Causes of closing that are the server's.
var (
	errDraining  = errors.New("server is stopping")
	errIdle      = errors.New("connection was idle for too long")
	errPartial   = errors.New("client stopped in the middle of a request")
	errStalled   = errors.New("client does not take its answers")
	errHandshake = errors.New("client did not authenticate in time")
	errFrame     = errors.New("not a request")
	errSlim      = errors.New("reader starts over with a small stack")
	errAborted   = errors.New("connection was aborted by its handler")
	errStopped   = errors.New("server is closed")
)

// expected reports whether a connection that ends so needs no word in the log.
func expected(cause error) bool {
	return cause == nil || errors.Is(cause, io.EOF) || errors.Is(cause, errDraining) || errors.Is(cause, errIdle) || errors.Is(cause, net.ErrClosed)
}
