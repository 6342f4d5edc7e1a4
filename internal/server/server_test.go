package server

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/wire"
)

// handlerFunc is a Handler of a function.
type handlerFunc func(c *Conn, r *Request)

func (f handlerFunc) Serve(c *Conn, r *Request) { f(c, r) }

// echo answers with the body.
func echo(_ *Conn, r *Request) {
	b := r.Reply.Bytes()
	*b = append(*b, r.Body...)
	r.Reply.Send()
}

// testServer is a server under test on a free port, with a clock that the test moves.
type testServer struct {
	*Server
	t     testing.TB
	clock *clock.Manual
	addr  string
}

func start(t testing.TB, l Limits, h Handler) *testServer {
	t.Helper()
	return startWith(t, l, h, Listener{Name: "PLAINTEXT"})
}

func startWith(t testing.TB, l Limits, h Handler, how Listener) *testServer {
	t.Helper()
	clk := clock.NewManual(time.Unix(1_000_000, 0))
	s := New(Options{Handler: h, Limits: l, Clock: clk, Logger: slog.New(slog.DiscardHandler)})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(ln, how); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		wg.Wait()
	})
	return &testServer{Server: s, t: t, clock: clk, addr: ln.Addr().String()}
}

// client is a raw connection that speaks frames.
type client struct {
	net.Conn
	t testing.TB
}

func (s *testServer) dial() *client {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	return &client{nc, s.t}
}

// frame encodes a request of key; old versions of it have the plain header.
func frame(key wire.Key, correlation int32, body []byte) []byte {
	h := wire.RequestHeader{Key: key, Version: 0, CorrelationID: correlation}
	id := "test"
	h.ClientID = &id
	b := h.Append(make([]byte, 4))
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// sized is a frame of exactly size bytes behind the length.
func sized(key wire.Key, size int) []byte {
	empty := len(frame(key, 0, nil)) - 4
	return frame(key, 7, make([]byte, size-empty))
}

func (c *client) send(frames ...[]byte) {
	c.t.Helper()
	var all []byte
	for _, f := range frames {
		all = append(all, f...)
	}
	if _, err := c.Write(all); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) receive() (correlation int32, body []byte) {
	c.t.Helper()
	correlation, body, err := c.tryReceive()
	if err != nil {
		c.t.Fatal(err)
	}
	return correlation, body
}

func (c *client) tryReceive() (correlation int32, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, binary.BigEndian.Uint32(head[:])-4)
	_, err = io.ReadFull(c, body)
	return int32(binary.BigEndian.Uint32(head[4:])), body, err
}

func (c *client) wantCorrelations(ids ...int32) {
	c.t.Helper()
	for _, want := range ids {
		if got, _ := c.receive(); got != want {
			c.t.Fatalf("reply %d came where %d was due", got, want)
		}
	}
}

// wantClosed reads until the end, which must not be a timeout.
func (c *client) wantClosed() {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c)
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		c.t.Fatal("connection is still open")
	}
}

// eventually waits for what another goroutine is about to make true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting: %s", what)
		}
	}
}

const keyMetadata = wire.KeyMetadata

func TestRepliesLeaveInOrder(t *testing.T) {
	open := make(chan *Reply, 3)
	s := start(t, Limits{}, handlerFunc(func(c *Conn, r *Request) {
		if r.Header.CorrelationID < 3 {
			open <- r.Reply
			return
		}
		r.Reply.Send()
	}))
	c := s.dial()
	c.send(frame(keyMetadata, 0, nil), frame(keyMetadata, 1, nil), frame(keyMetadata, 2, nil), frame(keyMetadata, 3, nil))
	a, b, d := <-open, <-open, <-open
	d.Send()
	b.Send()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.tryReceive(); err == nil {
		t.Fatal("a reply overtook one before it")
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	a.Send()
	c.wantCorrelations(0, 1, 2, 3)
}

func TestSendHereWritesOnTheCallersGoroutine(t *testing.T) {
	open := make(chan *Reply, 1)
	s := start(t, Limits{}, handlerFunc(func(_ *Conn, r *Request) { open <- r.Reply }))
	c := s.dial()
	c.send(frame(keyMetadata, 5, nil))
	(<-open).SendHere()
	c.wantCorrelations(5)
}

func TestDropLeavesNoTrace(t *testing.T) {
	s := start(t, Limits{}, handlerFunc(func(_ *Conn, r *Request) {
		if r.Header.Key == wire.KeyProduce {
			r.Reply.Drop()
			return
		}
		r.Reply.Send()
	}))
	c := s.dial()
	c.send(frame(wire.KeyProduce, 1, nil), frame(keyMetadata, 2, nil), frame(wire.KeyProduce, 3, nil), frame(keyMetadata, 4, nil))
	c.wantCorrelations(2, 4)
}

func TestAbortClosesBehindEarlierReplies(t *testing.T) {
	open := make(chan *Reply, 1)
	s := start(t, Limits{}, handlerFunc(func(_ *Conn, r *Request) {
		switch r.Header.CorrelationID {
		case 1:
			open <- r.Reply
		case 2:
			r.Reply.Abort(errors.New("malformed"))
		default:
			t.Error("a request behind an abort was served")
			r.Reply.Send()
		}
	}))
	c := s.dial()
	c.send(frame(keyMetadata, 1, nil), frame(keyMetadata, 2, nil), frame(keyMetadata, 3, nil))
	(<-open).Send()
	c.wantCorrelations(1)
	c.wantClosed()
}

func TestBurstEndComesOncePerBurstBeforeTheReplies(t *testing.T) {
	b := &burstCounter{ends: make(chan int, 10)}
	s := start(t, Limits{}, handlerFunc(func(c *Conn, r *Request) {
		c.AtBurstEnd(b)
		if b.served++; b.served == 4 {
			r.Reply.Send()
			return
		}
		r.Reply.Drop()
	}))
	c := s.dial()
	f := frame(wire.KeyProduce, 1, nil)
	c.send(f, f, f, f)
	c.wantCorrelations(1)
	if n := <-b.ends; n != 4 || len(b.ends) != 0 {
		t.Fatalf("burst ended after %d requests, and %d times more", n, len(b.ends))
	}
}

type burstCounter struct {
	served int
	ends   chan int
}

func (b *burstCounter) BurstEnd() { b.ends <- b.served }

func TestAwaitEarlierSendsWhatIsBefore(t *testing.T) {
	open := make(chan *Reply, 1)
	waited := make(chan bool, 1)
	s := start(t, Limits{}, handlerFunc(func(c *Conn, r *Request) {
		switch r.Header.CorrelationID {
		case 1:
			r.Reply.Send()
		case 2:
			open <- r.Reply
		case 3:
			waited <- c.AwaitEarlier(t.Context())
			r.Reply.Send()
		}
	}))
	c := s.dial()
	c.send(frame(keyMetadata, 1, nil), frame(keyMetadata, 2, nil), frame(keyMetadata, 3, nil))
	c.wantCorrelations(1) // although request 3 waits in its handler
	select {
	case <-waited:
		t.Fatal("did not wait for the request before")
	default:
	}
	(<-open).Send()
	if !<-waited {
		t.Fatal("waited in vain")
	}
	c.wantCorrelations(2, 3)
}

func TestClientIDAndSoftwareAreRemembered(t *testing.T) {
	s := start(t, Limits{}, handlerFunc(func(c *Conn, r *Request) {
		c.SetSoftware("kcat", "1.7")
		b := r.Reply.Bytes()
		name, version := c.Software()
		*b = append(*b, c.ClientID()+" "+name+" "+version+" "+c.RemoteAddr()...)
		r.Reply.Send()
	}))
	c := s.dial()
	for range 2 {
		c.send(frame(keyMetadata, 1, nil))
		if _, b := c.receive(); string(b) != "test kcat 1.7 127.0.0.1" {
			t.Fatalf("got %q", b)
		}
	}
}
