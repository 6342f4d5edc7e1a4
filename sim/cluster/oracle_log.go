package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/node"
)

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
