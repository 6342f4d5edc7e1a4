package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/wire"
)

// Errors of this room; what the network said is wrapped.
var (
	// ErrUnreachable: the peer does not take a connection, or did not a moment ago.
	ErrUnreachable = errors.New("node cannot be reached")
	// ErrBroken: the connection ended before the answer came. The request may or may not have been carried out.
	ErrBroken = errors.New("connection to node broke")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("client is closed")

	errForgotten = errors.New("it was given up")
)

// Options is what node plugs in.
type Options struct {
	// Dial opens a connection: net.Dialer's DialContext outside of tests.
	Dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	Clock clock.Clock
	// ID is what this node calls itself in request headers.
	ID string
	// Greet makes the first request of every connection, and Greeted judges its answer: an error closes the connection. Both may be nil.
	Greet   func() wire.Request
	Greeted func(addr string, answer []byte) error
	// Lost is called when an open connection ended without Close or Forget having asked for it. It must not block. May be nil.
	Lost func(addr string)
	// Limits are for decoding answers; the zero value stands for wire.TrustedLimits.
	Limits wire.Limits

	DialTimeout time.Duration // 0 means 2 s
	Pause       time.Duration // between two dials of a peer that could not be reached; 0 means 100 ms
	AnswerBytes int           // the largest answer; 0 means 100 MiB
}

const (
	defaultDialTimeout = 2 * time.Second
	defaultPause       = 100 * time.Millisecond
	defaultAnswerBytes = 100 << 20
)

// Client holds the peers of a node.
type Client struct {
	o  Options
	mu struct {
		sync.Mutex
		peers  map[string]*Peer
		closed bool
	}
}

// New makes a client without connections.
func New(o Options) *Client {
	if o.DialTimeout <= 0 {
		o.DialTimeout = defaultDialTimeout
	}
	if o.Pause <= 0 {
		o.Pause = defaultPause
	}
	if o.AnswerBytes <= 0 {
		o.AnswerBytes = defaultAnswerBytes
	}
	if o.Limits == (wire.Limits{}) {
		o.Limits = wire.TrustedLimits()
	}
	c := &Client{o: o}
	c.mu.peers = map[string]*Peer{}
	return c
}

// Peer is the node at an address. It is made when first asked for; its connection is opened by the first call.
func (c *Client) Peer(addr string) *Peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.mu.peers[addr]
	if p == nil {
		p = &Peer{c: c, addr: addr}
		if c.mu.closed {
			p.mu.closed = ErrClosed
		}
		c.mu.peers[addr] = p
	}
	return p
}

// Forget closes the connection to an address that nobody has any more, or that does not answer. Calls under way fail with ErrBroken: the next one opens
// another connection.
func (c *Client) Forget(addr string) {
	c.mu.Lock()
	p := c.mu.peers[addr]
	delete(c.mu.peers, addr)
	c.mu.Unlock()
	if p != nil {
		p.close(fmt.Errorf("%w: %w", ErrBroken, errForgotten), fmt.Errorf("%w: %w", ErrUnreachable, errForgotten))
	}
}

// Close ends every connection; calls under way fail with ErrClosed.
func (c *Client) Close() {
	c.mu.Lock()
	c.mu.closed = true
	peers := c.mu.peers
	c.mu.peers = map[string]*Peer{}
	c.mu.Unlock()
	for _, p := range peers {
		p.close(ErrClosed, ErrClosed)
	}
}
