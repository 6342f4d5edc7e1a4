package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/commitlog"
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

// promise is the committed part of a partition. Compacted and page-cache topics promise less and are not here.
type promise struct {
	start, end model.Offset
	// by is the newest leader epoch that committed something: a leader of an older one, who hears late that it was elected, commits nothing.
	by    model.LeaderEpoch
	marks []mark // ascending
}

// mark is one batch.
type mark struct {
	base, next model.Offset
	epoch      model.LeaderEpoch
	crc        uint32
}

// view is how far a process's copy has been compared.
type view struct {
	checked model.Offset // the copy agrees up to here
}

func newOracle(s *Sim) *oracle {
	return &oracle{
		s: s, leaders: map[epochOf]reign{}, controllers: map[int32]model.BrokerID{}, committed: map[model.TopicIDPartition]*promise{},
		seen: map[*process]map[model.TopicIDPartition]*view{}, synced: map[*process]map[model.TopicIDPartition]model.Offset{}, images: map[model.Offset]uint64{}, offset: map[*process]model.Offset{},
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

// replica judges one copy of a partition.
func (o *oracle) replica(l living, r node.Replica) {
	tp := model.TopicIDPartition{ID: r.ID(), Partition: r.TP().Partition}
	start, hw, end := r.LogStart(), r.HighWatermark(), r.LogEnd()
	name := fmt.Sprintf("%s-%d on %s", r.TP().Topic, tp.Partition, l.p.m.name)
	if start > end || hw > end {
		o.fail("L3", "%s: log start %d, high watermark %d, end %d", name, start, hw, end)
	}
	info := r.Info()
	if durable := o.durable(l.p, tp, r); info.IsLeader && len(info.Replicas) > 1 && hw > durable {
		o.fail("R1", "%s: high watermark %d, but only %d is on disk", name, hw, durable)
	}
	if info.IsLeader {
		o.leader(l, r, tp, info, name)
	}
	o.compare(l, r, tp, name)
}

// durable is up to where a copy is on disk. A process that has just started vouches for nothing behind its last checkpoint before its first
// sync, but what it has found there was on disk before.
func (o *oracle) durable(p *process, tp model.TopicIDPartition, r node.Replica) model.Offset {
	end := r.Log.DurableEnd()
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

// learn reads what was committed since.
func (o *oracle) learn(r node.Replica, tp model.TopicIDPartition, hw model.Offset, name string) {
	if r.Log.Config().Compaction.Compact {
		return
	}
	c := o.committed[tp]
	if c == nil {
		c = &promise{start: r.LogStart(), end: r.LogStart()}
		o.committed[tp] = c
	}
	c.start = max(c.start, r.LogStart())
	if hw <= c.end {
		return
	}
	marks, err := o.read(r, max(c.end, r.LogStart()), hw)
	if err != nil {
		return // closing, or its disk failed
	}
	if len(marks) > 0 {
		c.by = max(c.by, r.Info().LeaderEpoch)
	}
	for _, m := range marks {
		if m.base < c.end {
			o.fail("L1", "%s: a batch at %d reaches into what was committed to %d", name, m.base, c.end)
		}
		c.end = m.next
	}
	c.marks = append(c.marks, marks...)
}

// read lists the batches of a log that lie below end whole.
func (o *oracle) read(r node.Replica, from, end model.Offset) ([]mark, error) {
	var marks []mark
	for from < end {
		s, err := r.Log.Read(from, commitlog.ReadOptions{MaxBytes: 1 << 20, End: end, MinOne: true})
		if err != nil {
			return marks, err
		}
		b, err := s.Bytes(nil)
		s.Release()
		if err != nil || len(b) == 0 {
			return marks, err
		}
		before := from
		for len(b) > 0 {
			one, h, rest, err := batch.Next(b)
			if err != nil {
				break // the read ends inside of a batch
			}
			b = rest
			if h.NextOffset() > end {
				return marks, nil
			}
			if batch.VerifyCRC(one) != nil {
				o.fail("L7", "a batch at %d of %s has a wrong checksum", h.BaseOffset, r.TP().Topic)
			}
			if h.NextOffset() <= from {
				continue
			}
			marks = append(marks, mark{h.BaseOffset, h.NextOffset(), h.LeaderEpoch, h.CRC})
			from = h.NextOffset()
		}
		if from == before {
			return marks, nil
		}
	}
	return marks, nil
}

// compare looks whether a copy agrees with what was committed: R5, LogMatching and L2. A copy may be behind; what it has below its own high
// watermark may not differ.
func (o *oracle) compare(l living, r node.Replica, tp model.TopicIDPartition, name string) {
	c := o.committed[tp]
	if c == nil {
		return
	}
	views := o.seen[l.p]
	if views == nil {
		views = map[model.TopicIDPartition]*view{}
		o.seen[l.p] = views
	}
	v := views[tp]
	end := min(r.HighWatermark(), c.end)
	if v == nil || r.LogEnd() < v.checked {
		v = &view{checked: max(c.start, r.LogStart())}
		views[tp] = v
	}
	v.checked = max(v.checked, r.LogStart())
	if end <= v.checked {
		return
	}
	marks, err := o.read(r, v.checked, end)
	if err != nil {
		return
	}
	at, _ := slices.BinarySearchFunc(c.marks, v.checked, func(m mark, off model.Offset) int { return cmp.Compare(m.next, off+1) })
	for _, m := range marks {
		for at < len(c.marks) && c.marks[at].next <= m.base {
			at++
		}
		if at == len(c.marks) || c.marks[at] != m {
			want := "nothing"
			if at < len(c.marks) {
				want = fmt.Sprint(c.marks[at])
			}
			o.fail("R5", "%s has the batch %v, where %s was committed", name, m, want)
			return
		}
		v.checked = m.next
	}
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

// same looks, once everything has settled, whether all copies are the same: R8.
func (o *oracle) same() error {
	type copyOf struct {
		name  string
		r     node.Replica
		marks []mark
	}
	first := map[model.TopicIDPartition]copyOf{}
	var errs []error
	for _, l := range o.s.living() {
		for _, r := range l.n.Replicas() {
			if r.Log.Config().Compaction.Compact {
				continue
			}
			tp := model.TopicIDPartition{ID: r.ID(), Partition: r.TP().Partition}
			marks, err := o.read(r, r.LogStart(), r.HighWatermark())
			if err != nil {
				errs = append(errs, fmt.Errorf("R8: %s-%d on %s: %w", r.TP().Topic, tp.Partition, l.p.m.name, err))
				continue
			}
			f, ok := first[tp]
			if !ok {
				first[tp] = copyOf{l.p.m.name, r, marks}
				continue
			}
			if !slices.Equal(f.marks, marks) {
				errs = append(errs, fmt.Errorf("R8: %s-%d differs on %s (%d batches to %d) and %s (%d batches to %d)", r.TP().Topic, tp.Partition,
					f.name, len(f.marks), f.r.HighWatermark(), l.p.m.name, len(marks), r.HighWatermark()))
			}
		}
	}
	return errors.Join(errs...)
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
