package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/fetcher"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/wire"
)

// errNoNodePort says that this node cannot reach others.
var errNoNodePort = errors.New("this node has no way to other nodes")

// following is how this node keeps up with the leaders of its partitions, and what it wants of the controller where it leads itself.
type following struct {
	fetcher *fetcher.Fetcher
	isr     *isrProposals
	// fetch and call send one request to another node: fetch on connections where long waits hurt nobody, call on those for the rest.
	// The node port sets them.
	fetch, call fetcher.Caller
	// sending and taking bound what replicas on the move take of this node.
	sending, taking *replication.Throttle
	// end ends moves between directories and what tells of them; done waits for that.
	end  context.CancelFunc
	done sync.WaitGroup
}

func (n *Node) follow() {
	n.following.isr = newISRProposals(n)
	n.following.sending, n.following.taking = replication.NewThrottle(n.clock), replication.NewThrottle(n.clock)
	n.following.fetcher = fetcher.New(fetcher.Options{
		Me: n.me, Epoch: n.brokerEpoch, Call: n.fetchFrom, Report: n.callNode, Clock: n.clock, Logger: n.log.With("component", "fetcher"),
		MaxWait:        n.static.Duration("replica.fetch.wait.max.ms"),
		MinBytes:       n.static.Int("replica.fetch.min.bytes"),
		PartitionBytes: n.static.Int("replica.fetch.max.bytes"),
		ResponseBytes:  n.static.Int("replica.fetch.response.max.bytes"),
		Taking:         n.following.taking,
		BackOff:        n.static.Duration("replica.fetch.backoff.ms"),
	})
	n.following.isr.tick()
	n.relocations.init(n)
	n.assignments.init(n)
	var ctx context.Context
	ctx, n.following.end = context.WithCancel(context.Background())
	n.following.done.Go(func() { n.relocations.run(ctx) })
	n.following.done.Go(func() { n.assignments.run(ctx) })
}

func (n *Node) fetchFrom(ctx context.Context, leader model.BrokerID, req wire.Request, version int16, resp wire.Response) error {
	if n.following.fetch == nil {
		return errNoNodePort
	}
	return n.following.fetch(ctx, leader, req, version, resp)
}

func (n *Node) callNode(ctx context.Context, id model.BrokerID, req wire.Request, version int16, resp wire.Response) error {
	if n.following.call == nil {
		return errNoNodePort
	}
	return n.following.call(ctx, id, req, version, resp)
}

func (f *following) close() {
	if f.fetcher != nil {
		f.fetcher.Close()
	}
	if f.isr != nil {
		f.isr.close()
	}
	if f.end != nil {
		f.end()
		f.done.Wait()
	}
}

func (n *Node) lagTime() time.Duration { return n.static.Duration("replica.lag.time.max.ms") }

// assume gives a replica the role that the metadata says.
func (n *Node) assume(img *metadata.Image, o opening, r *replica) {
	n.throttle(img, r)
	m := &o.topic.Partitions[o.index]
	if n.leads(img, m) {
		n.following.fetcher.Forget(o.id())
		r.part.BecomeLeader(m)
		return
	}
	if m.Leader == n.me {
		return // of an epoch before this process: the replica has no role yet
	}
	r.part.BecomeFollower(m)
	n.following.fetcher.Follow(r.part, m.Leader)
}

// balanceInterval is how often leadership goes back to preferred replicas, 0 for never.
func (n *Node) balanceInterval() time.Duration {
	if !n.static.Bool("auto.leader.rebalance.enable") {
		return 0
	}
	return time.Duration(n.static.Int64("leader.imbalance.check.interval.seconds")) * time.Second
}

// trust lets what the metadata does not give this node be deleted, once the metadata here is as new as this node's registration. Before,
// it may be old: a replica that it does not know yet, or that moved away and came back later, must not be taken for one too many.
func (n *Node) trust() {
	n.publishing.Lock()
	defer n.publishing.Unlock()
	n.trustLocked(n.image.Load())
}

// trustLocked is trust under publishing.
func (n *Node) trustLocked(img *metadata.Image) {
	epoch := n.brokerEpoch()
	if n.trusted || epoch < 0 || img.Offset < model.Offset(epoch) {
		return
	}
	n.trusted = true
	n.assignments.poke()
	open := map[model.TopicPartition]bool{}
	for _, r := range n.replicas.all() {
		tp := r.part.TP()
		open[tp] = true
		o := opening{index: tp.Partition}
		if o.topic = img.TopicByID(r.part.ID()); o.topic != nil && !n.assigned(img, o.id()) {
			n.log.Info("replica has moved away and is deleted", "topic", tp.Topic, "partition", tp.Partition)
			n.drop(o)
		}
	}
	n.deleteStrays(img, open)
}

// deleteStrays removes logs found on disk that the metadata does not give this node (any more): their topic was deleted, or they moved,
// while it was down. Of those that were found at the start, some are no more: old metadata still had them, and newer had them deleted.
func (n *Node) deleteStrays(img *metadata.Image, open map[model.TopicPartition]bool) {
	for _, dir := range n.dirs.list {
		for _, tp := range dir.Futures() {
			if open[tp] {
				continue
			}
			if err := dir.DropFuture(tp); err != nil {
				n.log.Error("stray log cannot be deleted", "topic", tp.Topic, "partition", tp.Partition, "err", err)
			}
		}
		for _, f := range dir.Found() {
			if open[f.TP] || !n.dirs.holds(f.TP) || n.assigned(img, model.TopicIDPartition{ID: f.TopicID, Partition: f.TP.Partition}) {
				continue
			}
			n.log.Warn("log belongs to no replica of this node and is deleted", "topic", f.TP.Topic, "partition", f.TP.Partition, "topic_id", f.TopicID,
				"dir", dir.Path())
			if err := dir.DeleteStray(f.TP); err != nil {
				n.log.Error("stray log cannot be deleted", "topic", f.TP.Topic, "partition", f.TP.Partition, "err", err)
			}
		}
	}
}

// assigned reports that the metadata gives this node a replica of a partition.
func (n *Node) assigned(img *metadata.Image, id model.TopicIDPartition) bool {
	p := img.Partition(id)
	return p != nil && slices.Contains(p.Replicas, n.me)
}
