package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/client"
	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/peer"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/wire"
)

// links are what ties this node to others: its node port, and its connections to theirs.
type links struct {
	socket  net.Listener // nil on a node that nobody can join
	self    string       // where others reach it; "" without a socket
	listed  bool         // self is in join
	join    []string     // --join, sorted
	server  *server.Server
	service *peer.Service
	// Raft has connections of its own: what waits for a commit must not stand in the way of the messages that bring it about. So have
	// followers, whose fetches wait.
	raft, calls, fetches *client.Client
	book                 book
	quorum               atomic.Pointer[quorum.Quorum]
	doors                atomic.Pointer[doors]
	ctx                  context.Context // ends when the node stops
	end                  context.CancelFunc
	done                 sync.WaitGroup
	tend                 chan struct{} // the metadata quorum may want more voters
	heartbeat            chan struct{} // closed when no more heartbeats shall be sent
	lease                lease

	mu struct {
		sync.Mutex
		standing standing
		senders  map[model.BrokerID]*sender
		ended    bool
	}
}

// standing is what Hello says of this node.
type standing struct {
	identity  // zero before it has one
	directory model.UUID
	founders  []string        // what it waits for, nil when it is not founding
	members   []quorum.Member // of the cluster it has just formed, until the quorum knows better
}

// book is where nodes are reached, by their own word: it is newer than what the metadata says.
type book struct {
	sync.Mutex
	pages map[model.BrokerID]page
}

type page struct {
	directory model.UUID
	address   string
}

func (b *book) learn(id model.BrokerID, directory model.UUID, address string) {
	if id < 0 || address == "" {
		return
	}
	b.Lock()
	defer b.Unlock()
	if b.pages == nil {
		b.pages = map[model.BrokerID]page{}
	}
	b.pages[id] = page{directory, address}
}

// find is the address of a node whose directory is the given one; a zero directory takes any.
func (b *book) find(id model.BrokerID, directory model.UUID) string {
	b.Lock()
	defer b.Unlock()
	if p, ok := b.pages[id]; ok && (directory.IsZero() || p.directory == directory) {
		return p.address
	}
	return ""
}

// nodeLimits bound what the node port takes. Before Hello a frame is small; a snapshot of the metadata is one frame.
func nodeLimits() server.Limits {
	return server.Limits{OtherFrameBytes: 512 << 20, FrameBytes: 512 << 20, QueuedBytes: 1 << 30, Idle: time.Hour}
}

// listenToNodes opens the node port and says Hello on it.
func (n *Node) listenToNodes(s *settings) error {
	l := &n.links
	l.ctx, l.end = context.WithCancel(context.Background())
	l.tend, l.heartbeat = make(chan struct{}, 1), make(chan struct{})
	l.mu.senders = map[model.BrokerID]*sender{}
	l.join = s.join
	n.dialers()
	socket := s.socket
	if socket == nil {
		var err error
		if socket, err = n.net.Listen("tcp", s.node); err != nil {
			if s.nodeAsked || len(s.join) > 0 {
				return fmt.Errorf("node port (klamm.node.listen): %w", err)
			}
			n.log.Info("no other node can join this one", "node_listen", s.node, "err", err)
			return nil
		}
	}
	l.socket = socket
	if l.self, l.listed = ownAddress(l.join, socket); !l.listed {
		l.self = reachableAt(socket, l.join)
	}
	l.service = peer.New(l.ctx, peer.Options{Node: nodePort{n}, Logger: n.log.With("component", "nodes")})
	l.server = server.New(server.Options{Handler: l.service, Clock: n.clock, Logger: n.log.With("component", "nodes"), Limits: nodeLimits()})
	l.done.Go(func() {
		if err := l.server.Serve(socket, server.Listener{Name: nodeListener, Authenticate: true}); err != nil {
			n.fail(fmt.Errorf("node port: %w", err))
		}
	})
	return nil
}

// dialers make the clients that other nodes are talked to with.
func (n *Node) dialers() {
	l := &n.links
	o := client.Options{
		Dial: n.net.DialContext, Clock: n.clock, ID: "klamm", Greet: func() wire.Request { return n.hello() }, Greeted: n.greeted,
		DialTimeout: helloTime,
	}
	l.calls, l.fetches = client.New(o), client.New(o)
	o.Pause = 50 * time.Millisecond
	o.Lost = func(addr string) { n.spawn(func() { n.connectionLost(addr) }) }
	l.raft = client.New(o)
	n.following.fetch, n.following.call = n.caller(l.fetches), n.caller(l.calls)
}

// doors are how requests that came to the node port get to api, once clients are served.
type doors struct{ clients, followers *api.API }

// openPort begins to serve the members of the cluster on the node port.
func (n *Node) openPort() {
	n.links.quorum.Store(n.quorum)
	n.spawn(n.tendQuorum)
	if n.links.service == nil {
		return
	}
	n.links.service.Open(peer.Cluster{
		Me: n.me, Raft: n.quorum.Receive, Controller: n.controller, Forward: n.carryOut, Fetch: followers{n}, CodeOf: n.codeOf,
		Events: n.edges.happened.Newest,
	})
}

// caller sends requests to nodes by their ids.
func (n *Node) caller(c *client.Client) func(context.Context, model.BrokerID, wire.Request, int16, wire.Response) error {
	return func(ctx context.Context, to model.BrokerID, req wire.Request, version int16, resp wire.Response) error {
		addr := n.addressOfNode(to)
		if addr == "" {
			return errNoAddress
		}
		return c.Peer(addr).Call(ctx, req, version, resp)
	}
}

// carryOut does what another node's client asked for.
func (n *Node) carryOut(ctx context.Context, c *server.Conn, q *wire.ForwardRequest) wire.ForwardResponse {
	if d := n.links.doors.Load(); d != nil {
		return d.clients.Forwarded(ctx, c, q)
	}
	return wire.ForwardResponse{ErrorCode: model.NotController}
}

// followers serves fetches of other nodes.
type followers struct{ n *Node }

var errStarting = errors.New("node is starting")

// Serve implements server.Handler.
func (f followers) Serve(c *server.Conn, r *server.Request) {
	if d := f.n.links.doors.Load(); d != nil {
		d.followers.Serve(c, r)
		return
	}
	r.Reply.Abort(errStarting)
}

// spawn runs f unless the node is stopping, which waits for it.
func (n *Node) spawn(f func()) {
	n.links.mu.Lock()
	defer n.links.mu.Unlock()
	if !n.links.mu.ended {
		n.links.done.Go(f)
	}
}

// unlink closes everything towards other nodes.
func (n *Node) unlink() error {
	l := &n.links
	if l.end == nil {
		return nil
	}
	l.end()
	l.mu.Lock()
	l.mu.ended = true
	l.mu.Unlock()
	for _, c := range []*client.Client{l.raft, l.calls, l.fetches} {
		c.Close()
	}
	var err error
	if l.server != nil {
		err = l.server.Close()
	}
	l.done.Wait()
	return err
}

// nodePort is what other nodes ask this one before and besides the cluster's business.
type nodePort struct{ n *Node }

// hello is how this node introduces itself.
func (n *Node) hello() *wire.HelloRequest {
	st := n.standing()
	q := wire.NewHelloRequest()
	q.DirectoryID, q.Address, q.Founders = st.directory, n.links.self, st.founders
	if st.cluster != "" {
		q.ClusterID, q.NodeID, q.Founders = &st.cluster, int32(st.node), nil
	}
	return &q
}

func (n *Node) standing() standing {
	n.links.mu.Lock()
	defer n.links.mu.Unlock()
	return n.links.mu.standing
}

// Hello implements peer.Node.
func (p nodePort) Hello(q *wire.HelloRequest) wire.HelloResponse {
	n := p.n
	st := n.standing()
	resp := wire.NewHelloResponse()
	resp.DirectoryID, resp.Founders = st.directory, st.founders
	if st.cluster != "" {
		resp.ClusterID, resp.NodeID, resp.Founders = &st.cluster, int32(st.node), nil
	}
	if q.ClusterID != nil && st.cluster != "" && *q.ClusterID != st.cluster {
		text := fmt.Sprintf("node %d at %s belongs to cluster %s, not to %s: correct klamm.join, or give the node that asks an empty data directory",
			st.node, n.links.self, st.cluster, *q.ClusterID)
		resp.ErrorCode, resp.ErrorMessage = model.InconsistentClusterID, &text
		return resp
	}
	if q.ClusterID != nil && st.cluster != "" {
		n.links.book.learn(model.BrokerID(q.NodeID), q.DirectoryID, q.Address)
	}
	members := st.members
	if q := n.links.quorum.Load(); q != nil && len(q.Members()) > 0 { // none before the first metadata
		members = q.Members()
	}
	for _, m := range members {
		resp.Members = append(resp.Members, wire.HelloResponseMember{NodeID: int32(m.NodeID), DirectoryID: m.DirectoryID, Address: addressOf(m.Endpoints)})
	}
	return resp
}

// greeted judges who answered at an address.
func (n *Node) greeted(addr string, body []byte) error {
	var resp wire.HelloResponse
	if err := resp.Decode(wire.NewDecoder(body, wire.DefaultLimits()), 0); err != nil {
		return err
	}
	if resp.ErrorCode != model.None {
		return fmt.Errorf("%w: %s", resp.ErrorCode.Err(), textOf(resp.ErrorMessage))
	}
	if resp.ClusterID != nil {
		n.links.book.learn(model.BrokerID(resp.NodeID), resp.DirectoryID, addr)
	}
	return nil
}

// addressOfNode is where a node is reached, or "".
func (n *Node) addressOfNode(id model.BrokerID) string {
	if q := n.links.quorum.Load(); q != nil {
		for _, m := range q.Members() {
			if m.NodeID != id {
				continue
			}
			if addr := n.links.book.find(id, m.DirectoryID); addr != "" {
				return addr
			}
			return addressOf(m.Endpoints)
		}
	}
	return n.links.book.find(id, model.UUID{})
}

// sender carries raft messages to one node, all that have gathered in one request, and the next when that was answered.
type sender struct {
	n      *Node
	to     model.BrokerID
	signal chan struct{}
	// refused says that the last connection was: it belongs to the goroutine.
	refused bool
	mu      struct {
		sync.Mutex
		queue [][]byte
	}
}

const (
	// maxQueued messages wait for a node. Raft sends again what it has to.
	maxQueued = 1000
	// raftTime is how long a node may take to answer for messages, plus raftPerMiB for each MiB of them: a snapshot can be large.
	raftTime   = 2 * time.Second
	raftPerMiB = 200 * time.Millisecond
)

// send implements quorum.Options.Send.
func (n *Node) send(to model.BrokerID, msgs [][]byte) {
	n.links.mu.Lock()
	s := n.links.mu.senders[to]
	if s == nil && !n.links.mu.ended {
		s = &sender{n: n, to: to, signal: make(chan struct{}, 1)}
		n.links.mu.senders[to] = s
		n.links.done.Go(s.run)
	}
	n.links.mu.Unlock()
	if s == nil {
		return
	}
	s.mu.Lock()
	if len(s.mu.queue) < maxQueued {
		s.mu.queue = append(s.mu.queue, msgs...)
	}
	s.mu.Unlock()
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

func (s *sender) run() {
	for {
		select {
		case <-s.signal:
		case <-s.n.links.ctx.Done():
			return
		}
		s.mu.Lock()
		msgs := s.mu.queue
		s.mu.queue = nil
		s.mu.Unlock()
		err := s.carry(msgs)
		if err == nil {
			s.refused = false
		} else if s.n.links.ctx.Err() == nil {
			s.n.log.Debug("raft messages lost", "to", s.to, "err", err)
			s.mu.Lock()
			s.mu.queue = nil // as old as those that were lost
			s.mu.Unlock()
			s.lost(err)
		}
	}
}

// lost says so where it matters. A machine that refuses the connection is there, but no node listens on it.
func (s *sender) lost(err error) {
	q := s.n.links.quorum.Load()
	if q == nil {
		return
	}
	q.Unreachable(s.to)
	refused := errors.Is(err, syscall.ECONNREFUSED)
	if refused && !s.refused {
		s.n.gone(s.to, s.n.addressOfNode(s.to))
	}
	s.refused = refused
}

var errNoAddress = errors.New("nobody knows where the node is reached")

func (s *sender) carry(msgs [][]byte) error {
	addr := s.n.addressOfNode(s.to)
	if addr == "" {
		return errNoAddress
	}
	size := 0
	for _, b := range msgs {
		size += len(b)
	}
	ctx, cancel := context.WithTimeout(s.n.links.ctx, raftTime+time.Duration(size>>20)*raftPerMiB)
	defer cancel()
	st := s.n.standing()
	q := wire.RaftRequest{From: int32(st.node), To: int32(s.to), DirectoryID: st.directory, Messages: make([]wire.RaftRequestMessage, len(msgs))}
	for i, b := range msgs {
		q.Messages[i].Body = b
	}
	var resp wire.RaftResponse
	if err := s.n.links.raft.Peer(addr).Call(ctx, &q, 0, &resp); err != nil {
		forgetStuck(s.n.links.raft, addr, err)
		return err
	}
	return resp.ErrorCode.Err()
}

// forgetStuck closes a connection that gave no answer in time. After an outage TCP takes long to send what it holds again; a new connection
// is there as soon as the network is.
func forgetStuck(c *client.Client, addr string, err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		c.Forget(addr)
	}
}

// How a lost connection is looked into: a process that dies closes its sockets one after the other.
const (
	lookTimes = 10
	lookPause = 20 * time.Millisecond
	lookWait  = 100 * time.Millisecond
)

// connectionLost finds out whether the process at the other end is dead, and makes it known if so.
func (n *Node) connectionLost(addr string) {
	id := n.nodeAt(addr)
	if id != model.NoBroker && n.links.quorum.Load() != nil && n.nobodyAt(addr) {
		n.gone(id, addr)
	}
}

// nobodyAt reports that nobody listens at an address where somebody did a moment ago.
func (n *Node) nobodyAt(addr string) bool {
	for range lookTimes {
		ctx, cancel := context.WithTimeout(n.links.ctx, lookWait)
		nc, err := n.net.DialContext(ctx, "tcp", addr)
		cancel()
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return true
		case errors.Is(err, syscall.ECONNRESET):
			// The socket was still there and took the connection, and was closed before the dial had returned.
		case err != nil:
			return false // nobody knows; its session will tell
		case staysOpen(nc, n.clock.Now().Add(lookWait)):
			return false
		}
		if !n.sleep(n.links.ctx, lookPause) {
			return false
		}
	}
	return false
}

// gone makes it known that a node's process is dead.
func (n *Node) gone(id model.BrokerID, addr string) {
	n.log.Info("node is gone", "node", id, "address", addr)
	n.links.quorum.Load().Lost(id)
	n.controller.Gone(id)
}

// staysOpen reports that the other end holds a connection until the deadline, and closes it.
func staysOpen(nc net.Conn, until time.Time) bool {
	defer func() { _ = nc.Close() }()
	if nc.SetReadDeadline(until) != nil {
		return false
	}
	_, err := nc.Read(make([]byte, 1))
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func (n *Node) nodeAt(addr string) model.BrokerID {
	for _, m := range n.links.quorum.Load().Members() {
		if m.NodeID != n.me && n.addressOfNode(m.NodeID) == addr {
			return m.NodeID
		}
	}
	return model.NoBroker
}

// sleep waits, and reports false when ctx ended first.
func (n *Node) sleep(ctx context.Context, d time.Duration) bool { return clock.Sleep(ctx, n.clock, d) }

// each runs f for 0 to count-1 at once and waits.
func (n *Node) each(count int, f func(int)) {
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// joinList is klamm.join, sorted and without repetitions.
func joinList(static *config.Static) ([]string, error) {
	var list []string
	for _, a := range static.List("klamm.join") {
		if _, _, err := splitAddress(a); err != nil {
			return nil, fmt.Errorf("klamm.join: %s: %w", a, err)
		}
		list = append(list, a)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}
