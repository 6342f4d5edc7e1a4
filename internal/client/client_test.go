package client_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/klamm/klamm/internal/client"
	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer answers requests on a real socket as answer says; nil closes the connection.
type peer struct {
	addr string
	wg   sync.WaitGroup
	mu   sync.Mutex
	seen []wire.Key
}

func serve(t testing.TB, answer func(h wire.RequestHeader, n int) []byte) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{addr: l.Addr().String()}
	p.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.talk(nc, answer) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.wg.Wait()
	})
	return p
}

func (p *peer) talk(nc net.Conn, answer func(wire.RequestHeader, int) []byte) {
	defer nc.Close()
	for n := 0; ; n++ {
		var size [4]byte
		if _, err := io.ReadFull(nc, size[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(nc, frame); err != nil {
			return
		}
		h, err := wire.DecodeRequestHeader(wire.NewDecoder(frame, wire.DefaultLimits()))
		if err != nil {
			return
		}
		p.mu.Lock()
		p.seen = append(p.seen, h.Key)
		p.mu.Unlock()
		out := answer(h, n)
		if out == nil {
			return
		}
		if _, err := nc.Write(out); err != nil {
			return
		}
	}
}

// framed is a response with its size and header.
func framed(h wire.RequestHeader, id int32, m wire.Response) []byte {
	b := m.Append(wire.AppendResponseHeader([]byte{0, 0, 0, 0}, h.Key, h.Version, id), h.Version)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func echo(h wire.RequestHeader, n int) []byte {
	return framed(h, h.CorrelationID, &wire.AllocateProducerIDsResponse{First: int64(n)})
}

func newClient(t testing.TB, o client.Options) *client.Client {
	t.Helper()
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	o.Clock = clock.Real()
	o.ID = "node-1"
	c := client.New(o)
	t.Cleanup(c.Close)
	return c
}

func TestManyCallsShareOneConnectionInOrder(t *testing.T) {
	p := serve(t, echo)
	c := newClient(t, client.Options{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[int64]bool{}
	for range 50 {
		wg.Go(func() {
			var resp wire.AllocateProducerIDsResponse
			if err := c.Peer(p.addr).Call(t.Context(), &wire.AllocateProducerIDsRequest{}, 0, &resp); err != nil {
				t.Error(err)
			}
			mu.Lock()
			got[resp.First] = true
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(got) != 50 {
		t.Fatalf("%d different answers, want 50: more than one connection, or answers mixed up", len(got))
	}
}

func TestGreetingComesFirstAndMayRefuse(t *testing.T) {
	p := serve(t, func(h wire.RequestHeader, n int) []byte {
		if h.Key == wire.KeyHello {
			return framed(h, h.CorrelationID, &wire.HelloResponse{ErrorCode: model.InconsistentClusterID})
		}
		return echo(h, n)
	})
	refused := errors.New("another cluster")
	c := newClient(t, client.Options{
		Greet: func() wire.Request { return &wire.HelloRequest{} },
		Greeted: func(_ string, body []byte) error {
			var resp wire.HelloResponse
			if err := resp.Decode(wire.NewDecoder(body, wire.DefaultLimits()), 0); err != nil || resp.ErrorCode != model.InconsistentClusterID {
				return fmt.Errorf("greeting answered with %w, %w", resp.ErrorCode, err)
			}
			return refused
		},
	})
	err := c.Peer(p.addr).Call(t.Context(), &wire.AllocateProducerIDsRequest{}, 0, &wire.AllocateProducerIDsResponse{})
	if !errors.Is(err, refused) || !errors.Is(err, client.ErrUnreachable) {
		t.Fatalf("got %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) != 1 || p.seen[0] != wire.KeyHello {
		t.Fatalf("peer saw %v", p.seen)
	}
}

func TestBrokenConnectionFailsEveryCallAndTheNextOneDialsAgain(t *testing.T) {
	p := serve(t, func(h wire.RequestHeader, n int) []byte {
		if n == 1 {
			return nil
		}
		return echo(h, n)
	})
	c := newClient(t, client.Options{})
	call := func() error {
		return c.Peer(p.addr).Call(t.Context(), &wire.AllocateProducerIDsRequest{}, 0, &wire.AllocateProducerIDsResponse{})
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	if err := call(); !errors.Is(err, client.ErrBroken) {
		t.Fatalf("got %v, want ErrBroken", err)
	}
	if err := call(); err != nil {
		t.Fatalf("after the break: %v", err)
	}
}

// TestWrongAnswerClosesTheConnection: an answer that belongs to another request must never be taken for this one's.
func TestWrongAnswerClosesTheConnection(t *testing.T) {
	for name, out := range map[string]func(h wire.RequestHeader) []byte{
		"other id": func(h wire.RequestHeader) []byte {
			return framed(h, h.CorrelationID+1, &wire.AllocateProducerIDsResponse{})
		},
		"negative":  func(wire.RequestHeader) []byte { return []byte{0xff, 0xff, 0xff, 0xff} },
		"too large": func(wire.RequestHeader) []byte { return []byte{0x7f, 0xff, 0xff, 0xff} },
		"empty":     func(wire.RequestHeader) []byte { return []byte{0, 0, 0, 0} },
	} {
		t.Run(name, func(t *testing.T) {
			p := serve(t, func(h wire.RequestHeader, _ int) []byte { return out(h) })
			c := newClient(t, client.Options{})
			err := c.Peer(p.addr).Call(t.Context(), &wire.AllocateProducerIDsRequest{}, 0, &wire.AllocateProducerIDsResponse{})
			if !errors.Is(err, client.ErrBroken) || c.Peer(p.addr).Connected() {
				t.Fatalf("got %v, connected %t", err, c.Peer(p.addr).Connected())
			}
		})
	}
}

// TestUnreachablePeerIsNotDialledByEveryCaller: a dead node must not cost its callers a dial each.
func TestUnreachablePeerIsNotDialledByEveryCaller(t *testing.T) {
	dials := 0
	c := newClient(t, client.Options{Pause: time.Hour, Dial: func(context.Context, string, string) (net.Conn, error) {
		dials++
		return nil, errors.New("refused")
	}})
	for range 10 {
		err := c.Peer("127.0.0.1:1").Call(t.Context(), &wire.AllocateProducerIDsRequest{}, 0, &wire.AllocateProducerIDsResponse{})
		if !errors.Is(err, client.ErrUnreachable) {
			t.Fatal(err)
		}
	}
	if dials != 1 {
		t.Fatalf("%d dials", dials)
	}
}

func TestCallerThatLeavesDoesNotDisturbTheNext(t *testing.T) {
	hold := make(chan struct{})
	p := serve(t, func(h wire.RequestHeader, n int) []byte {
		if n == 0 {
			<-hold
		}
		return echo(h, n)
	})
	c := newClient(t, client.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		left <- c.Peer(p.addr).Call(ctx, &wire.AllocateProducerIDsRequest{}, 0, &wire.AllocateProducerIDsResponse{})
	}()
	for !c.Peer(p.addr).Connected() {
		select {
		case err := <-left:
			t.Fatal(err)
		default:
		}
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(hold)
	var resp wire.AllocateProducerIDsResponse
	if err := c.Peer(p.addr).Call(t.Context(), &wire.AllocateProducerIDsRequest{}, 0, &resp); err != nil {
		t.Fatal(err)
	}
}

func TestCloseEndsCalls(t *testing.T) {
	entered, hold := make(chan struct{}), make(chan struct{})
	defer close(hold)
	p := serve(t, func(wire.RequestHeader, int) []byte {
		close(entered)
		<-hold
		return nil
	})
	c := newClient(t, client.Options{})
	left := make(chan error, 1)
	go func() {
		left <- c.Peer(p.addr).Call(context.Background(), &wire.AllocateProducerIDsRequest{}, 0, &wire.AllocateProducerIDsResponse{})
	}()
	<-entered
	c.Close()
	if err := <-left; !errors.Is(err, client.ErrClosed) {
		t.Fatal(err)
	}
	if err := c.Peer(p.addr).Call(t.Context(), &wire.AllocateProducerIDsRequest{}, 0, &wire.AllocateProducerIDsResponse{}); !errors.Is(err, client.ErrClosed) {
		t.Fatal(err)
	}
}

// TestForgettingAPeerIsNotTheEndOfTheClient: one call that got no answer in time has its connection given up. Another one that shared it was told that
// the client is closed, which a node that was registering with the controller took for the end of everything.
func TestForgettingAPeerIsNotTheEndOfTheClient(t *testing.T) {
	entered, hold := make(chan struct{}, 2), make(chan struct{})
	p := serve(t, func(wire.RequestHeader, int) []byte {
		entered <- struct{}{}
		<-hold
		return nil
	})
	defer close(hold)
	c := newClient(t, client.Options{Lost: func(string) { t.Error("given up here, yet lost") }})
	left := make(chan error, 1)
	peer := c.Peer(p.addr)
	go func() {
		left <- peer.Call(context.Background(), &wire.AllocateProducerIDsRequest{}, 0, &wire.AllocateProducerIDsResponse{})
	}()
	<-entered
	c.Forget(p.addr)
	if err := <-left; !errors.Is(err, client.ErrBroken) || errors.Is(err, client.ErrClosed) {
		t.Fatal(err)
	}
	if err := peer.Call(t.Context(), &wire.AllocateProducerIDsRequest{}, 0, &wire.AllocateProducerIDsResponse{}); !errors.Is(err, client.ErrUnreachable) {
		t.Fatal(err)
	}
}
