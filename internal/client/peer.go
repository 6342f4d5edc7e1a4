package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/wire"
)

// Peer is another node.
type Peer struct {
	c    *Client
	addr string
	mu   struct {
		sync.Mutex
		conn   *conn
		dial   *dial     // under way
		failed time.Time // when the last dial failed
		why    error
		// closed is why it takes no more calls.
		closed error
	}
}

// dial is an attempt to connect that several callers may wait for.
type dial struct {
	done chan struct{}
	conn *conn
	err  error
}

// Addr is the peer's address.
func (p *Peer) Addr() string { return p.addr }

// Lender is a response whose answer is read into memory that it lends: for large answers that come one after the other.
type Lender interface {
	wire.Response
	// Lend gives memory away, of which the capacity counts; it may be none. A call that fails does not give it back.
	Lend() []byte
	// Return gives back what the answer was read into, perhaps other memory than was lent. Byte fields of the response alias it.
	Return(frame []byte)
}

// Call sends a request and decodes the answer into resp. Byte fields of resp alias memory that is not used again, but by a Lender. Errors wrap
// ErrUnreachable, ErrBroken, ErrClosed, ctx's error, or wire's when the answer cannot be read.
func (p *Peer) Call(ctx context.Context, req wire.Request, version int16, resp wire.Response) error {
	cn, err := p.connected(ctx)
	if err != nil {
		return err
	}
	lender, lends := resp.(Lender)
	var lent []byte
	if lends {
		lent = lender.Lend()
	}
	a, err := cn.roundTrip(ctx, req, version, lent)
	if err != nil {
		return fmt.Errorf("%s to %s: %w", req.APIKey(), p.addr, err)
	}
	if err := resp.Decode(wire.NewDecoder(a.body, p.c.o.Limits), version); err != nil {
		return fmt.Errorf("answer to %s from %s: %w", req.APIKey(), p.addr, err)
	}
	if lends {
		lender.Return(a.frame)
	}
	return nil
}

// Connected reports whether a connection stands right now.
func (p *Peer) Connected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.conn != nil && !p.mu.conn.dead()
}

// connected is the peer's connection, opened if there is none.
func (p *Peer) connected(ctx context.Context) (*conn, error) {
	p.mu.Lock()
	switch {
	case p.mu.closed != nil:
		err := p.mu.closed
		p.mu.Unlock()
		return nil, err
	case p.mu.conn != nil && !p.mu.conn.dead():
		cn := p.mu.conn
		p.mu.Unlock()
		return cn, nil
	case p.mu.dial == nil && p.mu.why != nil && p.c.o.Clock.Now().Sub(p.mu.failed) < p.c.o.Pause:
		err := p.mu.why
		p.mu.Unlock()
		return nil, err
	case p.mu.dial == nil:
		p.mu.dial = &dial{done: make(chan struct{})}
		go p.open(p.mu.dial)
	}
	d := p.mu.dial
	p.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open dials and greets. It does not end with the caller that began it: others may wait for the same connection.
func (p *Peer) open(d *dial) {
	ctx, cancel := context.WithTimeout(context.Background(), p.c.o.DialTimeout)
	defer cancel()
	d.conn, d.err = p.greeted(ctx)
	if d.err != nil {
		d.err = fmt.Errorf("%w: %s: %w", ErrUnreachable, p.addr, d.err)
	}
	p.mu.Lock()
	p.mu.dial = nil
	switch {
	case p.mu.closed != nil && d.conn != nil:
		d.conn.end(p.mu.closed)
		d.conn, d.err = nil, p.mu.closed
	case d.err != nil:
		p.mu.failed, p.mu.why = p.c.o.Clock.Now(), d.err
	default:
		p.mu.conn, p.mu.why = d.conn, nil
	}
	p.mu.Unlock()
	close(d.done)
}

func (p *Peer) greeted(ctx context.Context) (*conn, error) {
	nc, err := p.c.o.Dial(ctx, "tcp", p.addr)
	if err != nil {
		return nil, err
	}
	cn := newConn(nc, p.addr, &p.c.o)
	if p.c.o.Greet == nil {
		return cn, nil
	}
	a, err := cn.roundTrip(ctx, p.c.o.Greet(), 0, nil)
	if err == nil && p.c.o.Greeted != nil {
		err = p.c.o.Greeted(p.addr, a.body)
	}
	if err != nil {
		cn.end(err)
		return nil, err
	}
	return cn, nil
}

// close ends the connection. Calls that have been sent fail with underWay, others with before.
func (p *Peer) close(underWay, before error) {
	p.mu.Lock()
	p.mu.closed = before
	cn := p.mu.conn
	p.mu.conn = nil
	p.mu.Unlock()
	if cn != nil {
		cn.end(underWay)
	}
}

// pending is a request that waits for its answer.
type pending struct {
	id      int32
	key     wire.Key
	version int16
	lent    []byte      // for the answer
	done    chan answer // buffered: a caller that left is not waited for
}

// answer is a frame and the body in it.
type answer struct {
	frame, body []byte
	err         error
}

// conn is one connection: requests are written under mu, answers read by one goroutine.
type conn struct {
	nc   net.Conn
	in   *bufio.Reader // of the reading goroutine: small answers come with one system call
	addr string
	o    *Options
	mu   struct {
		sync.Mutex
		next    int32
		waiting []*pending // in the order they were sent
		cause   error      // set once the connection is of no more use
		buf     []byte
	}
}

// readAhead is enough for the answers that most calls get, and small beside those that bring records, whose rest is read in place.
const readAhead = 4 << 10

func newConn(nc net.Conn, addr string, o *Options) *conn {
	c := &conn{nc: nc, in: bufio.NewReaderSize(nc, readAhead), addr: addr, o: o}
	go c.read()
	return c
}

func (c *conn) dead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.cause != nil
}

// roundTrip sends a request and waits for its answer, which is read into lent where there is room. What was lent is lost when it fails: the
// answer may be on its way into it.
func (c *conn) roundTrip(ctx context.Context, req wire.Request, version int16, lent []byte) (answer, error) {
	p, err := c.send(req, version, lent)
	if err != nil {
		return answer{}, err
	}
	select {
	case a := <-p.done:
		return a, a.err
	case <-ctx.Done():
		// The answer, when it comes, is read and dropped: requests behind it keep their place.
		return answer{}, ctx.Err()
	}
}

// writeLimit is how long a peer may take no byte of a request before it counts as gone.
const writeLimit = 10 * time.Second

func (c *conn) send(req wire.Request, version int16, lent []byte) (*pending, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.cause != nil {
		return nil, c.mu.cause
	}
	c.mu.next++
	p := &pending{id: c.mu.next, key: req.APIKey(), version: version, lent: lent, done: make(chan answer, 1)}
	h := wire.RequestHeader{Key: p.key, Version: version, CorrelationID: p.id, ClientID: &c.o.ID}
	b := append(c.mu.buf[:0], 0, 0, 0, 0)
	b = req.Append(h.Append(b), version)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if cap(b) <= maxKeptBuffer {
		c.mu.buf = b
	}
	c.mu.waiting = append(c.mu.waiting, p)
	err := c.nc.SetWriteDeadline(c.o.Clock.Now().Add(writeLimit))
	if err == nil {
		_, err = c.nc.Write(b)
	}
	if err != nil {
		c.endLocked(fmt.Errorf("%w: %w", ErrBroken, err))
		return nil, c.mu.cause
	}
	return p, nil
}

// maxKeptBuffer is the largest write buffer kept for the next request.
const maxKeptBuffer = 256 << 10

// read takes answers until the connection ends.
func (c *conn) read() {
	for {
		err := c.readOne()
		if err != nil {
			if c.end(fmt.Errorf("%w: %w", ErrBroken, err)) && c.o.Lost != nil {
				c.o.Lost(c.addr)
			}
			return
		}
	}
}

var errOutOfStep = errors.New("answer to a request that was not sent")

func (c *conn) readOne() error {
	size, err := readSize(c.in, c.o.AnswerBytes)
	if err != nil {
		return err
	}
	// The request stays in the list until its answer is here: if the connection ends first, it fails with the others.
	c.mu.Lock()
	if len(c.mu.waiting) == 0 {
		c.mu.Unlock()
		return errOutOfStep
	}
	p := c.mu.waiting[0]
	c.mu.Unlock()
	frame, err := readBody(c.in, size, p.lent)
	if err != nil {
		return err
	}
	c.mu.Lock()
	if len(c.mu.waiting) == 0 || c.mu.waiting[0] != p {
		c.mu.Unlock()
		return errOutOfStep // ended meanwhile
	}
	c.mu.waiting[0] = nil
	c.mu.waiting = c.mu.waiting[1:]
	c.mu.Unlock()
	return p.deliver(frame, c.o.Limits)
}

func (p *pending) deliver(frame []byte, limits wire.Limits) error {
	d := wire.NewDecoder(frame, limits)
	id, err := wire.DecodeResponseHeader(d, p.key, p.version)
	if err == nil && id != p.id {
		err = errOutOfStep
	}
	if err != nil {
		p.done <- answer{err: fmt.Errorf("%w: %w", ErrBroken, err)}
		return err
	}
	p.done <- answer{frame: frame, body: d.Rest()}
	return nil
}

// end closes the connection and fails what waits on it. The first cause stays. It reports whether the connection ends by itself: not by
// being closed here.
func (c *conn) end(cause error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(cause)
	return errors.Is(c.mu.cause, ErrBroken) && !errors.Is(c.mu.cause, errForgotten)
}

func (c *conn) endLocked(cause error) {
	if c.mu.cause != nil {
		return
	}
	c.mu.cause = cause
	_ = c.nc.Close()
	for _, p := range c.mu.waiting {
		p.done <- answer{err: cause}
	}
	c.mu.waiting = nil
}
