package cluster

import (
	"slices"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// quorum: KRaft's NeverTwoLeadersInSameEpoch.
func (o *oracle) quorum(l living) {
	st := l.n.QuorumStatus()
	if st.Leader == model.NoBroker {
		return
	}
	was, ok := o.controllers[st.Term]
	if ok && was != st.Leader {
		o.fail("M2", "term %d has two leaders, %d and %d", st.Term, was, st.Leader)
	}
	if !ok {
		o.controllers[st.Term] = st.Leader
		if len(o.controllers) > 1 {
			o.s.sometimes("the controller changed")
		}
	}
}

// image: metadata only moves forward in a process (M3), is the same everywhere at the same offset, and never brings back what was removed (M5).
func (o *oracle) image(l living) {
	img := l.n.Image()
	if was, ok := o.offset[l.p]; ok && img.Offset < was {
		o.fail("M3", "%s went back from metadata %d to %d", l.p.m.name, was, img.Offset)
	}
	if o.offset[l.p] == img.Offset {
		return
	}
	o.offset[l.p] = img.Offset
	print := img.Fingerprint()
	if was, ok := o.images[img.Offset]; ok && was != print {
		o.fail("M3", "%s has other metadata at %d than another node", l.p.m.name, img.Offset)
	}
	o.images[img.Offset] = print
	if next := img.NextProducerID(); next > o.producer {
		o.producer = next
	}
	for t := range img.Topics() {
		if o.removed[t.ID] && img.Offset >= o.newest() {
			o.fail("M5", "topic %s (%s) is back after it was removed", t.Name, t.ID)
		}
	}
	if img.Offset < o.newest() {
		return
	}
	now := map[model.TopicID]string{}
	for t := range img.Topics() {
		now[t.ID] = t.Name
	}
	for id := range o.live {
		if now[id] == "" {
			o.removed[id] = true
		}
	}
	o.live = now
}

// newest is the furthest metadata any process has.
func (o *oracle) newest() model.Offset {
	top := model.Offset(-1)
	for _, off := range o.offset {
		top = max(top, off)
	}
	return top
}

// candidates: who is in the ISR or the ELR has everything that was committed (LeaderCandidateCompleteness).
func (o *oracle) candidates(nodes []living) {
	for _, l := range nodes {
		if img := l.n.Image(); o.latest == nil || img.Offset > o.latest.Offset {
			o.tell(img)
			o.latest = img
		}
	}
	newest := o.latest
	if newest == nil {
		return
	}
	for _, l := range nodes {
		id := model.BrokerID(l.n.ID())
		b := newest.Broker(id)
		if b == nil || b.Incarnation != l.n.Incarnation() || l.p.isKilled() || l.p.gate.isShut() {
			continue
		}
		for _, r := range l.n.Replicas() {
			tp := model.TopicIDPartition{ID: r.ID(), Partition: r.TP().Partition}
			part, c := newest.Partition(tp), o.committed[tp]
			if part == nil || c == nil || !slices.Contains(part.ISR, id) && !slices.Contains(part.ELR, id) || r.Info().Offline {
				continue
			}
			if end := o.durable(l.p, tp, r); end < c.end {
				o.fail("R1", "%s-%d on %s is in the ISR %v or ELR %v and has %d on disk, but %d was committed", r.TP().Topic, tp.Partition, l.p.m.name, part.ISR,
					part.ELR, end, c.end)
			}
		}
	}
}

// tell notes what became of the partitions that are written to.
func (o *oracle) tell(img *metadata.Image) {
	t := img.Topic(topic)
	if t == nil {
		return
	}
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if o.latest != nil {
			was := o.latest.Partition(model.TopicIDPartition{ID: t.ID, Partition: int32(i)})
			if was != nil && was.PartitionEpoch == p.PartitionEpoch {
				continue
			}
			o.moved(t.Name, i, was, p)
		}
		o.s.trace("metadata %d: %s-%d leader %d epoch %d.%d isr %v elr %v replicas %v", img.Offset, t.Name, i, p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.ISR,
			p.ELR, p.Replicas)
		if len(p.ELR) > 0 {
			o.s.sometimes("a replica was in the ELR")
		}
		if p.Leader == model.NoBroker {
			o.s.sometimes("a partition had no leader")
		}
	}
}

// moved judges a change of replicas: none that is in sync goes before those that come instead have caught up (R7). Several changes may lie
// between two looks; only a single one can be judged.
func (o *oracle) moved(name string, i int, was, p *metadata.Partition) {
	if was == nil || slices.Equal(was.Replicas, p.Replicas) || p.PartitionEpoch != was.PartitionEpoch+1 {
		return
	}
	o.s.sometimes("replicas moved")
	gone := slices.ContainsFunc(was.ISR, func(id model.BrokerID) bool { return !slices.Contains(p.Replicas, id) })
	late := slices.ContainsFunc(p.Replicas, func(id model.BrokerID) bool {
		return !slices.Contains(p.ISR, id) && (!slices.Contains(was.Replicas, id) || slices.Contains(was.Adding, id))
	})
	if gone && late {
		o.fail("R7", "%s-%d went from replicas %v with %v in sync to replicas %v with %v", name, i, was.Replicas, was.ISR, p.Replicas, p.ISR)
	}
}
