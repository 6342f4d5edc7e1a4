package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/client"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/wire"
)

// The life of a broker in a cluster: it registers with the active controller, tells it that it lives, and asks it for what only it can
// decide, wherever it is at the moment.

const (
	// decideTime is how long a request waits for a controller that can decide it.
	decideTime = 15 * time.Second
	callTime   = 5 * time.Second
	askPause   = 20 * time.Millisecond
	// leaveTime bounds a controlled shutdown.
	leaveTime = 10 * time.Second
	// leaveAnswer is how long a broker that stops waits for one answer: without a controller nobody can take over.
	leaveAnswer = time.Second
	leavePause  = 20 * time.Millisecond
	// enterPause is between two questions of a broker that waits to be let in.
	enterPause = 5 * time.Millisecond
)

var errNoController = errors.New("no controller is active")

// retriable reports that another try, perhaps with another controller, may succeed, and that the one that failed changed nothing.
func retriable(err error) bool {
	return errors.Is(err, errNoController) || errors.Is(err, model.NotController) || errors.Is(err, quorum.ErrNotLeader) ||
		errors.Is(err, client.ErrUnreachable) || errors.Is(err, quorum.ErrChanging)
}

// repeatable also takes errors that leave open what happened, for requests that may be carried out twice.
func repeatable(err error) bool {
	return retriable(err) || errors.Is(err, client.ErrBroken) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, model.RequestTimedOut)
}

// decide has something decided by the active controller: by here on this node, by there on another. It tries until the error is none that
// another try could mend, or ctx ends.
func (n *Node) decide(ctx context.Context, again func(error) bool, here func(context.Context) error, there func(context.Context, *client.Peer) error) error {
	for {
		err := n.decideOnce(ctx, here, there)
		if err == nil || !again(err) || !n.sleep(ctx, askPause) {
			return err
		}
	}
}

func (n *Node) decideOnce(ctx context.Context, here func(context.Context) error, there func(context.Context, *client.Peer) error) error {
	switch leader := n.quorum.Leader(); leader {
	case n.me:
		return here(ctx)
	case model.NoBroker:
		return errNoController
	default:
		addr := n.addressOfNode(leader)
		if addr == "" {
			return errNoController
		}
		ctx, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		err := there(ctx, n.links.calls.Peer(addr))
		forgetStuck(n.links.calls, addr, err)
		return err
	}
}

// remoteError is what another node's error code and message say.
func remoteError(code model.ErrorCode, message *string) error {
	if code == model.None {
		return nil
	}
	if message == nil {
		return controller.Outcome{Code: code}
	}
	return fmt.Errorf("%w: %s", code.Err(), *message)
}

// alone reports that no other node belongs to the cluster.
func (n *Node) alone() bool { return len(n.quorum.Members()) < 2 }

// registration introduces this process.
func (n *Node) registration() controller.Registration {
	r := controller.Registration{
		ClusterID: n.identity.cluster, ID: n.me, Incarnation: n.incarnation, Features: metadata.SupportedFeatures(), PreviousEpoch: -1,
		Fenced: !n.alone(), DirsOffline: len(n.dirs.broken) > 0,
	}
	for _, b := range n.edges.listeners {
		r.Endpoints = append(r.Endpoints, n.endpoint(b))
	}
	for i, d := range n.dirs.list {
		r.Dirs = append(r.Dirs, d.Identity().DirectoryID)
		if d.Offline() != nil {
			r.Dirs, r.DirsOffline = r.Dirs[:len(r.Dirs)-1], true
		}
		if e := d.CleanShutdownEpoch(); i == 0 || e < r.PreviousEpoch {
			r.PreviousEpoch = e
		}
	}
	if rack := n.static.String("broker.rack"); rack != "" {
		r.Rack = &rack
	}
	return r
}

// register announces this process to the controller. In a cluster of one that makes it lead its partitions; elsewhere it has to catch up
// first.
func (n *Node) register(ctx context.Context) error {
	r := n.registration()
	var epoch model.BrokerEpoch
	waited := false
	err := n.decide(ctx, func(err error) bool {
		duplicate := errors.Is(err, model.DuplicateBrokerRegistration)
		if duplicate && !waited {
			waited = true
			n.log.Warn("another process is registered as this node; waiting for its session to end", "node", n.me, "err", err)
		}
		return duplicate || repeatable(err)
	}, func(ctx context.Context) (err error) {
		epoch, err = n.controller.RegisterBroker(ctx, r)
		return err
	}, func(ctx context.Context, p *client.Peer) (err error) {
		epoch, err = registerAt(ctx, p, &r)
		return err
	})
	if err != nil {
		return fmt.Errorf("registering with the controller: %w", err)
	}
	n.epoch.Store(int64(epoch))
	n.assignments.poke()
	return nil
}

func registerAt(ctx context.Context, p *client.Peer, r *controller.Registration) (model.BrokerEpoch, error) {
	q := wire.RegisterBrokerRequest{
		ClusterID: r.ClusterID, BrokerID: int32(r.ID), IncarnationID: r.Incarnation, Rack: r.Rack, LogDirs: r.Dirs, PreviousEpoch: int64(r.PreviousEpoch),
		DirsOffline: r.DirsOffline,
	}
	for _, e := range r.Endpoints {
		q.Endpoints = append(q.Endpoints, wire.RegisterBrokerRequestEndpoint{Name: e.Name, Host: e.Host, Port: e.Port, SecurityProtocol: e.SecurityProtocol})
	}
	for _, f := range r.Features {
		q.Features = append(q.Features, wire.RegisterBrokerRequestFeature{Name: f.Name, MinSupportedLevel: f.Min, MaxSupportedLevel: f.Max})
	}
	var resp wire.RegisterBrokerResponse
	if err := p.Call(ctx, &q, 0, &resp); err != nil {
		return 0, err
	}
	return model.BrokerEpoch(resp.BrokerEpoch), remoteError(resp.ErrorCode, resp.ErrorMessage)
}

// beat sends one heartbeat.
func (n *Node) beat(ctx context.Context, wantShutdown bool) (reply controller.HeartbeatReply, err error) {
	h := controller.Heartbeat{ID: n.me, Epoch: n.brokerEpoch(), Offset: n.image.Load().Offset, WantShutdown: wantShutdown, OfflineDirs: n.dirs.offline()}
	var sent time.Time
	err = n.decide(ctx, repeatable, func(ctx context.Context) (err error) {
		sent = n.quorum.Backed()
		reply, err = n.controller.Heartbeat(ctx, h)
		return err
	}, func(ctx context.Context, p *client.Peer) error {
		sent = n.clock.Now()
		q := wire.BrokerHeartbeatRequest{BrokerID: int32(h.ID), BrokerEpoch: int64(h.Epoch), MetadataOffset: int64(h.Offset), WantShutdown: h.WantShutdown,
			OfflineDirs: h.OfflineDirs}
		var resp wire.BrokerHeartbeatResponse
		if err := p.Call(ctx, &q, 0, &resp); err != nil {
			return err
		}
		reply = controller.HeartbeatReply{Fenced: resp.Fenced, CaughtUp: resp.CaughtUp, MayStopNow: resp.MayStopNow}
		return remoteError(resp.ErrorCode, nil)
	})
	if err == nil && !reply.Fenced {
		n.links.lease.renew(sent)
	}
	return reply, err
}

// enter waits until the controller lets this broker take part.
func (n *Node) enter(ctx context.Context) error {
	for !n.takesPart() {
		if _, err := n.beat(ctx, false); err != nil && ctx.Err() != nil {
			return fmt.Errorf("waiting to be let in by the controller: %w", err)
		}
		if !n.sleep(ctx, enterPause) {
			return fmt.Errorf("waiting to be let in by the controller: %w", ctx.Err())
		}
	}
	return nil
}

// takesPart reports that this process is registered and not fenced, as far as it knows.
func (n *Node) takesPart() bool {
	b := n.image.Load().Broker(n.me)
	return b != nil && b.Incarnation == n.incarnation && !b.Fenced
}

// leads reports that img makes this process the leader of a partition. A node that starts finds the metadata of its last life first: what led then
// was the process before, whose last records may be lost here, when power was, and kept by followers. Whoever led on in that epoch would give
// their offsets away again, and nobody could tell by the epochs (KIP-101, R5). The registration of this process ends the epoch.
func (n *Node) leads(img *metadata.Image, m *metadata.Partition) bool {
	b := img.Broker(n.me)
	return m.Leader == n.me && b != nil && (b.Incarnation == n.incarnation || bug.Is(bug.RestartKeepsEpoch))
}

// live sends heartbeats until the node stops, and registers again when the controller does not know this process any more.
func (n *Node) live() {
	every := n.static.Duration("broker.heartbeat.interval.ms")
	ctx, cancel := context.WithCancel(n.links.ctx)
	defer cancel()
	n.spawn(func() {
		select {
		case <-n.links.heartbeat:
			cancel()
		case <-ctx.Done():
		}
	})
	for n.sleep(ctx, every) {
		if n.alone() {
			continue
		}
		err := n.stayIn(ctx)
		if err != nil && ctx.Err() == nil {
			n.log.Warn("heartbeat failed", "err", err)
		}
	}
}

func (n *Node) stayIn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, n.static.Duration("broker.session.timeout.ms"))
	defer cancel()
	reply, err := n.beat(ctx, false)
	if errors.Is(err, model.StaleBrokerEpoch) || errors.Is(err, model.BrokerIDNotRegistered) {
		// Unregistered while it lives, it is no member of the quorum any more either, and hears nothing.
		if err = n.join(ctx); err == nil {
			err = n.register(ctx)
		}
		if err == nil {
			err = n.enter(ctx)
		}
		return err
	}
	if errors.Is(err, errNoController) {
		n.askForPlace()
	}
	if err == nil && reply.Fenced {
		return n.enter(ctx)
	}
	return err
}

// askForPlace asks the other members for this node's place, as a node that hears of no leader may have lost it: nobody tells a node that it
// was taken out of the quorum. Who still has its place only learns that, and where it is reached now. One that has no metadata yet knows no members, but
// those it was told to join.
func (n *Node) askForPlace() {
	q := n.placeRequest()
	addrs := slices.Clone(n.links.join)
	for _, m := range n.quorum.Members() {
		addrs = append(addrs, n.addressOfNode(m.NodeID))
	}
	slices.Sort(addrs)
	for _, addr := range slices.Compact(addrs) {
		if addr == "" || addr == n.links.self {
			continue
		}
		ctx, cancel := context.WithTimeout(n.links.ctx, callTime)
		var resp wire.JoinResponse
		err := n.links.calls.Peer(addr).Call(ctx, q, 0, &resp)
		cancel()
		if err == nil {
			err = remoteError(resp.ErrorCode, resp.ErrorMessage)
		}
		if err == nil {
			return
		}
		n.log.Debug("no place in the quorum", "asked", addr, "err", err)
	}
}

// placeRequest asks for the place this node has already.
func (n *Node) placeRequest() *wire.JoinRequest {
	return &wire.JoinRequest{DirectoryID: n.dirs.list[0].Identity().DirectoryID, Address: n.links.self, NodeID: int32(n.me)}
}

// leave hands leadership over before a stop: first of partitions, then of the metadata log.
func (n *Node) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	close(n.links.heartbeat)
	if n.alone() {
		return
	}
	if n.static.Bool("controlled.shutdown.enable") && n.takesPart() {
		n.handOver(ctx)
	}
	n.quorum.Transfer(ctx)
}

func (n *Node) handOver(ctx context.Context) {
	begin := n.clock.Now()
	for {
		one, cancel := context.WithTimeout(ctx, leaveAnswer)
		reply, err := n.beat(one, true)
		cancel()
		switch {
		case err == nil && reply.MayStopNow:
			n.log.Info("leadership handed over", "took", n.clock.Now().Sub(begin))
			return
		case err != nil:
			n.log.Warn("leadership could not be handed over", "err", err)
			return
		}
		if !n.sleep(ctx, leavePause) {
			return
		}
	}
}

// allocateProducerIDs gets a block of ids from the controller.
func (n *Node) allocateProducerIDs(ctx context.Context) (block controller.ProducerIDBlock, err error) {
	ctx, cancel := context.WithTimeout(ctx, decideTime)
	defer cancel()
	err = n.decide(ctx, repeatable, func(ctx context.Context) (err error) {
		block, err = n.controller.AllocateProducerIDs(ctx, n.me, n.brokerEpoch())
		return err
	}, func(ctx context.Context, p *client.Peer) error {
		var resp wire.AllocateProducerIDsResponse
		if err := p.Call(ctx, &wire.AllocateProducerIDsRequest{BrokerID: int32(n.me), BrokerEpoch: int64(n.brokerEpoch())}, 0, &resp); err != nil {
			return err
		}
		block = controller.ProducerIDBlock{First: model.ProducerID(resp.First), Count: int(resp.Count)}
		return remoteError(resp.ErrorCode, nil)
	})
	return block, err
}

// Join implements peer.Node.
func (p nodePort) Join(ctx context.Context, q *wire.JoinRequest) wire.JoinResponse {
	n := p.n
	ctx, cancel := context.WithTimeout(ctx, decideTime)
	defer cancel()
	resp := wire.NewJoinResponse()
	err := n.decide(ctx, repeatable, func(ctx context.Context) error {
		endpoint, err := nodeEndpoint(q.Address)
		if err != nil {
			return fmt.Errorf("%w: %w", model.InvalidRequest.Err(), err)
		}
		id, err := n.controller.Join(ctx, controller.Join{DirectoryID: q.DirectoryID, ID: model.BrokerID(q.NodeID), Endpoints: []metadata.Endpoint{endpoint}})
		resp.NodeID = int32(id)
		if err == nil {
			n.links.book.learn(id, q.DirectoryID, q.Address) // what it said before it restarted is out of date
		}
		return err
	}, func(ctx context.Context, p *client.Peer) error {
		if err := p.Call(ctx, q, 0, &resp); err != nil {
			return err
		}
		return remoteError(resp.ErrorCode, resp.ErrorMessage)
	})
	if err != nil {
		text := err.Error()
		return wire.JoinResponse{ErrorCode: n.codeOf(err), ErrorMessage: &text, NodeID: -1}
	}
	resp.ClusterID, resp.Members = n.identity.cluster, nil
	for _, m := range n.quorum.Members() {
		resp.Members = append(resp.Members, wire.JoinResponseMember{
			NodeID: int32(m.NodeID), DirectoryID: m.DirectoryID, Address: n.addressOfNode(m.NodeID), Voter: !m.Learner,
		})
	}
	return resp
}

// codeOf is what another node is told of an error.
func (n *Node) codeOf(err error) model.ErrorCode {
	var code model.ErrorCode
	switch {
	case err == nil:
		return model.None
	case errors.As(err, &code):
		return code
	case errors.Is(err, quorum.ErrNotLeader), errors.Is(err, quorum.ErrClosed), errors.Is(err, errNoController):
		return model.NotController
	}
	return model.RequestTimedOut
}

// remote lets api reach the active controller.
type remote struct{ n *Node }

// Here implements api.Remote.
func (r remote) Here() bool { return r.n.alone() || r.n.quorum.Leads() }

// Forward implements api.Remote.
func (r remote) Forward(ctx context.Context, q *wire.ForwardRequest) (body []byte, err error) {
	n := r.n
	ctx, cancel := context.WithTimeout(ctx, decideTime)
	defer cancel()
	var resp wire.ForwardResponse
	err = n.decide(ctx, retriable, func(context.Context) error { return api.ErrHere }, func(_ context.Context, p *client.Peer) error {
		// A request may take its own time, not only that of a call.
		if err := p.Call(ctx, q, 0, &resp); err != nil {
			return err
		}
		return remoteError(resp.ErrorCode, nil)
	})
	if err != nil {
		return nil, err
	}
	// What the client was told about it finds here, too.
	for n.image.Load().Offset < model.Offset(resp.MetadataOffset) && n.sleep(ctx, time.Millisecond) {
	}
	return resp.Body, nil
}

// announce writes this node's address down where it changed.
func (n *Node) announce(ctx context.Context) error {
	for _, m := range n.quorum.Members() {
		if m.NodeID == n.me && addressOf(m.Endpoints) == n.links.self {
			return nil
		}
	}
	return n.join(ctx)
}

// join asks for the place this node has already.
func (n *Node) join(ctx context.Context) error {
	if n.links.self == "" {
		return nil
	}
	resp := nodePort{n}.Join(ctx, n.placeRequest())
	return remoteError(resp.ErrorCode, resp.ErrorMessage)
}
