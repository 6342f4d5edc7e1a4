package commitlog

import (
	"errors"
	"fmt"
	"math"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// incoming is what the first look at an append tells.
type incoming struct {
	records   []byte
	origin    Origin
	first     model.Offset
	next      model.Offset // behind the last record
	maxTime   int64        // ms
	appended  int64        // log append time, ms; -1 when the producer's timestamps stay
	duplicate bool         // the records are in the log already, at first to next-1
}

// AppendLeader appends batches that the leader has validated: it gives them offsets and the leader epoch in place, checks the
// producer's state and writes them with one write. The records are in the page cache when it returns; Commit makes them durable.
// A batch that a producer sends again is not appended: the answer is where it went the first time. ErrOutOfOrderSequence,
// ErrDuplicateSequence, ErrInvalidProducerEpoch, ErrInvalidTxnState, ErrCoordinatorFenced, ErrTooLarge, ErrInvalidAppend, ErrNoSpace,
// ErrOffline, ErrClosed.
func (l *Log) AppendLeader(records []byte, epoch model.LeaderEpoch, o AppendOptions) (AppendInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := incoming{records: records, origin: o.Origin}
	err := l.planLeaderLocked(&in)
	if err == nil && !in.duplicate {
		offset := in.first
		for rest := records; len(rest) > 0; {
			one, h, more, _ := batch.Next(rest) // has been looked at
			batch.SetOffset(one, offset, epoch)
			offset += model.Offset(h.LastOffsetDelta) + 1
			rest = more
		}
		err = l.appendLocked(&in)
	}
	if err != nil {
		return AppendInfo{}, l.at(model.NoOffset, err)
	}
	return AppendInfo{Base: in.first, Last: in.next - 1, LogAppendTime: in.appended, LogStart: l.Start(), Duplicate: in.duplicate}, nil
}

// AppendFollower appends batches as the leader has them. An incomplete batch at the end, as fetches leave it, is not appended.
// ErrInvalidAppend when they do not continue the log, ErrCorrupt when a checksum fails; nothing is appended then.
func (l *Log) AppendFollower(records []byte) (AppendInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := incoming{records: records, origin: FromReplication}
	err := l.planFollowerLocked(&in)
	if err == nil {
		err = l.appendLocked(&in)
	}
	if err != nil {
		return AppendInfo{}, l.at(model.NoOffset, err)
	}
	return AppendInfo{Base: in.first, Last: in.next - 1, LogAppendTime: in.appended, LogStart: l.Start()}, nil
}

// planLeaderLocked numbers the batches and holds them against their producers' state. It changes nothing.
func (l *Log) planLeaderLocked(in *incoming) error {
	if err := l.usable(); err != nil {
		return err
	}
	in.first, in.maxTime, in.appended = l.End(), -1, -1
	in.next = in.first
	var p producer // of the batch before, as it will be
	p.id = model.NoProducerID
	for rest := in.records; ; {
		one, h, more, err := batch.Next(rest)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalidAppend, err)
		}
		h.BaseOffset = in.next
		if h.ProducerID >= 0 {
			if err := l.admitLocked(&p, one, &h, in); err != nil || in.duplicate {
				return err
			}
		}
		in.see(&h)
		if rest = more; len(rest) == 0 {
			return nil
		}
	}
}

func (in *incoming) see(h *batch.Header) {
	in.next = h.NextOffset()
	in.maxTime = max(in.maxTime, h.MaxTimestamp)
	if h.Attributes.LogAppendTime() {
		in.appended = h.MaxTimestamp
	}
}

// admitLocked checks one batch of an idempotent producer. p is its state as the batches before leave it, when they are of the same.
func (l *Log) admitLocked(p *producer, one []byte, h *batch.Header, in *incoming) error {
	if err := l.readProducersLocked(); err != nil {
		return err
	}
	if p.id != h.ProducerID {
		if known := l.mu.producers.get(h.ProducerID); known != nil {
			*p = *known
		} else {
			*p = newProducer(h.ProducerID)
		}
	}
	if h.Attributes.Control() {
		m, ok := readMarker(one)
		switch {
		case !ok:
			return fmt.Errorf("%w: unknown control record", ErrInvalidAppend)
		case h.ProducerEpoch < p.epoch:
			return ErrInvalidProducerEpoch
		case m.coordinatorEpoch < p.coordinatorEpoch:
			return ErrCoordinatorFenced
		}
		return nil
	}
	if in.origin == FromClient {
		if b, ok := p.duplicate(h); ok {
			in.duplicate, in.first, in.next = true, b.firstOffset(), b.lastOffset+1
			if h.Attributes.LogAppendTime() {
				in.appended = b.timestamp
			}
			return nil
		}
	}
	if err := p.admit(h, in.origin); err != nil {
		return err
	}
	p.note(h)
	return nil
}

// planFollowerLocked holds the batches against the log's end and their own checksums.
func (l *Log) planFollowerLocked(in *incoming) error {
	if err := l.usable(); err != nil {
		return err
	}
	in.first, in.maxTime, in.appended = l.End(), -1, -1
	in.next = in.first
	whole := 0
	for rest := in.records; len(rest) > 0; {
		one, h, more, err := batch.Next(rest)
		if errors.Is(err, batch.ErrShort) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if err := batch.VerifyCRC(one); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if h.BaseOffset < in.next {
			return fmt.Errorf("%w: batch %d-%d behind %d", ErrInvalidAppend, h.BaseOffset, h.LastOffset(), in.next)
		}
		if whole == 0 {
			in.first = h.BaseOffset
		}
		in.see(&h)
		whole += len(one)
		rest = more
	}
	if whole == 0 {
		return fmt.Errorf("%w: no whole batch", ErrInvalidAppend)
	}
	in.records = in.records[:whole]
	return nil
}

// appendLocked writes what was planned and publishes it.
func (l *Log) appendLocked(in *incoming) error {
	cfg := l.config.Load()
	if len(in.records) > cfg.Segment.Bytes {
		return fmt.Errorf("%w: %d bytes, segments are of %d", ErrTooLarge, len(in.records), cfg.Segment.Bytes)
	}
	s, err := l.segmentForLocked(in, cfg)
	if err != nil {
		return err
	}
	pos := s.size.Load()
	if _, err := s.w.file.WriteAt(in.records, pos); err != nil {
		return l.unwriteLocked(s, pos, err)
	}
	if err := l.noteLocked(s, in.records, pos); err != nil {
		return err
	}
	if l.mu.unsynced == 0 {
		l.mu.unsyncedSince = l.env.Clock.Now()
	}
	l.mu.unsynced += int64(in.next - in.first)
	l.mu.sinceSnapshot += int64(len(in.records))
	l.end.Store(int64(in.next))
	l.checkLocked()
	l.touch()
	l.care.wrote(len(in.records))
	if cfg.Flush.Messages > 0 && l.mu.unsynced >= cfg.Flush.Messages {
		l.Commit()
	}
	return nil
}

// unwriteLocked cuts off what a failed write may have left, so that the next append does not have to write behind it.
func (l *Log) unwriteLocked(s *segment, pos int64, cause error) error {
	err := l.failed(cause)
	if !errors.Is(err, ErrNoSpace) {
		return err
	}
	l.report(Event{Kind: EventNoSpace, TP: l.tp, From: l.End(), Err: cause})
	if terr := s.w.file.Truncate(pos); terr != nil {
		return l.goOffline(terr)
	}
	return err
}

// noteLocked takes the batches at pos into everything that is derived from them, and lets readers see the bytes.
func (l *Log) noteLocked(s *segment, records []byte, pos int64) error {
	x := &s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	recent := s.recent.Load()
	largest := s.maxTime.Load()
	for rest := records; len(rest) > 0; {
		one, h, more, err := batch.Next(rest)
		if err != nil {
			return l.goOffline(err) // it parsed before: memory is not what it was
		}
		s.w.indexer.note(x, s.base, &h, pos, s.interval)
		if pos == 0 {
			s.w.firstTime = h.MaxTimestamp
		}
		largest = max(largest, h.MaxTimestamp)
		if l.mu.epochs.assign(h.LeaderEpoch, h.BaseOffset) || l.mu.epochs.beginsAt(h.BaseOffset) {
			l.mu.epochsDirty = true
		}
		if h.ProducerID >= 0 {
			if err := l.noteProducerLocked(s, one, &h); err != nil {
				return err
			}
		}
		pos += int64(len(one))
		recent.note(s.relative(h.NextOffset()), uint32(pos))
		rest = more
	}
	s.maxTime.Store(largest)
	s.size.Store(pos)
	return nil
}

func (l *Log) noteProducerLocked(s *segment, one []byte, h *batch.Header) error {
	if err := l.readProducersLocked(); err != nil {
		return err
	}
	if !h.Attributes.Control() {
		l.mu.producers.note(h, l.env.Clock.Now())
	} else if m, ok := readMarker(one); ok {
		if err := l.endTxnLocked(s, h, m); err != nil {
			return err
		}
		l.mu.producers.replicated(l.HighWatermark())
	}
	l.publishUnstableLocked()
	return nil
}

// maxRelative is the largest distance of an offset from its segment's base that Kafka's indexes can write.
const maxRelative = math.MaxInt32
