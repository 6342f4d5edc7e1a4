package node

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/coordinator/group"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
)

// publish makes this node follow the metadata: it opens, changes and deletes its replicas, and only then lets requests see the image.
// The quorum calls it with one image after the other.
func (n *Node) publish(img *metadata.Image, d *metadata.Delta) {
	n.publishing.Lock()
	defer n.publishing.Unlock()
	values := n.resolver.Topics(img)
	n.applyTopics(img, d, values)
	n.applyConfigs(img, d, values)
	n.image.Store(img)
	n.elect(img, d)
	if gone := deletedTopics(d); len(gone) > 0 {
		n.groups.TopicsDeleted(gone)
	}
	n.trustLocked(img)
	if d.Voters || d.Controller {
		n.tendSoon()
	}
}

// opening is a replica that has to be opened, or told its new state.
type opening struct {
	topic *metadata.Topic
	index int32
}

func (o opening) tp() model.TopicPartition {
	return model.TopicPartition{Topic: o.topic.Name, Partition: o.index}
}

func (o opening) id() model.TopicIDPartition {
	return model.TopicIDPartition{ID: o.topic.ID, Partition: o.index}
}

func (n *Node) applyTopics(img *metadata.Image, d *metadata.Delta, values func(string) config.TopicValues) {
	var todo []opening
	for i := range d.Topics {
		c := &d.Topics[i]
		if c.New == nil {
			for p := range c.Old.Partitions {
				n.drop(opening{c.Old, int32(p)})
			}
			continue
		}
		for _, p := range c.Partitions {
			o := opening{c.New, p}
			if !n.assigned(img, o.id()) {
				if n.trusted {
					n.drop(o)
				}
				continue
			}
			todo = append(todo, o)
		}
	}
	n.inParallel(todo, func(o opening) { n.bring(img, o, values) })
}

// inParallel opens many logs at once: after a crash each may have to be scanned.
func (n *Node) inParallel(todo []opening, f func(opening)) {
	workers := min(len(todo), 2*runtime.GOMAXPROCS(0))
	if workers <= 1 {
		for _, o := range todo {
			f(o)
		}
		return
	}
	var wg sync.WaitGroup
	next := make(chan opening, 4*workers)
	for range workers {
		wg.Go(func() {
			for o := range next {
				f(o)
			}
		})
	}
	for _, o := range todo {
		next <- o
	}
	close(next)
	wg.Wait()
}

// bring opens a replica if it is not open yet, and gives it its role.
func (n *Node) bring(img *metadata.Image, o opening, values func(string) config.TopicValues) {
	r := n.replicas.get(o.id())
	if r == nil {
		var err error
		if r, err = n.open(img, o, values(o.topic.Name)); err != nil {
			n.log.Error("replica cannot be opened", "topic", o.topic.Name, "partition", o.index, "err", err)
			if !errors.Is(err, errDirOffline) { // that takes a restart
				n.unopened.add(o)
			}
			return
		}
	}
	n.replicas.put(o.id(), r)
	n.assume(img, o, r)
	n.assignments.look(img, o, r)
}

func (n *Node) open(img *metadata.Image, o opening, v config.TopicValues) (*replica, error) {
	dir, isNew, err := n.place(o)
	if err != nil {
		return nil, err
	}
	// What the log reports before the replica stands is read from it when it does.
	var part atomic.Pointer[replication.Partition]
	options := commitlog.LogOptions{TP: o.tp(), TopicID: o.topic.ID, Config: logConfig(&v, n.producerExpiry(img)), OnDurable: func(end model.Offset) {
		if p := part.Load(); p != nil {
			p.OnDurable(end)
		}
	}}
	log, err := dir.Open(options)
	if errors.Is(err, commitlog.ErrTopicIDMismatch) {
		// The end of this node came between the deletion of a topic and that of its files, and the name has been given away again.
		n.log.Warn("log of a deleted topic makes room", "topic", o.topic.Name, "partition", o.index, "dir", dir.Path())
		if err = dir.DeleteStray(o.tp()); err == nil {
			log, err = dir.Open(options)
		}
	}
	if err != nil {
		if isNew {
			n.dirs.closed(o.tp())
		}
		return nil, err
	}
	part.Store(replication.New(replication.Options{
		TP: o.tp(), TopicID: o.topic.ID, Me: n.me, Log: log, Clock: n.clock, Config: replicaConfig(&v, n.lagTime()),
		ISR: n.following.isr, Sending: n.following.sending, Lapsed: n.lapsed,
	}))
	n.relocations.resume(o, dir)
	return &replica{part: part.Load(), dir: dir}, nil
}

// drop closes and deletes a replica that the metadata no longer gives this node.
func (n *Node) drop(o opening) {
	n.unopened.remove(o.id())
	n.relocations.cancel(o.id())
	n.following.fetcher.Forget(o.id())
	r := n.replicas.remove(o.id())
	if r == nil {
		return
	}
	r.part.Fail(replication.ErrDeleted)
	n.dirs.closed(o.tp())
	if err := r.dir.Delete(r.part.Log()); err != nil && !errors.Is(err, commitlog.ErrOffline) {
		n.log.Error("log cannot be deleted", "topic", o.topic.Name, "partition", o.index, "err", err)
	}
}

// applyConfigs hands changed values to the replicas they concern.
func (n *Node) applyConfigs(img *metadata.Image, d *metadata.Delta, values func(string) config.TopicValues) {
	all := false
	for _, c := range d.Configs {
		switch c.Type {
		case model.ResourceTopic:
			if t := img.Topic(c.Name); t != nil {
				n.configure(img, t, values(t.Name))
			}
		case model.ResourceBroker:
			all = true
		case model.ResourceBrokerLogger, model.ResourceClientMetrics, model.ResourceGroup:
			// Read where they are used.
		}
	}
	if !all {
		return
	}
	n.applyBroker(img)
	for t := range img.Topics() {
		n.configure(img, t, values(t.Name))
	}
}

func (n *Node) configure(img *metadata.Image, t *metadata.Topic, v config.TopicValues) {
	expiry := n.producerExpiry(img)
	for i := range t.Partitions {
		if r := n.replicas.get(model.TopicIDPartition{ID: t.ID, Partition: int32(i)}); r != nil {
			r.part.Log().SetConfig(logConfig(&v, expiry))
			n.relocations.configure(r.id(), logConfig(&v, expiry))
			r.part.SetConfig(replicaConfig(&v, n.lagTime()))
			n.throttle(img, r)
		}
	}
}

// applyBroker takes over dynamic settings of this broker.
func (n *Node) applyBroker(img *metadata.Image) {
	v := n.resolver.Broker(img)
	n.following.setRates(v)
	n.relocations.rate.SetRate(v.Int64("replica.alter.log.dirs.io.max.bytes.per.second"))
	for _, d := range n.dirs.list {
		d.SetCleaner(v.Duration("log.cleaner.backoff.ms"), v.Int64("log.cleaner.dedupe.buffer.size"))
	}
	// Only a change counts: clients may have set another level on the broker's logger meanwhile (KIP-412).
	if level := v.String("klamm.log.level"); level != n.levelName {
		n.levelName = level
		if err := setLevel(n.level, level); err != nil {
			n.log.Warn("dynamic setting ignored", "err", err)
		}
	}
}

// elect tells the group coordinator which partitions of its topic this node leads now.
func (n *Node) elect(img *metadata.Image, d *metadata.Delta) {
	for i := range d.Topics {
		c := &d.Topics[i]
		if c.Topic().Name != group.Topic {
			continue
		}
		if c.New == nil {
			for p := range c.Old.Partitions {
				n.groups.Deleted(int32(p))
			}
			continue
		}
		for _, p := range c.Partitions {
			m := &c.New.Partitions[p]
			r := n.replicas.get(model.TopicIDPartition{ID: c.New.ID, Partition: p})
			if n.leads(img, m) && r != nil {
				n.groups.Elected(p, m.LeaderEpoch, groupLog{r})
			} else {
				n.groups.Resigned(p, m.LeaderEpoch)
			}
		}
	}
}

func deletedTopics(d *metadata.Delta) []group.DeletedTopic {
	var gone []group.DeletedTopic
	for i := range d.Topics {
		if c := &d.Topics[i]; c.New == nil {
			gone = append(gone, group.DeletedTopic{Name: c.Old.Name, ID: c.Old.ID})
		}
	}
	return gone
}
