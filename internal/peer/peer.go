package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/event"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/wire"
)

// Identity is who is at the other end of a connection, by its own word.
type Identity struct {
	NodeID      model.BrokerID // NoBroker while it has no id
	DirectoryID model.UUID
	Member      bool // it belongs to this cluster; otherwise it has none yet
}

// Node is this node, as others see it.
type Node interface {
	// Hello says who this node is, and judges who asks: any error code refuses it.
	Hello(*wire.HelloRequest) wire.HelloResponse
	// Join finds a place in the cluster for a node that has none, wherever that is decided.
	Join(context.Context, *wire.JoinRequest) wire.JoinResponse
}

// Cluster is what a node that belongs to one serves.
type Cluster struct {
	Me model.BrokerID
	// Raft takes messages of the metadata log. It must not block, and owns the messages.
	Raft       func(from model.BrokerID, directory model.UUID, msgs [][]byte)
	Controller Controller
	// Forward carries out a client's request that came to another node.
	Forward func(context.Context, *server.Conn, *wire.ForwardRequest) wire.ForwardResponse
	// Fetch serves followers.
	Fetch server.Handler
	// CodeOf is what an error of the controller is called on the wire.
	CodeOf func(error) model.ErrorCode
	// Events are the newest that this node has told, at most n and none older than since; oldest first.
	Events func(since time.Time, n int) []event.Event
}

// Controller is what brokers ask of the active controller; any other answers NOT_CONTROLLER.
type Controller interface {
	RegisterBroker(context.Context, controller.Registration) (model.BrokerEpoch, error)
	Heartbeat(context.Context, controller.Heartbeat) (controller.HeartbeatReply, error)
	AlterISR(context.Context, controller.AlterISR) ([]controller.ISROutcome, error)
	AllocateProducerIDs(context.Context, model.BrokerID, model.BrokerEpoch) (controller.ProducerIDBlock, error)
	AssignDirs(context.Context, controller.AssignDirs) error
}

// Options is what node plugs in.
type Options struct {
	Node   Node
	Logger *slog.Logger
}

// Service answers on the node port.
type Service struct {
	o       Options
	ctx     context.Context
	cluster atomic.Pointer[Cluster]
}

// New makes a service that knows of no cluster yet: it says Hello, and no more. ctx ends when the node stops.
func New(ctx context.Context, o Options) *Service { return &Service{o: o, ctx: ctx} }

// Open begins to serve the members of a cluster.
func (s *Service) Open(c Cluster) { s.cluster.Store(&c) }

var (
	errNoHello     = errors.New("the first request of a node must be a Hello that matches")
	errUnsupported = errors.New("no request for the node port")
	errMalformed   = errors.New("malformed request")
	errNoCluster   = errors.New("this node belongs to no cluster yet")
)

// call is one request on its way.
type call struct {
	s    *Service
	c    *server.Conn
	from Identity
	*Cluster
	body  []byte
	reply *server.Reply
}

// handler answers one request. It may keep the call's body.
type handler func(*call) error

// entry is one API of the table. Those that may wait get a goroutine and a copy of the body.
type entry struct {
	handle handler
	waits  bool
	// outside serves nodes that belong to no cluster yet, too.
	outside bool
}

// table lists what nodes may ask of each other. All of it has one version so far.
func table(key wire.Key) (entry, bool) {
	switch key {
	case wire.KeyRaft:
		return entry{handle: raftMessages}, true
	case wire.KeyJoin:
		return entry{handle: join, waits: true, outside: true}, true
	case wire.KeyRegisterBroker:
		return entry{handle: registerBroker, waits: true}, true
	case wire.KeyBrokerHeartbeat:
		return entry{handle: heartbeat, waits: true}, true
	case wire.KeyAlterISR:
		return entry{handle: alterISR, waits: true}, true
	case wire.KeyAllocateProducerIDs:
		return entry{handle: allocateProducerIDs, waits: true}, true
	case wire.KeyAssignDirs:
		return entry{handle: assignDirs, waits: true}, true
	case wire.KeyForward:
		return entry{handle: forward, waits: true}, true
	case wire.KeyEvents:
		return entry{handle: events}, true
	}
	return entry{}, false
}

// Serve implements server.Handler.
func (s *Service) Serve(c *server.Conn, r *server.Request) {
	if err := s.serve(c, r); err != nil {
		s.o.Logger.Info("request of a node refused", "node", c.RemoteAddr(), "api", wire.Name(r.Header.Key), "err", err)
		r.Reply.Abort(err)
	}
}

func (s *Service) serve(c *server.Conn, r *server.Request) error {
	if r.Header.Key == wire.KeyHello {
		return s.hello(c, r)
	}
	from, greeted := c.Attached().(Identity)
	cluster := s.cluster.Load()
	switch {
	case !greeted:
		return errNoHello
	case cluster == nil:
		return errNoCluster
	case r.Header.Key == wire.KeyFetch && from.Member:
		cluster.Fetch.Serve(c, r)
		return nil
	}
	e, ok := table(r.Header.Key)
	switch {
	case !ok || r.Header.Version != 0:
		return fmt.Errorf("%w: %s version %d", errUnsupported, wire.Name(r.Header.Key), r.Header.Version)
	case !from.Member && !e.outside:
		return errNoHello
	}
	x := &call{s: s, c: c, from: from, Cluster: cluster, body: r.Body, reply: r.Reply}
	if !e.waits {
		return e.handle(x)
	}
	x.body = bytes.Clone(r.Body)
	go func() {
		if err := e.handle(x); err != nil {
			s.o.Logger.Info("request of a node refused", "from", from.NodeID, "err", err)
			x.reply.Abort(err)
		}
	}()
	return nil
}

// hello lets a node in. A connection whose Hello was refused gets the reason, and nothing after it.
func (s *Service) hello(c *server.Conn, r *server.Request) error {
	if c.Attached() != nil {
		return fmt.Errorf("%w: Hello twice", errMalformed)
	}
	var q wire.HelloRequest
	if r.Header.Version != 0 {
		return errUnsupported
	}
	if err := q.Decode(wire.NewDecoder(r.Body, wire.DefaultLimits()), 0); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	resp := s.o.Node.Hello(&q)
	if resp.ErrorCode == model.None {
		c.Attach(Identity{NodeID: model.BrokerID(q.NodeID), DirectoryID: q.DirectoryID, Member: q.ClusterID != nil})
		c.Authenticated()
	}
	b := r.Reply.Bytes()
	*b = resp.Append(*b, 0)
	r.Reply.Send()
	return nil
}

// decode reads the body.
func (x *call) decode(m wire.Request) error {
	if err := m.Decode(wire.NewDecoder(x.body, wire.TrustedLimits()), 0); err != nil {
		return fmt.Errorf("%w: %s: %w", errMalformed, wire.Name(m.APIKey()), err)
	}
	return nil
}

// send completes the reply.
func (x *call) send(m wire.Response) error {
	b := x.reply.Bytes()
	*b = m.Append(*b, 0)
	x.reply.Send()
	return nil
}
