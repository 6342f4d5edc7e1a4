package history

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// sent is a value somebody sent, or that somebody read though nobody sent it (begun < 0).
type sent struct {
	key    *keyLog
	value  int64
	begun  int
	done   int // -1 while unknown
	typ    Type
	acked  int64 // the offset of its acknowledgement, or None
	offset int64 // where it was first seen to stand, or None
	seenAt int   // the op that showed offset
	read   int   // the first op that read it, or -1
	known  int64 // the highest offset of its key that somebody knew when it began
	knower int   // the op that knew
}

// entry is a record whose place is known.
type entry struct {
	offset, value int64
	sum           uint32
	epoch         int32
	op            int   // the first op that showed it
	read          int   // the first op that read it, or -1
	ackNs         int64 // when it was acknowledged; Never when it was not
}

// keyLog is everything known of one key.
type keyLog struct {
	key     Key
	id      int32
	at      map[int64]int32 // offset -> entries, while learning
	entries []entry         // by offset, once sorted
	// pendingAck[r] is when the first acknowledgement of anything at rank r or behind it came; Never behind the last one.
	pendingAck []int64
	maxRead    int64
	finalRead  int64 // the same, of the final reads
	minRead    int64 // the lowest offset where anybody began to read, or that anybody read
	known      int64 // while learning: the highest offset known so far
	knower     int
	logStart   int64 // the highest that was listed
}

func newKeyLog(k Key, id int32) *keyLog {
	return &keyLog{key: k, id: id, at: map[int64]int32{}, maxRead: None, finalRead: None, minRead: math.MaxInt64, known: None, knower: -1}
}

// learn takes in what op says of where values stand.
func (c *checker) learn(op *Op) {
	switch op.F {
	case Send:
		c.learnSend(op)
	case Poll:
		// Also what a failed poll saw counts: whoever is given a record must be able to rely on it.
		for i := range op.Mops {
			c.learnRead(op, &op.Mops[i])
		}
	case Assign:
		for i := range op.Mops {
			if m := &op.Mops[i]; op.Group == nil && m.Offset >= 0 {
				l := c.log(m.Key)
				l.minRead = min(l.minRead, m.Offset)
			}
		}
	case Final:
		c.finals[op.Process] = true
	case ListOffsets:
		for i := range op.Mops {
			m := &op.Mops[i]
			if op.Type != OK {
				continue
			}
			l := c.log(m.Key)
			if m.Probe == LogStart {
				l.logStart = max(l.logStart, m.Offset)
			} else {
				l.know(m.Offset-1, op.Index)
			}
		}
	}
}

func (l *keyLog) know(offset int64, op int) {
	if offset > l.known {
		l.known, l.knower = offset, op
	}
}

func (c *checker) learnSend(op *Op) {
	for i := range op.Mops {
		m := &op.Mops[i]
		l := c.log(m.Key)
		id, ok := c.values[m.Value]
		if op.Type == Invoke {
			if ok && c.sends[id].begun < 0 {
				// It was read before anybody sent it: keep it a phantom.
				continue
			}
			c.values[m.Value] = int32(len(c.sends))
			c.sends = append(c.sends, sent{key: l, value: m.Value, begun: op.Index, done: -1, typ: Info, acked: None, offset: None, seenAt: -1,
				read: -1, known: l.known, knower: l.knower})
			continue
		}
		if !ok {
			continue
		}
		s := &c.sends[id]
		s.done, s.typ = op.Index, op.Type
		if op.Type != OK || m.Offset < 0 {
			continue
		}
		s.acked = m.Offset
		c.place(l, s, m, op)
		l.know(m.Offset, op.Index)
		e := &l.entries[l.at[m.Offset]]
		e.ackNs = min(e.ackNs, op.TimeNs)
	}
}

func (c *checker) learnRead(op *Op, m *Mop) {
	l := c.log(m.Key)
	if m.Damaged {
		c.report(Damaged, m.Key, []int{op.Index}, "the record at offset %d is not what its producer wrote (value %d)", m.Offset, m.Value)
		return
	}
	id, ok := c.values[m.Value]
	if !ok {
		id = int32(len(c.sends))
		c.values[m.Value] = id
		c.sends = append(c.sends, sent{key: l, value: m.Value, begun: -1, done: -1, typ: OK, acked: None, offset: None, seenAt: -1, read: -1})
		if !c.o.Foreign {
			c.report(Phantom, m.Key, []int{op.Index}, "value %d was read at offset %d, and nobody had sent it", m.Value, m.Offset)
		}
	}
	s := &c.sends[id]
	if s.key != l {
		c.report(Misplaced, m.Key, []int{s.begun, op.Index}, "value %d was sent to %s and read here, at offset %d", m.Value, s.key.key, m.Offset)
		return
	}
	c.place(l, s, m, op)
	if s.read < 0 {
		s.read = op.Index
	}
	if e := &l.entries[l.at[m.Offset]]; e.read < 0 {
		e.read = op.Index
	}
	l.maxRead, l.minRead = max(l.maxRead, m.Offset), min(l.minRead, m.Offset)
	if c.finals[op.Process] {
		l.finalRead = max(l.finalRead, m.Offset)
	}
	l.know(m.Offset, op.Index)
}

// place notes that op showed s at m's offset.
func (c *checker) place(l *keyLog, s *sent, m *Mop, op *Op) {
	if s.offset == None {
		s.offset, s.seenAt = m.Offset, op.Index
	} else if s.offset != m.Offset && !c.o.NotIdempotent {
		c.report(Duplicate, l.key, []int{s.seenAt, op.Index}, "value %d stands at offset %d and at offset %d", s.value, s.offset, m.Offset)
	}
	read := op.F == Poll
	at, ok := l.at[m.Offset]
	if !ok {
		e := entry{offset: m.Offset, value: s.value, epoch: -1, op: op.Index, read: -1, ackNs: Never}
		if read {
			e.sum, e.epoch = m.Sum, m.Epoch
		}
		l.at[m.Offset] = int32(len(l.entries))
		l.entries = append(l.entries, e)
		return
	}
	e := &l.entries[at]
	if e.value != s.value {
		c.report(InconsistentOffsets, l.key, []int{e.op, op.Index}, "offset %d holds value %d and value %d", m.Offset, e.value, s.value)
		return
	}
	if !read {
		return
	}
	if e.sum != 0 && m.Sum != 0 && e.sum != m.Sum {
		c.report(DifferentBytes, l.key, []int{max(e.op, e.read), op.Index}, "offset %d (value %d) has bytes of sum %08x and %08x", m.Offset, s.value, e.sum, m.Sum)
	}
	if e.epoch >= 0 && m.Epoch >= 0 && e.epoch != m.Epoch {
		c.report(DifferentBytes, l.key, []int{max(e.op, e.read), op.Index}, "offset %d (value %d) is of leader epoch %d and of %d", m.Offset, s.value, e.epoch, m.Epoch)
	}
	if e.sum == 0 {
		e.sum = m.Sum
	}
	if e.epoch < 0 {
		e.epoch = m.Epoch
	}
}

// sort orders the records by offset, after which ranks are known.
func (l *keyLog) sort() {
	slices.SortFunc(l.entries, func(a, b entry) int { return cmp.Compare(a.offset, b.offset) })
	l.at = nil
	l.pendingAck = make([]int64, len(l.entries)+1)
	first := Never
	l.pendingAck[len(l.entries)] = first
	for r := len(l.entries) - 1; r >= 0; r-- {
		first = min(first, l.entries[r].ackNs)
		l.pendingAck[r] = first
	}
}

// rank is how many known records stand before offset.
func (l *keyLog) rank(offset int64) int {
	return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].offset >= offset })
}

// checkValues finds what was read and must not be, and what was acknowledged and not read.
func (c *checker) checkValues() {
	for i := range c.sends {
		s := &c.sends[i]
		l := s.key
		if s.typ == Fail && s.read >= 0 {
			c.report(AbortedRead, l.key, []int{s.begun, s.done, s.read}, "value %d was read at offset %d, but its send failed for certain", s.value, s.offset)
		}
		if s.begun >= 0 && s.offset != None && s.offset <= s.known {
			c.report(OffsetRealtime, l.key, []int{s.knower, s.begun, s.seenAt},
				"value %d stands at offset %d, but offset %d was known before its send began", s.value, s.offset, s.known)
		}
		if s.typ != OK || s.begun < 0 || s.read >= 0 || c.o.LogStartMoves && s.acked >= 0 && s.acked < l.logStart {
			continue
		}
		if s.acked >= 0 && s.acked <= l.maxRead && (c.o.Final || s.acked >= l.minRead) {
			c.report(LostWrite, l.key, []int{s.begun, s.done, l.readerPast(s.acked)},
				"value %d was acknowledged at offset %d; readers came to offset %d, and none was given it", s.value, s.acked, l.maxRead)
		} else if s.acked < 0 && c.o.Final {
			c.report(Unseen, l.key, []int{s.begun, s.done}, "value %d was acknowledged without an offset, and nobody ever read it", s.value)
		}
	}
}

// checkFinal: the final polls, which begin at the start, come to the last record that anybody was told of. Had they left one out on their way,
// it would be a skip; here is what was cut off at the end.
func (c *checker) checkFinal() {
	if !c.o.Final {
		return
	}
	for _, l := range c.logs {
		end := l.finalRead
		if len(c.finals) == 0 {
			end = l.maxRead
		}
		for r := l.rank(end + 1); r < len(l.entries); r++ {
			e := &l.entries[r]
			if c.o.LogStartMoves && e.offset < l.logStart {
				continue
			}
			s := &c.sends[c.values[e.value]]
			what := "acknowledged"
			if s.typ != OK || s.begun < 0 {
				what = "read"
			}
			c.report(Unseen, l.key, []int{s.begun, s.done, e.read}, "value %d was %s at offset %d, and the final polls ended at offset %d without it",
				e.value, what, e.offset, end)
		}
	}
}

// readerPast is the first op that read the first record read behind offset.
func (l *keyLog) readerPast(offset int64) int {
	for r := l.rank(offset); r < len(l.entries); r++ {
		if l.entries[r].read >= 0 {
			return l.entries[r].read
		}
	}
	return -1
}

// checkEpochs: along a log, leader epochs never go down.
func (c *checker) checkEpochs() {
	for _, l := range c.logs {
		last := -1
		for r := range l.entries {
			e := &l.entries[r]
			if e.epoch < 0 {
				continue
			}
			if last >= 0 && e.epoch < l.entries[last].epoch {
				b := &l.entries[last]
				c.report(EpochOrder, l.key, []int{b.read, e.read}, "offset %d is of leader epoch %d and offset %d of %d", b.offset, b.epoch, e.offset, e.epoch)
			}
			last = r
		}
	}
}
