package commitlog

import (
	"errors"
	"math"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/commitlog/remember"
	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// scanTail reads every segment from tail on behind the recovery point, and returns where the log ends. Segments that do not continue the
// one before are dropped: they were written after what was lost.
func (r *recovery) scanTail(tail int) (end model.Offset, err error) {
	for i := tail; i < len(r.all); i++ {
		s := r.all[i]
		if i > tail && s.base != end {
			if s.base-end <= maxRelative {
				return end, r.drop(i, end)
			}
			r.dense.Store(false) // more than a segment can hold cannot have been lost: a compacted leader has such a gap
		}
		size, err := r.length(s)
		if err != nil {
			return 0, err
		}
		pos := int64(0)
		end = s.base
		if r.left.recoveryPoint > s.base {
			if pos, end, err = r.seek(s, size); err == nil {
				err = r.loadAborts(s, end)
			}
			if err != nil {
				return 0, err
			}
		} else if err := r.dropIndex(s); err != nil {
			return 0, err
		}
		s.adopt(pos, end)
		if end, err = r.scanSegment(s, span{pos, size}, end); err != nil {
			return 0, err
		}
		if i+1 < len(r.all) && (r.all[i+1].base == end || r.all[i+1].base-end > maxRelative) {
			if err := r.sealLocked(s); err != nil {
				return 0, err
			}
		}
	}
	return end, nil
}

// drop removes the segments from i on, which begin behind a hole.
func (r *recovery) drop(i int, end model.Offset) error {
	for _, s := range r.all[i:] {
		size, err := r.length(s)
		if err != nil {
			return err
		}
		r.report(Event{Kind: EventTruncatedTail, TP: r.tp, From: s.base, To: end, Bytes: size})
		if err := r.remove(s); err != nil {
			return err
		}
	}
	r.all = r.all[:i]
	return nil
}

// dropIndex empties the index of a segment that is scanned from its beginning.
func (r *recovery) dropIndex(s *segment) error {
	s.index.mu.Lock()
	s.index.reset() // the files are cut before they are written
	s.index.mu.Unlock()
	if !r.there(segmentFile(s.base, txnSuffix)) {
		s.aborts.known = true
		return nil
	}
	s.aborts.mu.Lock()
	defer s.aborts.mu.Unlock()
	if err := s.aborts.loadLocked(s, 0); errors.Is(err, errBadIndex) {
		s.aborts.known = true
		return s.aborts.cutLocked(s)
	} else if err != nil {
		return err
	}
	return nil
}

// seek finds the position of the recovery point in its segment, whose file has size bytes, and the offset of the first batch from there on
// if it is not that. It leaves the index without what lies behind.
func (r *recovery) seek(s *segment, size int64) (pos int64, next model.Offset, err error) {
	point := r.left.recoveryPoint
	s.adopt(size, math.MaxInt64) // for the search
	f, err := s.openData()
	if err != nil {
		return 0, 0, r.failed(err)
	}
	defer f.unref()
	next = s.base
	note := r.noteTime
	if size <= r.walked {
		note = r.noteBatch
		s.index.mu.Lock()
		s.index.reset()
		s.index.mu.Unlock()
	} else if pos, next, err = r.seekByIndex(s, size); err != nil {
		return 0, 0, err
	}
	sc := s.scan(f, pos, size)
	defer sc.done()
	if size <= r.walked {
		sc.ahead = scanFar
	}
	low := s.base
	for next < point {
		found := sc.next()
		if found && sc.h.BaseOffset >= low && (sc.h.NextOffset() <= point || r.beyond(s, sc, low)) {
			if sc.h.BaseOffset >= point {
				return sc.at, sc.h.BaseOffset, nil
			}
			pos, next, low = sc.pos, sc.h.NextOffset(), sc.h.NextOffset()
			note(s, sc)
			continue
		}
		if !found && sc.err == nil {
			break
		}
		if sc.err != nil && !errors.Is(sc.err, errBroken) {
			return 0, 0, sc.err
		}
		if found {
			sc.pos = sc.at
		}
		sc.err = errBroken
		d, err := s.condemn(sc, low, math.MaxInt64)
		if err != nil {
			return 0, 0, err
		}
		if d.to == size {
			return size, low, nil // nothing whole is left up to the recovery point, nor behind it
		}
		pos, next, low = d.to, d.next, d.next
		sc.pos, sc.err = d.to, nil
	}
	return pos, next, nil
}

// beyond reports whether the current batch, which does not end at the recovery point or before, really begins behind it: compaction may have
// taken the last batches before. Otherwise its base offset is damaged, which its checksum does not cover. No batch lies across the point.
func (r *recovery) beyond(s *segment, sc *scanner, low model.Offset) bool {
	return sc.h.BaseOffset >= r.left.recoveryPoint && !s.dense.Load() && s.inPlace(sc, low, false)
}

// seekByIndex is where to begin looking for the recovery point, by the index.
func (r *recovery) seekByIndex(s *segment, size int64) (pos int64, next model.Offset, err error) {
	limit := s.relative(r.left.recoveryPoint)
	s.index.mu.Lock()
	err = s.loadIndexLocked(limit, size)
	s.index.mu.Unlock()
	if err != nil {
		return 0, 0, err
	}
	e, _, err := s.floor(limit - 1)
	if err != nil || e.pos == 0 {
		return 0, s.base, err
	}
	return int64(e.pos), s.base + model.Offset(e.rel), nil
}

func (r *recovery) noteBatch(s *segment, sc *scanner) {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	s.w.indexer.note(&s.index, s.base, &sc.h, sc.at, s.interval)
}

func (r *recovery) noteTime(s *segment, sc *scanner) {
	if ts := latestTime(&sc.h); ts > s.w.indexer.maxTime.ts {
		s.w.indexer.maxTime = timeEntry{ts: ts, rel: s.relative(sc.h.LastOffset())}
	}
}

func (r *recovery) loadAborts(s *segment, limit model.Offset) error {
	if !r.there(segmentFile(s.base, txnSuffix)) {
		s.aborts.known = true
		return nil
	}
	s.aborts.mu.Lock()
	defer s.aborts.mu.Unlock()
	err := s.aborts.loadLocked(s, limit)
	if errors.Is(err, errBadIndex) {
		return nil // derived when it is asked for
	}
	return err
}

// scanSegment checks the batches in b, the first of which should be at next, cuts the file behind the last whole one, and notes in the
// index and the epochs what it found. It returns the offset behind.
func (r *recovery) scanSegment(s *segment, b span, next model.Offset) (model.Offset, error) {
	f, err := s.openData()
	if err != nil {
		return 0, r.failed(err)
	}
	defer f.unref()
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	w := &s.w.indexer
	w.since = b.from - int64(s.index.lastOffset.pos)
	if s.index.lastTime.ts > w.maxTime.ts {
		w.maxTime = s.index.lastTime
	}
	sc := s.scan(f, b.from, b.to)
	defer sc.done()
	good := b.from
	for sc.next() && sc.h.BaseOffset >= next && sc.h.LastOffset()-s.base <= maxRelative && (sc.verify() || bug.Is(bug.TornTailKept)) {
		w.note(&s.index, s.base, &sc.h, sc.at, s.interval)
		if r.mu.epochs.assign(sc.h.LeaderEpoch, sc.h.BaseOffset) {
			r.mu.epochsDirty = true
		}
		if sc.h.Attributes.Control() {
			s.aborts.known, s.aborts.stale = false, true
		}
		next, good = sc.h.NextOffset(), sc.pos
	}
	if sc.err != nil && !errors.Is(sc.err, errBroken) {
		return 0, sc.err
	}
	r.scanned += b.to - b.from
	if good < b.to {
		invariant.Sometimes("torn tail")
		r.report(Event{Kind: EventTruncatedTail, TP: r.tp, From: s.base, To: next, Bytes: b.to - good})
		if err := r.failed(f.Truncate(good)); err != nil {
			return 0, err
		}
		// The next start must not find those bytes in a segment that has been sealed meanwhile.
		if err := r.syncFailed(f.SyncData()); err != nil {
			return 0, err
		}
		r.mu.names.add()
	}
	s.size.Store(good)
	s.maxTime.Store(w.maxTime.ts)
	return next, nil
}

// readEpochs reads the epochs up to the recovery point; the scan adds those behind. If the file is lost, they stand in every batch: then read
// is false.
func (r *recovery) readEpochs(below []*segment) (read bool, err error) {
	name := r.path + "/" + epochFile
	b, err := vfs.ReadFile(r.env.FS, name, remember.CheckpointLimit)
	if err == nil {
		var entries []EpochStart
		if entries, err = remember.DecodeEpochs(b); err == nil {
			r.mu.epochs.entries = entries
			r.mu.epochs.truncateEnd(r.left.recoveryPoint)
			return true, nil
		}
		r.report(Event{Kind: EventCheckpointBad, TP: r.tp, Name: epochFile, Err: err})
	} else if !notExist(err) {
		return false, r.failed(err)
	}
	r.mu.epochsDirty = true
	for _, s := range below {
		if err := r.deriveEpochs(s); err != nil {
			return false, err
		}
	}
	return false, nil
}

func (r *recovery) deriveEpochs(s *segment) error {
	if s.base >= r.left.recoveryPoint {
		return nil
	}
	f, err := s.openData()
	if err != nil {
		return r.failed(err)
	}
	defer f.unref()
	size, err := f.Size()
	if err != nil {
		return r.failed(err)
	}
	return s.walk(f, span{0, size}, func(sc *scanner) bool {
		if sc.h.BaseOffset >= r.left.recoveryPoint {
			return false
		}
		r.mu.epochs.assign(sc.h.LeaderEpoch, sc.h.BaseOffset)
		return sc.h.NextOffset() < r.left.recoveryPoint // a torn tail behind it is no damage
	})
}
