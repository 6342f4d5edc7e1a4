package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/admin"
	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/coordinator/group"
	"github.com/klamm/klamm/internal/event"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/vfs"
)

// Node is one running broker and controller.
type Node struct {
	who
	world
	static   *config.Static
	resolver *config.Resolver

	image      atomic.Pointer[metadata.Image]
	publishing sync.Mutex // one change of the set of replicas at a time
	trusted    bool       // see trust; under publishing
	places
	groups *group.Service
	// groupSettings are those of the last image they were asked for.
	groupSettings atomic.Pointer[groupSettings]
	quorum        *quorum.Quorum
	controller    *controller.Controller
	following     following
	links         links
	edges         edges

	started, stopping atomic.Bool
	failed            chan error
}

// places are where this node's replicas are, and where they are going.
type places struct {
	dirs        *dirs
	replicas    *replicas
	unopened    unopened
	relocations relocations
	assignments assignments
}

// who says which node of which cluster this is, and which process.
type who struct {
	identity    identity
	me          model.BrokerID
	incarnation model.UUID
	epoch       atomic.Int64 // model.BrokerEpoch of this process's registration, -1 before
	version     string
}

// edges is what faces the outside.
type edges struct {
	server    *server.Server
	listeners []bound
	http      *http.Server
	stages    stages
	httpAddr  string
	metrics   *api.Metrics
	events    *events
	happened  *event.List
	cancel    context.CancelFunc // ends waiting requests
	done      sync.WaitGroup
}

// bound is a listener and the socket it stands for.
type bound struct {
	config.Listener
	socket net.Listener
}

// build makes a node from the bottom up. When it returns, clients are served.
func build(ctx context.Context, s *settings, version string, w world) (n *Node, err error) {
	n = &Node{static: s.static, world: w, failed: make(chan error, 1)}
	n.version = version
	n.epoch.Store(-1)
	defer func() {
		if err != nil {
			err = errors.Join(err, n.stop(false))
		}
	}()
	if _, err := io.ReadFull(n.random, n.incarnation[:]); err != nil {
		return n, err
	}
	n.edges.events, n.edges.happened = newEvents(n.log), event.NewList(keptEvents)
	if err := n.openPorts(s); err != nil {
		return n, err
	}
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	found, err := n.identify(ctx, s)
	if err != nil {
		return n, err
	}
	n.identity, n.me = found.identity, found.node
	if err := s.name(n.me, n.httpConfigured(s.http)); err != nil {
		return n, err
	}
	n.static = s.static
	n.levelName = n.static.String("klamm.log.level")
	n.resolver = config.NewResolver(s.static, n.me)
	n.replicas = newReplicas()
	n.follow()
	n.enters("recovering", "opening the data directories")
	if err := n.openDirs(s.dirs, found); err != nil {
		return n, err
	}
	n.spawn(func() { n.checkCluster(ctx, refuse) })
	n.enters("recovering", "reading the metadata log, opening the logs of its partitions, waiting for a controller")
	if err := n.joinQuorum(ctx, found); err != nil {
		return n, err
	}
	if err := n.listen(s.kafka); err != nil {
		return n, err
	}
	n.enters("registering", "waiting for the controller")
	if err := n.register(ctx); err != nil {
		return n, err
	}
	n.trust()
	n.serve()
	if err := n.enter(ctx); err != nil {
		return n, err
	}
	n.spawn(n.live)
	n.serveHTTP()
	n.started.Store(true)
	n.retryUnopened()
	return n, nil
}

// openPorts takes the ports, before anything is written.
func (n *Node) openPorts(s *settings) error {
	if err := n.openHTTP(s.http); err != nil {
		return err
	}
	if err := n.listenToNodes(s); err != nil {
		return err
	}
	return n.probe(s)
}

// configuredID is node.id, or broker.id as older files have it; -1 when neither is set.
func configuredID(static *config.Static) model.BrokerID {
	for _, key := range []string{"node.id", "broker.id"} {
		if static.IsSet(key) {
			return model.BrokerID(static.Int(key))
		}
	}
	return -1
}

func (n *Node) openDirs(paths []string, found *place) error {
	var list []*commitlog.Dir
	var broken []brokenDir
	for i, p := range paths {
		var id model.UUID // the first directory has told the others already what it will be called
		if i == 0 {
			id = found.directory
		}
		dir, err := commitlog.OpenDir(
			commitlog.Env{FS: n.disk, Clock: n.clock, Random: n.random, Events: n.edges.events.add},
			commitlog.DirOptions{
				Path: p, NodeID: n.me, ClusterID: n.identity.cluster, DirectoryID: id,
				RecoveryThreads: n.static.Int("num.recovery.threads.per.data.dir"),
				MaxOpenFiles:    n.static.Int("klamm.log.open.files.max"),
				SyncInterval:    n.static.Duration("klamm.log.sync.interval.ms"),
				RetentionCheck:  n.static.Duration("log.retention.check.interval.ms"),
				ScrubRate:       n.static.Int64("klamm.log.scrub.bytes.per.second"),
				CleanInterval:   n.static.Duration("log.cleaner.backoff.ms"),
				CleanerMemory:   n.static.Int64("log.cleaner.dedupe.buffer.size"),
				OnOffline:       func(err error) { n.dirOffline(p, err) },
			})
		if err != nil && i > 0 && !errors.Is(err, vfs.ErrLocked) && !errors.Is(err, commitlog.ErrWrongDirectory) {
			// Not the first, which has the metadata log: the others go on without it, as in Kafka (KIP-112).
			n.log.Error("data directory does not open; the node starts without it", "dir", p, "err", err)
			broken = append(broken, brokenDir{p, err})
			continue
		}
		if err != nil {
			for _, d := range list {
				err = errors.Join(err, d.Close(-1))
			}
			return fmt.Errorf("data directory %s: %w", p, err)
		}
		list = append(list, dir)
	}
	n.dirs = newDirs(list, broken)
	n.settle(found)
	return nil
}

// dirOffline ends the service of every replica in a failed directory. A node without a directory left stops, as Kafka does.
func (n *Node) dirOffline(path string, err error) {
	n.log.Error("data directory is offline", "dir", path, "err", err)
	n.tell(event.DirOffline, "failed", fmt.Sprintf("data directory %s of broker %d is offline: %v", path, n.me, err))
	if n.dirs == nil {
		return
	}
	online := 0
	for _, d := range n.dirs.list {
		if d.Offline() == nil {
			online++
		}
	}
	for _, r := range n.replicas.all() {
		if r.dir.Path() == path {
			r.part.Fail(replication.ErrOffline)
		}
	}
	if online > 0 && n.started.Load() && !n.alone() {
		n.spawn(n.tellOffline)
	}
	if online == 0 {
		n.fail(fmt.Errorf("every data directory is offline: %w", err))
	}
}

// fail ends the node from within; the first cause counts.
func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default:
	}
}

// joinQuorum opens the metadata log; by the time it is ready, publish has opened every log that the metadata knows.
func (n *Node) joinQuorum(ctx context.Context, found *place) error {
	n.groups = group.New(group.Options{
		Clock: n.clock, Logger: n.log.With("component", "groups"), Rand: n.random,
		Config:     func() group.Config { return n.groupConfig() },
		Partitions: func() int32 { return n.partitionsOf(group.Topic) },
	})
	n.image.Store(metadata.Empty(n.identity.cluster))
	home := n.dirs.list[0]
	var err error
	n.quorum, err = quorum.Open(quorum.Options{
		FS: n.disk, Clock: n.clock, Logger: n.log.With("component", "quorum"), Dir: metadataPath(home.Path()),
		Identity: quorum.Identity{ClusterID: n.identity.cluster, NodeID: n.me, DirectoryID: home.Identity().DirectoryID},
		Founders: n.founders(found), Join: found.joins, Send: n.send,
		Publish: n.publish, Failed: n.fail,
		// Without their metadata partitions would be deleted as strays; and a member of a cluster whose metadata log is gone would found another
		// one under the same name.
		MustExist: n.dirs.holdsPartitions() || found.settled && len(n.links.join) > 0,
	})
	if err != nil {
		return err
	}
	if !found.directory.IsZero() {
		n.dropDraft(home.Path())
	}
	n.controller = controller.New(controller.Options{
		Me: n.me, Log: n.quorum, Clock: n.clock, Logger: n.log.With("component", "controller"), Random: n.random, Resolver: n.resolver,
		SessionTimeout: n.static.Duration("broker.session.timeout.ms"), BalanceInterval: n.balanceInterval(),
		Tell: n.edges.happened.Add,
	})
	n.openPort()
	if err := n.quorum.Ready(ctx); err != nil {
		return fmt.Errorf("metadata quorum: %w", errors.Join(err, context.Cause(ctx)))
	}
	return n.announce(ctx)
}

// groupConfig is asked at every step of a group; only a new image can change it.
func (n *Node) groupConfig() group.Config {
	img := n.image.Load()
	if s := n.groupSettings.Load(); s != nil && s.image == img {
		return s.config
	}
	s := &groupSettings{img, groupConfig(n.resolver.Broker(img), n.resolver.Topic(img, group.Topic))}
	n.groupSettings.Store(s)
	return s.config
}

func (n *Node) partitionsOf(topic string) int32 {
	if t := n.image.Load().Topic(topic); t != nil {
		return int32(len(t.Partitions))
	}
	return 0
}

func (n *Node) producerExpiry(img *metadata.Image) time.Duration {
	return n.resolver.Broker(img).Duration("producer.id.expiration.ms")
}

// endpoint is what the cluster is told about a listener.
func (n *Node) endpoint(b bound) metadata.Endpoint {
	port := b.socket.Addr().(*net.TCPAddr).Port
	for _, a := range n.static.AdvertisedListeners() {
		if a.Name == b.Name {
			return metadata.Endpoint{Name: b.Name, Host: a.Host, Port: uint16(a.Port)}
		}
	}
	return metadata.Endpoint{Name: b.Name, Host: b.Host, Port: uint16(port)}
}

// advertised is where a client of this connection reaches a broker. Without advertised.listeners it is the address the client itself
// dialled: whatever name or port forwarding brought it here brings it here again.
func (n *Node) advertised(c *server.Conn, id model.BrokerID) (host string, port int32, ok bool) {
	name := c.Listener().Name
	for _, a := range n.static.AdvertisedListeners() {
		if a.Name == name && id == n.me {
			return a.Host, int32(a.Port), true
		}
	}
	if id == n.me {
		if local, isTCP := c.LocalAddr().(*net.TCPAddr); isTCP {
			return local.IP.String(), int32(local.Port), true
		}
	}
	b := n.image.Load().Broker(id)
	if b == nil {
		return "", 0, false
	}
	for _, e := range b.Endpoints {
		if e.Name == name {
			return e.Host, int32(e.Port), true
		}
	}
	return "", 0, false
}

// checks are the conditions of readiness.
func (n *Node) checks() []admin.Check {
	online := 0
	for _, d := range n.dirs.list {
		if d.Offline() == nil {
			online++
		}
	}
	st := n.quorum.Status()
	b := n.image.Load().Broker(n.me)
	waiting := n.unopened.len()
	return []admin.Check{
		{Name: "started", OK: n.started.Load()},
		{Name: "not draining", OK: !n.stopping.Load()},
		{Name: "data directories", OK: online == len(n.dirs.list), Detail: fmt.Sprintf("%d of %d online", online, len(n.dirs.list)+len(n.dirs.broken))},
		{Name: "metadata quorum", OK: st.Leader != model.NoBroker, Detail: fmt.Sprintf("leader %d, term %d", st.Leader, st.Term)},
		{Name: "registered", OK: b != nil && !b.Fenced && b.Incarnation == n.incarnation},
		{Name: "replicas", OK: waiting == 0, Detail: fmt.Sprintf("%d cannot be opened", waiting)},
	}
}
