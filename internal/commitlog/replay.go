package commitlog

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// replay takes the batches of s with offsets in [from, to) into the state, as if they were appended again. onAbort may be nil.
func (s *producers) replay(seg *segment, from, to model.Offset, onAbort func(abortedTxn)) error {
	end := seg.size.Load()
	if end == 0 || from >= to {
		return nil
	}
	f, err := seg.openData()
	if err != nil {
		return err
	}
	defer f.unref()
	now := seg.env.Clock.Now()
	var failure error
	begin := int64(0)
	if from > seg.base {
		at, ok, err := seg.locate(f, from, math.MaxInt64)
		switch {
		case errors.Is(err, ErrCorrupt):
			// The walk below steps over the damage.
		case err != nil || !ok:
			return err
		default:
			begin = at.pos
		}
	}
	err = seg.walk(f, span{begin, end}, func(sc *scanner) bool {
		if sc.h.LastOffset() >= to {
			return false
		}
		if sc.h.BaseOffset >= from && sc.h.ProducerID >= 0 {
			failure = s.take(seg, sc, now, onAbort)
		}
		return failure == nil
	})
	return errors.Join(err, failure)
}

// take replays one batch.
func (s *producers) take(seg *segment, sc *scanner, now time.Time, onAbort func(abortedTxn)) error {
	if !sc.h.Attributes.Control() {
		s.note(&sc.h, now)
		return nil
	}
	b, err := sc.batchBytes(nil)
	if err != nil {
		return err
	}
	if batch.VerifyCRC(b) != nil {
		return nil // the checks of the segment report it
	}
	if m, ok := readMarker(b); ok {
		first, stable, ended := s.end(&sc.h, m, now)
		if ended && !m.committed && onAbort != nil {
			onAbort(abortedTxn{producer: sc.h.ProducerID, first: first, last: sc.h.LastOffset(), stable: stable})
		}
	}
	return nil
}

// producersAt is the state of the producers at an offset: the newest snapshot before it, and what was appended from there on. Without
// any snapshot it is all that the log remembers.
func (p *place) producersAt(segments []*segment, at model.Offset) (producers, error) {
	offsets, err := p.snapshots()
	if err != nil {
		return producers{}, err
	}
	return p.producersFrom(offsets, segments, at)
}

// producersFrom is producersAt with the offsets of the snapshots.
func (p *place) producersFrom(offsets []model.Offset, segments []*segment, at model.Offset) (producers, error) {
	state, from, err := p.newestSnapshot(offsets, at)
	if err != nil {
		return state, err
	}
	for i, s := range segments {
		to := at
		if i+1 < len(segments) {
			to = min(at, segments[i+1].base)
		}
		if err := state.replay(s, from, to, nil); err != nil {
			return state, err
		}
	}
	state.dirty = true // it may be in no snapshot as it is
	return state, nil
}

// newestSnapshot is the last good snapshot at or before an offset. Without one it is the empty state at the beginning of time.
func (p *place) newestSnapshot(offsets []model.Offset, at model.Offset) (producers, model.Offset, error) {
	for _, off := range slices.Backward(offsets) {
		if off > at {
			continue
		}
		state, err := p.readSnapshot(off)
		if err == nil {
			return state, off, nil
		}
		if !errors.Is(err, errBadSnapshot) && !notExist(err) {
			return producers{}, 0, err
		}
		p.report(Event{Kind: EventSnapshotBad, TP: p.tp, From: off, Err: err})
	}
	return producers{}, 0, nil
}

// snapshots lists the offsets of the snapshot files, lowest first.
func (p *place) snapshots() ([]model.Offset, error) {
	names, err := p.env.FS.List(p.path)
	if err != nil {
		return nil, p.failed(err)
	}
	return snapshotsAmong(names), nil
}

func snapshotsAmong(names []string) []model.Offset {
	var offsets []model.Offset
	for _, name := range names {
		if off, suffix, ok := parseSegmentFile(name); ok && suffix == snapshotSuffix {
			offsets = append(offsets, off)
		}
	}
	slices.Sort(offsets)
	return offsets
}

// readProducersLocked makes sure that the producers' state is in memory. After a clean shutdown it stays on disk until it is needed.
func (l *Log) readProducersLocked() error {
	if !l.mu.producers.unread {
		return nil
	}
	state, err := l.readSnapshot(l.mu.producers.readAt)
	if errors.Is(err, errBadSnapshot) || notExist(err) {
		l.report(Event{Kind: EventSnapshotBad, TP: l.tp, From: l.mu.producers.readAt, Err: err})
		state, err = l.producersAt(l.segments.Load().segments, l.End())
	}
	if err != nil {
		return err
	}
	l.mu.producers = state
	l.publishUnstableLocked()
	return nil
}
