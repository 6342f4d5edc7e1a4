package history

import "strings"

// follower goes along the history with each client, once the order of all records is known.
type follower struct {
	c      *checker
	procs  map[int]*proc
	groups *groups
	// writers are the ops that told of each producer id.
	writers map[int64]*Op
}

// proc is where one client stands.
type proc struct {
	// grouped clients lose and get partitions between two polls; only what one poll returned can be judged.
	grouped bool
	// reads is where the client stands in each key that it assigned itself, or polled.
	reads  map[int32]*position
	sends  map[int32]position
	probes map[probeKey]probed
	// stale are keys already told as stale: one hole is one anomaly, not one for each poll.
	stale map[int32]bool
}

// position is the last record of a key that a client read or wrote.
type position struct {
	rank   int   // of reads: the rank of the next record
	offset int64 // of sends
	op     int
	exact  bool // false when nothing is known of where the client began
}

func newFollower(c *checker) *follower {
	return &follower{c: c, procs: map[int]*proc{}, groups: newGroups(c), writers: map[int64]*Op{}}
}

func (f *follower) proc(id int) *proc {
	p, ok := f.procs[id]
	if !ok {
		p = &proc{reads: map[int32]*position{}, sends: map[int32]position{}, probes: map[probeKey]probed{}, stale: map[int32]bool{}}
		f.procs[id] = p
	}
	return p
}

func (f *follower) follow(op *Op) {
	switch op.F {
	case Send:
		if op.Type == Invoke {
			f.send(op)
		}
	case Assign, Revoke, Subscribe:
		if op.Type != Invoke {
			f.assign(op)
		}
	case Poll:
		if op.Type != Invoke {
			f.poll(op)
		}
	case ListOffsets:
		if op.Type == OK {
			f.probe(op)
		}
	case Commit, Committed:
		f.groups.commit(op)
	case ProducerID:
		f.producerID(op)
	}
}

// producerID: ids are given once for ever, or a new producer's first batches are taken for an old one's retries.
func (f *follower) producerID(op *Op) {
	for i := range op.Mops {
		id := op.Mops[i].Value
		if other, ok := f.writers[id]; ok && other.Process != op.Process {
			f.c.report(ProducerReused, Key{}, []int{other.Index, op.Index}, "producer id %d was given to process %d and to process %d", id, other.Process, op.Process)
		}
		f.writers[id] = op
	}
}

// send checks that a producer's records stand in the order in which it sent them, from where they turned out to stand.
func (f *follower) send(op *Op) {
	p := f.proc(op.Process)
	for i := range op.Mops {
		m := &op.Mops[i]
		s := &f.c.sends[f.c.values[m.Value]]
		if s.begun != op.Index || s.offset == None {
			continue
		}
		last, ok := p.sends[s.key.id]
		if ok && s.offset <= last.offset && !f.c.o.NotIdempotent {
			kind := NonmonotonicSend
			if last.op == op.Index {
				kind = IntNonmonotonicSend
			}
			f.c.report(kind, m.Key, []int{last.op, op.Index}, "process %d sent value %d after a record that stands at offset %d, and it stands at offset %d",
				op.Process, s.value, last.offset, s.offset)
		}
		p.sends[s.key.id] = position{offset: s.offset, op: op.Index}
	}
}

// assign forgets where the client stood; what it assigned itself tells where it begins.
func (f *follower) assign(op *Op) {
	p := f.proc(op.Process)
	clear(p.reads)
	clear(p.stale)
	p.grouped = op.F == Subscribe || op.Group != nil
	if op.Group != nil {
		f.groups.assign(op)
	}
	if p.grouped || op.F != Assign {
		return
	}
	for i := range op.Mops {
		m := &op.Mops[i]
		l := f.c.log(m.Key)
		p.reads[l.id] = &position{rank: l.rank(m.Offset), op: op.Index, exact: m.Offset >= 0 && !f.c.o.LogStartMoves}
	}
}

func (f *follower) poll(op *Op) {
	p := f.proc(op.Process)
	for i := range op.Mops {
		m := &op.Mops[i]
		l := f.c.log(m.Key)
		r := l.rank(m.Offset)
		if r == len(l.entries) || l.entries[r].offset != m.Offset {
			continue // told as damaged or misplaced
		}
		at, ok := p.reads[l.id]
		if !ok {
			at = &position{}
			p.reads[l.id] = at
		}
		f.judge(op, m, at, r)
		*at = position{rank: r + 1, op: op.Index, exact: true}
	}
	f.pollError(op)
	if op.Group != nil {
		f.groups.poll(op)
	}
	if !p.grouped && op.Type == OK {
		f.stale(op, p)
	}
}

// pollError looks for two answers that no consumer may get: they mean that records it was given were truncated.
func (f *follower) pollError(op *Op) {
	if op.Err == "" || f.c.o.LogStartMoves {
		return
	}
	for _, bad := range []struct {
		says string
		kind Kind
	}{{"OFFSET_OUT_OF_RANGE", OutOfRange}, {"lost records", ReadTruncated}} {
		if strings.Contains(op.Err, bad.says) {
			f.c.report(bad.kind, Key{}, []int{op.Begun, op.Index}, "process %d was told: %s", op.Process, op.Err)
		}
	}
}

// judge compares a record read, of rank r, with the one that had to come.
func (f *follower) judge(op *Op, m *Mop, at *position, r int) {
	inside := at.op == op.Index
	if !at.exact || r == at.rank || !inside && f.proc(op.Process).grouped {
		return
	}
	l := f.c.log(m.Key)
	kind, what := PollSkip, "left out"
	switch {
	case r > at.rank && inside:
		kind = IntPollSkip
	case r < at.rank && inside:
		kind, what = IntNonmonotonicPoll, "went back behind"
	case r < at.rank:
		kind, what = NonmonotonicPoll, "went back behind"
	}
	// What had to come next, or, when the client went back, the last record that it had already.
	want := at.rank
	if r < at.rank {
		want = at.rank - 1
	}
	e := &l.entries[min(want, len(l.entries)-1)]
	f.c.report(kind, m.Key, []int{at.op, e.op, op.Index}, "process %d read offset %d (value %d) and %s offset %d (value %d)",
		op.Process, m.Offset, m.Value, what, e.offset, e.value)
}

// stale: long after the heal, a consumer gets what was acknowledged long ago. One that is still catching up, record by record, is not stale.
func (f *follower) stale(op *Op, p *proc) {
	for _, l := range f.c.logs {
		id := l.id
		at, ok := p.reads[id]
		if !ok || !at.exact || p.stale[id] {
			continue
		}
		if f.c.late(l, at.rank, f.c.h[at.op].TimeNs, f.c.h[op.Begun].TimeNs) {
			p.stale[id] = true
			e := &l.entries[at.rank]
			f.c.report(RealtimeStale, l.key, []int{at.op, e.op, op.Index}, "process %d polled more than %v after records from offset %d (value %d) on were acknowledged, and was not given them",
				op.Process, f.c.o.Stale, e.offset, e.value)
		}
	}
}

// late reports whether somebody who has waited since from and asks at ns must get something of rank r or behind it.
func (c *checker) late(l *keyLog, r int, from, ns int64) bool {
	ack := l.pendingAck[min(r, len(l.entries))]
	return ack != Never && ns-max(ack, c.o.Healed, from) > c.o.Stale.Nanoseconds()
}

// probeKey is one end of a key.
type probeKey struct {
	key   int32
	probe Probe
}

// probed is the last answer a client got for one end of a key.
type probed struct {
	offset int64
	epoch  int32
	op     int
}

// probe checks what a client was told of the ends of a partition. A leader that does not know yet that it was replaced may answer with less
// than its successor did: the leader epoch in the answer tells, and consumers refuse such answers (KIP-320). So an answer is held only against
// those of the same or an older epoch.
func (f *follower) probe(op *Op) {
	p := f.proc(op.Process)
	for i := range op.Mops {
		m := &op.Mops[i]
		l := f.c.log(m.Key)
		now := probed{offset: m.Offset, epoch: m.Epoch, op: op.Index}
		if last, ok := p.probes[probeKey{l.id, m.Probe}]; ok && now.epoch >= last.epoch && now.offset < last.offset {
			f.c.report(regression(m.Probe), l.key, []int{last.op, op.Index}, "process %d was told offset %d in leader epoch %d, and then %d in epoch %d",
				op.Process, last.offset, last.epoch, now.offset, now.epoch)
		}
		// Each end is monotone, so one asked for earlier bounds those that stand above it and are asked for later.
		for _, below := range under(m.Probe) {
			if b, ok := p.probes[probeKey{l.id, below}]; ok && now.epoch >= b.epoch && now.offset < b.offset {
				f.c.report(OffsetsOrder, l.key, []int{b.op, op.Index}, "process %d was told that %s is at offset %d, and then that %s is at %d",
					op.Process, below, b.offset, m.Probe, now.offset)
			}
		}
		p.probes[probeKey{l.id, m.Probe}] = now
		if r := l.rank(m.Offset); m.Probe == HighWatermark && r < len(l.entries) && f.c.late(l, r, 0, f.c.h[op.Begun].TimeNs) {
			e := &l.entries[r]
			f.c.report(RealtimeStale, l.key, []int{e.op, op.Index}, "process %d was told a high watermark of %d more than %v after offsets from %d on were acknowledged",
				op.Process, m.Offset, f.c.o.Stale, e.offset)
		}
	}
}

func regression(p Probe) Kind {
	switch p {
	case LogStart:
		return LogStartRegression
	case LastStable:
		return LSORegression
	}
	return HWRegression
}

// under are the ends that never stand above p.
func under(p Probe) []Probe {
	switch p {
	case HighWatermark:
		return []Probe{LogStart, LastStable}
	case LastStable:
		return []Probe{LogStart}
	}
	return nil
}
