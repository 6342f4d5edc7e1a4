package cluster

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/node"
	"github.com/klamm/klamm/internal/replication"
)

// oracle knows what the cluster has promised so far, and looks from above whether the nodes keep it: the invariants of correctness.md that
// need more than one node's eyes. What clients see is the history's business.
type oracle struct {
	s *Sim
	// leaders and controllers: who was seen in which epoch or term. R4, M2.
	leaders     map[epochOf]reign
	controllers map[int32]model.BrokerID
	// committed is what stands at each offset that was below a leader's high watermark.
	committed map[model.TopicIDPartition]*promise
	seen      map[*process]map[model.TopicIDPartition]*view
	synced    map[*process]map[model.TopicIDPartition]model.Offset
	doomed    map[*process]map[model.TopicIDPartition]model.Offset // where logs ended when a sync had failed
	images    map[model.Offset]uint64
	offset    map[*process]model.Offset
	producer  model.ProducerID
	removed   map[model.TopicID]bool
	// latest is the newest metadata that any process ever had: one that is left behind believes old things.
	latest *metadata.Image
	live   map[model.TopicID]string
}

type epochOf struct {
	tp    model.TopicIDPartition
	epoch model.LeaderEpoch
}

// reign is a leader in its epoch.
type reign struct {
	node model.BrokerID
	p    *process
	hw   model.Offset
	at   model.PartitionEpoch
	isr  int
}

func newOracle(s *Sim) *oracle {
	return &oracle{
		s: s, leaders: map[epochOf]reign{}, controllers: map[int32]model.BrokerID{}, committed: map[model.TopicIDPartition]*promise{},
		seen: map[*process]map[model.TopicIDPartition]*view{}, synced: map[*process]map[model.TopicIDPartition]model.Offset{},
		doomed: map[*process]map[model.TopicIDPartition]model.Offset{}, images: map[model.Offset]uint64{}, offset: map[*process]model.Offset{},
		removed: map[model.TopicID]bool{}, live: map[model.TopicID]string{},
	}
}

// living is a node that runs, with its process.
type living struct {
	p *process
	n *node.Node
}

func (s *Sim) living() []living {
	var out []living
	for _, m := range s.machines {
		m.mu.Lock()
		p := m.proc
		m.mu.Unlock()
		if n := m.ready(); n != nil && p != nil {
			out = append(out, living{p, n})
		}
	}
	return out
}

// look judges the cluster at this moment.
func (o *oracle) look() {
	nodes := o.s.living()
	for _, l := range nodes {
		if l.p.isKilled() || l.p.gate.isShut() {
			continue
		}
		o.quorum(l)
		o.image(l)
		replicas := l.n.Replicas()
		slices.SortFunc(replicas, func(a, b node.Replica) int { return compareTP(a.ID(), a.TP(), b.ID(), b.TP()) })
		for _, r := range replicas {
			if !r.Info().Offline {
				o.replica(l, r)
			}
		}
	}
	o.candidates(nodes)
	for p := range o.seen {
		if p.isKilled() || p.isEnded() {
			delete(o.seen, p)
			delete(o.synced, p)
			delete(o.doomed, p)
			delete(o.offset, p)
		}
	}
}

func (p *process) isEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

func compareTP(ai model.TopicID, a model.TopicPartition, bi model.TopicID, b model.TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), slices.Compare(ai[:], bi[:]))
}

func (o *oracle) fail(id, format string, args ...any) { o.s.fail(id, fmt.Errorf(format, args...)) }

// replica judges one copy of a partition.
func (o *oracle) replica(l living, r node.Replica) {
	tp := model.TopicIDPartition{ID: r.ID(), Partition: r.TP().Partition}
	start, hw, end := r.LogStart(), r.HighWatermark(), r.LogEnd()
	name := fmt.Sprintf("%s-%d on %s", r.TP().Topic, tp.Partition, l.p.m.name)
	if start > end || hw > end {
		o.fail("L3", "%s: log start %d, high watermark %d, end %d", name, start, hw, end)
	}
	info := r.Info()
	o.failedSync(l.p, tp, r, name)
	if durable := o.durable(l.p, tp, r); info.IsLeader && len(info.Replicas) > 1 && hw > durable {
		o.fail("R1", "%s: high watermark %d, but only %d is on disk", name, hw, durable)
	}
	if info.IsLeader {
		o.leader(l, r, tp, info, name)
	}
	o.compare(l, r, tp, name)
}

// failedSync looks whether a process goes on to confirm after one of its syncs has failed: S5. What was under way then may still be confirmed,
// what was appended later may not, whatever a second sync says.
func (o *oracle) failedSync(p *process, tp model.TopicIDPartition, r node.Replica, name string) {
	if !p.failed.Load() {
		return
	}
	if o.doomed[p] == nil {
		o.doomed[p] = map[model.TopicIDPartition]model.Offset{}
	}
	end, ok := o.doomed[p][tp]
	if !ok {
		o.doomed[p][tp] = r.LogEnd()
		return
	}
	if durable := r.Log.DurableEnd(); durable > end {
		o.fail("S5", "%s confirms %d as synced, and ended at %d when it knew that a sync had failed", name, durable, end)
	}
}

// durable is up to where a copy is on disk. A process that has just started vouches for nothing behind its last checkpoint before its first
// sync, but what it has found there was on disk before.
func (o *oracle) durable(p *process, tp model.TopicIDPartition, r node.Replica) model.Offset {
	end := r.Log.DurableEnd()
	if o.s.opts.pageCache && r.TP().Topic == topic {
		return r.LogEnd()
	}
	if o.synced[p] == nil {
		o.synced[p] = map[model.TopicIDPartition]model.Offset{}
	}
	found, ok := o.synced[p][tp]
	if !ok {
		found = end
		o.synced[p][tp] = end
	}
	if end == found && p.m.boots() > 1 {
		return r.LogEnd()
	}
	return end
}

// leader judges a leader and learns what it has committed.
func (o *oracle) leader(l living, r node.Replica, tp model.TopicIDPartition, info replication.Info, name string) {
	key := epochOf{tp, info.LeaderEpoch}
	id := model.BrokerID(l.n.ID())
	hw := r.HighWatermark()
	was, ok := o.leaders[key]
	switch {
	case ok && was.node != id:
		o.fail("R4", "%s leads in epoch %d, and so did node %d", name, info.LeaderEpoch, was.node)
	case ok && was.p != l.p:
		// What the process before had appended and not synced may be gone here and be on a follower: nothing would tell it from what comes now.
		o.fail("R4", "%s leads in epoch %d, and so did the process before it", name, info.LeaderEpoch)
	case ok && was.p == l.p && hw < was.hw:
		o.fail("L3", "%s: the high watermark went back from %d to %d in epoch %d", name, was.hw, hw, info.LeaderEpoch)
	case ok && was.p == l.p && hw > was.hw && was.at == info.PartitionEpoch && max(was.isr, len(info.ISR)) < info.MinISR:
		o.fail("R2", "%s: the high watermark moved from %d to %d with an ISR of %d under %d", name, was.hw, hw, len(info.ISR), info.MinISR)
	case !ok:
		o.s.sometimes("a leader was elected")
		if r.TP().Topic == topic {
			o.s.trace("%s leads in epoch %d, high watermark %d, end %d", name, info.LeaderEpoch, hw, r.LogEnd())
		}
		if c := o.committed[tp]; c != nil && r.LogEnd() < c.end && info.LeaderEpoch >= c.by {
			o.fail("R5", "%s leads in epoch %d with an end of %d, but %d was committed", name, info.LeaderEpoch, r.LogEnd(), c.end)
		}
	}
	o.leaders[key] = reign{id, l.p, hw, info.PartitionEpoch, len(info.ISR)}
	if len(info.ISR) < len(info.Replicas) {
		o.s.sometimes("the ISR was not whole")
	}
	o.learn(r, tp, hw, name)
}
