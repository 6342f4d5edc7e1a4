package peer_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/event"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/peer"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ours = "our-cluster"

// node counts what gets through to the node behind the port.
type node struct {
	t     testing.TB
	addr  string
	calls atomic.Int32 // of anything but Hello
	raft  chan string
}

func (n *node) Hello(q *wire.HelloRequest) wire.HelloResponse {
	resp := wire.NewHelloResponse()
	if q.ClusterID != nil && *q.ClusterID != ours {
		resp.ErrorCode = model.InconsistentClusterID
	}
	return resp
}

func (n *node) Join(context.Context, *wire.JoinRequest) wire.JoinResponse {
	n.calls.Add(1)
	return wire.JoinResponse{NodeID: 7}
}

func (n *node) RegisterBroker(context.Context, controller.Registration) (model.BrokerEpoch, error) {
	n.calls.Add(1)
	return 5, nil
}

func (n *node) Heartbeat(context.Context, controller.Heartbeat) (controller.HeartbeatReply, error) {
	n.calls.Add(1)
	return controller.HeartbeatReply{}, model.NotController
}

func (n *node) AlterISR(context.Context, controller.AlterISR) ([]controller.ISROutcome, error) {
	n.calls.Add(1)
	return nil, nil
}

func (n *node) AssignDirs(context.Context, controller.AssignDirs) error { return nil }

func (n *node) AllocateProducerIDs(context.Context, model.BrokerID, model.BrokerEpoch) (controller.ProducerIDBlock, error) {
	n.calls.Add(1)
	return controller.ProducerIDBlock{}, nil
}

func (n *node) Serve(*server.Conn, *server.Request) { n.calls.Add(1) }

func start(t testing.TB) *node {
	t.Helper()
	n := &node{t: t, raft: make(chan string, 10)}
	quiet := slog.New(slog.DiscardHandler)
	s := peer.New(t.Context(), peer.Options{Node: n, Logger: quiet})
	s.Open(peer.Cluster{
		Me: 1, Controller: n, Fetch: n,
		Raft: func(_ model.BrokerID, _ model.UUID, msgs [][]byte) {
			n.calls.Add(1)
			if len(msgs) > 0 {
				select {
				case n.raft <- string(msgs[0]):
				default: // nobody looks
				}
			}
		},
		Forward: func(context.Context, *server.Conn, *wire.ForwardRequest) wire.ForwardResponse {
			n.calls.Add(1)
			return wire.ForwardResponse{}
		},
		Events: func(time.Time, int) []event.Event { return nil },
		CodeOf: func(err error) model.ErrorCode {
			if err == nil {
				return model.None
			}
			return model.NotController
		},
	})
	srv := server.New(server.Options{Handler: s, Clock: clock.Real(), Logger: quiet})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l, server.Listener{Name: "NODE", Authenticate: true}) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return n
}

// link is a connection of another node.
type link struct {
	t  testing.TB
	nc net.Conn
}

func (n *node) dial() *link {
	n.t.Helper()
	nc, err := net.Dial("tcp", n.addr)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = nc.Close() })
	return &link{t: n.t, nc: nc}
}

// framed is a request as it goes over the wire.
func framed(q wire.Request) []byte {
	h := wire.RequestHeader{Key: q.APIKey(), CorrelationID: 1}
	b := q.Append(h.Append([]byte{0, 0, 0, 0}), 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// call sends a request and reports whether there was an answer; false when the connection was closed instead.
func (l *link) call(q wire.Request, resp wire.Response) bool {
	l.t.Helper()
	_, err := l.nc.Write(framed(q))
	var size [4]byte
	if err == nil {
		_, err = io.ReadFull(l.nc, size[:])
	}
	if err != nil {
		return false
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(l.nc, answer); err != nil {
		l.t.Fatal(err)
	}
	d := wire.NewDecoder(answer, wire.DefaultLimits())
	if _, err := wire.DecodeResponseHeader(d, q.APIKey(), 0); err != nil {
		l.t.Fatal(err)
	}
	if err := resp.Decode(d, 0); err != nil {
		l.t.Fatal(err)
	}
	return true
}

func hello(cluster string, id int32, dir model.UUID) *wire.HelloRequest {
	q := wire.NewHelloRequest()
	q.NodeID, q.DirectoryID = id, dir
	if cluster != "" {
		q.ClusterID = &cluster
	}
	return &q
}

func TestNothingBeforeHello(t *testing.T) {
	n := start(t)
	for _, q := range []wire.Request{
		&wire.RaftRequest{}, &wire.JoinRequest{}, &wire.RegisterBrokerRequest{}, &wire.BrokerHeartbeatRequest{}, &wire.AlterISRRequest{},
		&wire.AllocateProducerIDsRequest{}, &wire.AssignDirsRequest{}, &wire.ForwardRequest{}, &wire.EventsRequest{}, &wire.MetadataRequest{},
	} {
		if n.dial().call(q, &wire.HelloResponse{}) {
			t.Errorf("%s was answered", q.APIKey())
		}
	}
	if n.calls.Load() != 0 {
		t.Errorf("%d requests came through", n.calls.Load())
	}
}

func TestHelloHasToMatch(t *testing.T) {
	n := start(t)
	me := model.UUID{2}

	l := n.dial()
	var h wire.HelloResponse
	if !l.call(hello("another", 2, me), &h) || h.ErrorCode != model.InconsistentClusterID {
		t.Fatalf("another cluster: %+v", h)
	}
	if l.call(&wire.BrokerHeartbeatRequest{}, &wire.BrokerHeartbeatResponse{}) {
		t.Fatal("a node of another cluster was served")
	}

	l = n.dial()
	if !l.call(hello("", -1, me), &h) || h.ErrorCode != model.None {
		t.Fatalf("a new node: %+v", h)
	}
	var joined wire.JoinResponse
	if !l.call(&wire.JoinRequest{DirectoryID: me}, &joined) || joined.NodeID != 7 {
		t.Fatalf("join: %+v", joined)
	}
	other := n.dial()
	other.call(hello("", -1, me), &h)
	if other.call(&wire.JoinRequest{DirectoryID: model.UUID{3}}, &joined) {
		t.Fatal("a node asked for another one's place")
	}
	member := n.dial()
	member.call(hello(ours, 2, model.UUID{2}), &h)
	if !member.call(&wire.JoinRequest{DirectoryID: model.UUID{3}}, &joined) {
		t.Fatal("a member could not pass the question on")
	}
	if l.call(&wire.RaftRequest{From: -1, DirectoryID: me}, &wire.RaftResponse{}) {
		t.Fatal("a node without a cluster takes part in raft")
	}

	l = n.dial()
	l.call(hello(ours, 2, me), &h)
	var beat wire.BrokerHeartbeatResponse
	if !l.call(&wire.BrokerHeartbeatRequest{}, &beat) || beat.ErrorCode != model.NotController {
		t.Fatalf("heartbeat: %+v", beat)
	}
	if l.call(hello(ours, 3, me), &h) {
		t.Fatal("a connection changed its mind about who it is")
	}
}

// TestM6RaftOnlyInOnesOwnName: a node speaks for its own directory and to this one, or it is not heard.
func TestM6RaftOnlyInOnesOwnName(t *testing.T) {
	n := start(t)
	var h wire.HelloResponse
	dial := func() *link {
		l := n.dial()
		l.call(hello(ours, 2, model.UUID{2}), &h)
		return l
	}
	msgs := []wire.RaftRequestMessage{{Body: []byte("vote")}}
	var r wire.RaftResponse
	if !dial().call(&wire.RaftRequest{From: 2, To: 1, DirectoryID: model.UUID{2}, Messages: msgs}, &r) || <-n.raft != "vote" {
		t.Fatal("a member is not heard")
	}
	if !dial().call(&wire.RaftRequest{From: 2, To: 9, DirectoryID: model.UUID{2}, Messages: msgs}, &r) || r.ErrorCode != model.InvalidVoterKey {
		t.Fatalf("for another node: %+v", r)
	}
	for _, q := range []*wire.RaftRequest{
		{From: 3, To: 1, DirectoryID: model.UUID{2}, Messages: msgs}, {From: 2, To: 1, DirectoryID: model.UUID{3}, Messages: msgs},
	} {
		if dial().call(q, &r) {
			t.Errorf("in the name of node %d, directory %s: heard", q.From, q.DirectoryID)
		}
	}
	if n.calls.Load() != 1 {
		t.Errorf("%d messages came through", n.calls.Load())
	}
}

// TestRandomBytesDoNothing, before Hello and after it.
func TestRandomBytesDoNothing(t *testing.T) {
	n := start(t)
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range 300 {
		l := n.dial()
		greeted := i%3 == 0
		if greeted {
			l.call(hello("", -1, model.UUID{2}), &wire.HelloResponse{})
		}
		b := make([]byte, rng.IntN(2000))
		for j := range b {
			b[j] = byte(rng.Uint32())
		}
		if i%2 == 0 && len(b) > 8 { // a frame that is whole, of a key that is served
			binary.BigEndian.PutUint32(b, uint32(len(b)-4))
			binary.BigEndian.PutUint16(b[4:], uint16(1000+rng.IntN(16)))
			binary.BigEndian.PutUint16(b[6:], 0)
		}
		if _, err := l.nc.Write(b); err != nil {
			continue // it has had enough
		}
		_ = l.nc.(*net.TCPConn).CloseWrite() // it may have closed already
		_ = l.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.Copy(io.Discard, l.nc) // whatever it says, it must end
		_ = l.nc.Close()
	}
	if n.calls.Load() != 0 {
		t.Errorf("seed %d: %d requests came through", seed, n.calls.Load())
	}
}
