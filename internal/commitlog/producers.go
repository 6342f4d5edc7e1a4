package commitlog

import (
	"slices"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/model"
)

// remembered is how many batches of a producer are known by their offsets: as many as a client may have in flight (KIP-98). With fewer,
// a retry after a lost answer would be refused and the client would send it again under a new epoch: a duplicate.
const remembered = 5

// produced is one batch of a producer.
type produced struct {
	lastSequence int32
	delta        int32 // of the last offset, and sequence, to the first
	lastOffset   model.Offset
	timestamp    int64 // the batch's largest, ms
}

func (b *produced) firstSequence() int32 { return sequenceBefore(b.lastSequence, b.delta) }

func (b *produced) firstOffset() model.Offset { return b.lastOffset - model.Offset(b.delta) }

// Sequences count from 0 to 2^31-1 and begin again at 0.
const sequenceMask = 1<<31 - 1

func sequenceAfter(seq int32) int32 { return int32((int64(seq) + 1) & sequenceMask) }

func sequenceBefore(seq, n int32) int32 { return int32((int64(seq) - int64(n)) & sequenceMask) }

// producer is what a log knows of one producer id.
type producer struct {
	id               model.ProducerID
	epoch            model.ProducerEpoch
	coordinatorEpoch int32        // of the last transaction marker, -1 without one
	txnStart         model.Offset // of the open transaction, NoOffset without one
	lastTimestamp    int64        // of the last batch or marker, ms
	lastUse          time.Time    // when it last wrote, or the log was opened: what expiry counts from
	known            int          // batches in use
	batches          [remembered]produced
}

func newProducer(id model.ProducerID) producer {
	return producer{id: id, epoch: model.NoProducerEpoch, coordinatorEpoch: -1, txnStart: model.NoOffset, lastTimestamp: -1}
}

func (p *producer) last() *produced { return &p.batches[p.known-1] }

func (p *producer) push(b produced) {
	if p.known == remembered {
		copy(p.batches[:], p.batches[1:])
		p.known--
	}
	p.batches[p.known] = b
	p.known++
}

// duplicate finds the batch that h repeats.
func (p *producer) duplicate(h *batch.Header) (produced, bool) {
	if h.ProducerEpoch != p.epoch || h.BaseSequence < 0 {
		return produced{}, false
	}
	last := h.LastSequence()
	for i := range p.known {
		if b := &p.batches[i]; b.lastSequence == last && b.firstSequence() == h.BaseSequence && (i == p.known-1 || !bug.Is(bug.DedupeWindowOfOne)) {
			return *b, true
		}
	}
	return produced{}, false
}

// admit checks epoch, sequence and transaction of a data batch that is no duplicate (KIP-98, KIP-360).
func (p *producer) admit(h *batch.Header, origin Origin) error {
	if origin == FromReplication {
		return nil
	}
	if h.ProducerEpoch < p.epoch {
		return ErrInvalidProducerEpoch
	}
	if origin == FromClient && !bug.Is(bug.SequenceUnchecked) {
		if err := p.admitSequence(h); err != nil {
			return err
		}
	}
	if p.txnStart != model.NoOffset && h.ProducerEpoch == p.epoch && !h.Attributes.Transactional() {
		return ErrInvalidTxnState
	}
	return nil
}

func (p *producer) admitSequence(h *batch.Header) error {
	if p.epoch == model.NoProducerEpoch {
		return nil // nothing is known of it, be it new or expired: any sequence may be the next
	}
	if h.ProducerEpoch != p.epoch {
		if h.BaseSequence != 0 {
			return ErrOutOfOrderSequence
		}
		return nil
	}
	if p.known == 0 {
		if h.BaseSequence != 0 {
			return ErrOutOfOrderSequence
		}
		return nil
	}
	last := p.last().lastSequence
	if h.BaseSequence == sequenceAfter(last) {
		return nil
	}
	// A whole batch from before the ones that are remembered is an old retry, and the client takes that answer for success. That must be
	// certain: with five newer batches in the log none from before them can still be on its way, because clients keep at most five in flight.
	if h.BaseSequence >= 0 && p.known == remembered && h.BaseSequence <= h.LastSequence() && h.LastSequence() < p.batches[0].firstSequence() {
		return ErrDuplicateSequence
	}
	return ErrOutOfOrderSequence
}

// note takes in a data batch that is in the log now.
func (p *producer) note(h *batch.Header) {
	if h.ProducerEpoch != p.epoch {
		p.epoch, p.known = h.ProducerEpoch, 0
	}
	if h.BaseSequence >= 0 {
		p.push(produced{lastSequence: h.LastSequence(), delta: h.LastOffsetDelta, lastOffset: h.LastOffset(), timestamp: h.MaxTimestamp})
	}
	p.lastTimestamp = h.MaxTimestamp
}

// openTxn is a transaction without an outcome.
type openTxn struct {
	first    model.Offset
	producer model.ProducerID
}

// endedTxn is a transaction with an outcome that not every reader may know of yet.
type endedTxn struct{ first, last model.Offset }

// producers is the state of all producers of a log. It belongs to the writer.
type producers struct {
	byID   map[model.ProducerID]*producer
	open   []openTxn  // by first offset
	ended  []endedTxn // by last offset, those whose marker is not below the high watermark yet
	dirty  bool       // since the last snapshot
	unread bool       // the state is in the snapshot at readAt and was not needed yet
	readAt model.Offset
}

// get is the producer's state, nil when it is unknown.
func (s *producers) get(id model.ProducerID) *producer { return s.byID[id] }

// note takes in a data batch that is in the log now.
func (s *producers) note(h *batch.Header, now time.Time) {
	p := s.obtain(h.ProducerID)
	p.note(h)
	p.lastUse = now
	if h.Attributes.Transactional() && p.txnStart == model.NoOffset {
		p.txnStart = h.BaseOffset
		s.insertOpen(openTxn{first: p.txnStart, producer: p.id})
	}
	s.dirty = true
}

func (s *producers) obtain(id model.ProducerID) *producer {
	p := s.byID[id]
	if p == nil {
		fresh := newProducer(id)
		p = &fresh
		if s.byID == nil {
			s.byID = make(map[model.ProducerID]*producer)
		}
		s.byID[id] = p
	}
	return p
}

func (s *producers) insertOpen(t openTxn) {
	i, _ := slices.BinarySearchFunc(s.open, t.first, func(a openTxn, b model.Offset) int { return cmpOffset(a.first, b) })
	s.open = slices.Insert(s.open, i, t)
}

func cmpOffset(a, b model.Offset) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// end takes in a transaction marker. It returns the transaction it ended, if one was open, and the last stable offset once that one is out
// of the way.
func (s *producers) end(h *batch.Header, m marker, now time.Time) (first, stable model.Offset, ok bool) {
	p := s.obtain(h.ProducerID)
	if h.ProducerEpoch != p.epoch {
		p.epoch, p.known = h.ProducerEpoch, 0
	}
	p.coordinatorEpoch, p.lastTimestamp, p.lastUse = m.coordinatorEpoch, h.MaxTimestamp, now
	s.dirty = true
	if p.txnStart == model.NoOffset {
		return 0, 0, false
	}
	first, p.txnStart = p.txnStart, model.NoOffset
	s.open = slices.DeleteFunc(s.open, func(t openTxn) bool { return t.producer == p.id })
	stable = h.LastOffset() + 1
	if len(s.open) > 0 {
		stable = s.open[0].first
	}
	s.ended = append(s.ended, endedTxn{first: first, last: h.LastOffset()})
	return first, stable, true
}

// replicated forgets ended transactions whose markers are below the high watermark.
func (s *producers) replicated(hw model.Offset) {
	n := 0
	for n < len(s.ended) && s.ended[n].last < hw {
		n++
	}
	s.ended = s.ended[n:]
}

// unstable is the first offset whose transaction is open, or not known to every reader to be ended; NoOffset without one.
func (s *producers) unstable() model.Offset {
	first := model.NoOffset
	if len(s.open) > 0 {
		first = s.open[0].first
	}
	for _, t := range s.ended {
		if first == model.NoOffset || t.first < first {
			first = t.first
		}
	}
	return first
}

// expire forgets producers that have not written for long. Open transactions keep theirs.
func (s *producers) expire(now time.Time, after time.Duration) {
	for id, p := range s.byID {
		if p.txnStart == model.NoOffset && now.Sub(p.lastUse) >= after {
			delete(s.byID, id)
			s.dirty = true
		}
	}
}

// list describes the producers, by id.
func (s *producers) list() []ProducerInfo {
	infos := make([]ProducerInfo, 0, len(s.byID))
	for _, p := range s.byID {
		info := ProducerInfo{ID: p.id, Epoch: p.epoch, LastSequence: -1, LastTimestamp: p.lastTimestamp, CoordinatorEpoch: p.coordinatorEpoch, TxnStart: p.txnStart}
		if p.known > 0 {
			info.LastSequence = p.last().lastSequence
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b ProducerInfo) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return infos
}
