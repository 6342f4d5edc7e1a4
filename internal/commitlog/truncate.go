package commitlog

import (
	"errors"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/model"
)

// TruncateTo cuts the log so that it ends at end, or at the start of the batch that holds it. A follower does that to what its leader does
// not have (KIP-101). It is durable when it returns. ErrOffsetOutOfRange below the start.
func (l *Log) TruncateTo(end model.Offset) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return l.at(end, err)
	}
	switch {
	case end >= l.End():
		return nil
	case end < l.Start():
		return l.at(end, ErrOffsetOutOfRange)
	}
	invariant.Sometimes("log truncated")
	return l.at(end, l.truncateLocked(end))
}

// TruncateFullyTo drops everything and lets the log begin anew at start, as a follower does that has fallen behind its leader's start.
func (l *Log) TruncateFullyTo(start model.Offset) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return l.at(start, err)
	}
	if err := l.lowerPointLocked(0); err != nil {
		return l.at(start, err)
	}
	if err := l.noteStartLocked(start); err != nil {
		return l.at(start, err)
	}
	l.mu.truncations++
	gone := l.segments.Load().segments
	l.end.Store(int64(start))
	l.durable.Store(int64(start))
	l.mu.wantStart = start
	l.start.Store(int64(start))
	l.segments.Store(&view{segments: []*segment{l.emptySegment(start)}})
	l.removeLocked(gone, start)
	if at := l.mu.snapshotAt; at != model.NoOffset {
		_ = l.env.FS.Remove(l.file(at, snapshotSuffix)) // removed after the next crash at the latest
		l.mu.snapshotAt = model.NoOffset
	}
	l.mu.epochs, l.mu.epochsDirty = epochs{}, true
	l.mu.producers = producers{}
	l.mu.recoveryPoint, l.mu.cleanedTo = start, 0
	l.publishUnstableLocked()
	l.highWatermark.Store(int64(start))
	l.touch()
	return l.at(start, l.syncNames())
}

// truncateLocked cuts the segment that holds end and drops those behind it.
func (l *Log) truncateLocked(end model.Offset) error {
	v := l.segments.Load()
	if err := l.lowerPointLocked(v.segments[v.find(end)].base); err != nil {
		return err
	}
	l.mu.truncations++
	v = l.segments.Load() // the lock was free for a moment
	i := v.find(end)
	old := v.segments[i]
	f, err := old.openData()
	if err != nil {
		return l.failed(err)
	}
	defer f.unref()
	at, ok, err := old.locate(f, end, v.high(i))
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	pos := at.pos
	if !ok {
		pos = old.size.Load()
	}
	if pos < old.size.Load() {
		if end, err = l.baseAt(old, f, pos); err != nil {
			return err
		}
	}
	s, err := l.cutSegmentLocked(old, f, pos, end)
	if err != nil {
		return err
	}
	segments := append(v.segments[:i:i], s)
	l.segments.Store(&view{segments: segments})
	l.end.Store(int64(end))
	l.durable.Store(min(l.durable.Load(), int64(end)))
	l.highWatermark.Store(min(l.highWatermark.Load(), int64(end)))
	l.mu.cleanedTo = min(l.mu.cleanedTo, end)
	l.removeLocked(v.segments[i+1:], end)
	if l.mu.epochs.truncateEnd(end) {
		l.mu.epochsDirty = true
	}
	if bug.Is(bug.ProducersNotRewound) { // P1: what was cut off is no duplicate
		return l.syncNames()
	}
	if err := l.rewindProducersLocked(segments, end); err != nil {
		return err
	}
	l.touch()
	l.checkLocked()
	return l.syncNames()
}

// syncNames makes the names in the log's directory durable now: files that were taken away must not come back beside new ones.
func (p *place) syncNames() error { return p.syncFailed(p.env.FS.SyncDir(p.path)) }

// baseAt is the base offset of the batch at pos.
func (l *Log) baseAt(s *segment, f *openFile, pos int64) (model.Offset, error) {
	sc := l.scan(f, pos, s.size.Load())
	defer sc.done()
	if !sc.next() {
		return 0, badBatchOr(sc.err)
	}
	return sc.h.BaseOffset, nil
}

// lowerPointLocked makes sure that no checkpoint vouches for what is about to change. It lets go of the lock meanwhile. Callers count a
// truncation afterwards, so that syncs and checkpoints that began before do not vouch for what comes after.
func (l *Log) lowerPointLocked(to model.Offset) error {
	for l.mu.recoveryPoint > to { // a checkpoint may raise it again while the lock is free
		l.mu.truncations++
		l.mu.recoveryPoint = to
		l.mu.cleanedTo = min(l.mu.cleanedTo, to) // it is made durable together with the recovery point
		l.mu.Unlock()                            // the writer of the checkpoint asks every log, this one too
		err := l.care.storePoints()
		l.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// noteStartLocked writes down where the log is to begin. It lets go of the lock meanwhile.
func (l *Log) noteStartLocked(start model.Offset) error {
	l.mu.wantStart = start
	l.mu.Unlock()
	defer l.mu.Lock()
	return l.care.storeStarts()
}

// cutSegmentLocked makes the segment that is left of old: another object, because readers of old hold positions of what was behind.
func (l *Log) cutSegmentLocked(old *segment, f *openFile, pos int64, end model.Offset) (*segment, error) {
	if err := f.Truncate(pos); err != nil {
		return nil, l.failed(err)
	}
	if err := f.SyncData(); err != nil {
		return nil, l.syncFailed(err)
	}
	s := newSegment(l.place, old.base, old.interval)
	s.adopt(pos, end)
	s.trusted, s.trustedEnd = min(old.trusted, pos), min(old.trustedEnd, end)
	// Segments before this one may still hold undurable bytes; syncs find those by coming through this one.
	s.w.synced = min(old.w.synced, pos)
	l.unsynced.Add((pos - s.w.synced) - (old.size.Load() - old.w.synced))
	old.retire()
	if s.w.synced < pos {
		f, err := s.openData()
		if err != nil {
			return nil, l.failed(err)
		}
		s.hold(f)
	}
	s.index.mu.Lock()
	s.index.cut = true
	err := s.loadIndexLocked(s.relative(end), pos)
	s.index.cut = false
	s.index.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := l.measureLocked(s, pos); err != nil {
		return nil, err
	}
	return s, s.aborts.inherit(s, &old.aborts, end)
}

// measureLocked finds the largest timestamp of a segment that was cut: the time index knows it up to its last entry.
func (l *Log) measureLocked(s *segment, size int64) error {
	f, err := s.openData()
	if err != nil {
		return l.failed(err)
	}
	defer f.unref()
	w := &s.w.indexer
	w.maxTime = s.index.lastTime
	err = s.walk(f, span{int64(s.index.lastOffset.pos), size}, func(sc *scanner) bool {
		if ts := latestTime(&sc.h); ts > w.maxTime.ts {
			w.maxTime = timeEntry{ts: ts, rel: s.relative(sc.h.LastOffset())}
		}
		return true
	})
	s.maxTime.Store(w.maxTime.ts)
	return err
}

// rewindProducersLocked makes the producers' state that of end. Snapshots of what was cut off must not come back.
func (l *Log) rewindProducersLocked(segments []*segment, end model.Offset) error {
	offsets, err := l.snapshots()
	if err != nil {
		return err
	}
	for _, off := range offsets {
		if off <= end {
			continue
		}
		if err := l.env.FS.Remove(l.file(off, snapshotSuffix)); err != nil && !notExist(err) {
			return l.failed(err)
		}
		if off == l.mu.snapshotAt {
			l.mu.snapshotAt = model.NoOffset
		}
	}
	state, err := l.producersAt(segments, end)
	if err != nil {
		return err
	}
	l.mu.producers = state
	l.publishUnstableLocked()
	return nil
}
