package commitlog

import (
	"encoding/binary"
	"io"
	"time"

	"github.com/klamm/klamm/internal/model"
)

// segmentForLocked is the active segment, ready to be appended to, or a new one if that is due.
func (l *Log) segmentForLocked(in *incoming, cfg *Config) (*segment, error) {
	s := l.segments.Load().active()
	whole, err := l.prepareLocked(s)
	if err != nil {
		return nil, err
	}
	if whole && !l.rollDueLocked(s, in, cfg) {
		return s, nil
	}
	base := l.End() // so that a segment ends where the next begins, whatever gap a compacted leader leaves
	if in.next-1-base > maxRelative {
		base = in.first
		l.dense.Store(false)
	}
	return l.rollLocked(base)
}

// rollDueLocked says what ends a segment: its size, its age, a full index, or an offset too far from its base. As in Kafka age is counted in
// record time from the first batch on, so a segment of old records, being copied from elsewhere, does not roll at every batch.
func (l *Log) rollDueLocked(s *segment, in *incoming, cfg *Config) bool {
	size := s.size.Load()
	if size > int64(cfg.Segment.Bytes-len(in.records)) || in.next-1-s.base > maxRelative {
		return true
	}
	if size == 0 {
		return false
	}
	var age time.Duration
	if s.w.firstTime >= 0 && in.maxTime >= 0 {
		age = milliseconds(in.maxTime - s.w.firstTime)
	} else {
		age = l.env.Clock.Now().Sub(s.w.created)
	}
	if age > cfg.rollAge()-l.jitterLocked(cfg.Segment.Jitter) {
		return true
	}
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	return s.index.fullLocked(cfg.Segment.IndexMaxBytes)
}

// milliseconds is a distance of timestamps, which clients choose freely, without overflow.
func milliseconds(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	return time.Duration(min(max(n, -most), most)) * time.Millisecond
}

// jitterLocked is this log's share of segment.jitter.ms, so that many logs created together do not roll together.
func (l *Log) jitterLocked(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	if l.mu.jitter == 0 {
		var b [8]byte
		if _, err := io.ReadFull(l.env.Random, b[:]); err != nil {
			return 0
		}
		l.mu.jitter = 1 + time.Duration(binary.BigEndian.Uint64(b[:])>>1)
	}
	return l.mu.jitter % (most + 1)
}

// prepareLocked opens the active segment for appending, which a log does when it is first appended to. whole is false when the file
// is shorter than it was left: then its end is lost, and the segment must not be written again.
func (l *Log) prepareLocked(s *segment) (whole bool, err error) {
	if s.w.file == nil {
		f, err := l.openActiveLocked(s)
		if err != nil {
			return false, err
		}
		if n := s.hold(f); n >= l.maxHeld && n%heldStep == 0 {
			l.care.crowded()
		}
	}
	if s.w.ready {
		return true, nil
	}
	size := s.size.Load()
	length, err := s.w.file.Size()
	switch {
	case err != nil:
		return false, l.failed(err)
	case length < size:
		return false, nil
	}
	if err := s.cutFile(s.w.file, size); err != nil {
		return false, err
	}
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	if err := s.loadIndexLocked(noLimit, size); err != nil {
		return false, err
	}
	w := &s.w
	w.indexer.since = size - int64(s.index.lastOffset.pos)
	if s.index.lastTime.ts >= w.indexer.maxTime.ts {
		w.indexer.maxTime = s.index.lastTime
	}
	s.maxTime.Store(max(w.indexer.maxTime.ts, s.maxTime.Load()))
	w.firstTime, w.created = -1, l.env.Clock.Now()
	sc := s.scan(w.file, 0, size)
	if sc.next() {
		w.firstTime = sc.h.MaxTimestamp
	}
	sc.done()
	s.beginRecent(l.End())
	w.ready = true
	return true, nil
}

// beginRecent lets readers of the segment's tail do without the index.
func (s *segment) beginRecent(end model.Offset) {
	r := &recentBatches{}
	r.note(s.relative(end), uint32(s.size.Load()))
	s.recent.Store(r)
}

// rollLocked seals the active segment and begins the next at base.
func (l *Log) rollLocked(base model.Offset) (*segment, error) {
	v := l.segments.Load()
	old := v.active()
	if err := l.sealLocked(old); err != nil {
		return nil, err
	}
	if err := l.readProducersLocked(); err != nil {
		return nil, err
	}
	// Also without producers: a restart looks no further back for any than to the newest snapshot.
	if err := l.writeSnapshot(base, &l.mu.producers); err != nil {
		return nil, err
	}
	s := l.emptySegment(base)
	if _, err := l.prepareLocked(s); err != nil {
		return nil, err
	}
	l.mu.producers.dirty, l.mu.sinceSnapshot = false, 0
	l.mu.names.add()
	segments := append(v.segments[:len(v.segments):len(v.segments)], s)
	l.segments.Store(&view{segments: segments})
	old.recent.Store(nil)
	l.report(Event{Kind: EventRolled, TP: l.tp, From: base})
	l.Commit()
	l.touch()
	return s, nil
}

// sealLocked writes the indexes of the active segment as they will stay.
func (l *Log) sealLocked(s *segment) error {
	x := &s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := s.loadIndexLocked(noLimit, s.size.Load()); err != nil {
		return err
	}
	if s.w.indexer.maxTime.ts >= 0 {
		x.addTimeLocked(s.w.indexer.maxTime)
	}
	if err := s.storeIndexLocked(openCreate); err != nil {
		return err
	}
	x.offsets, x.times = nil, nil
	return s.flushAborts()
}

// openActiveLocked opens the active segment's file to append to it. Only now it is created: an empty log is a directory and a name.
func (l *Log) openActiveLocked(s *segment) (*openFile, error) {
	if s.size.Load() > 0 {
		f, err := s.openData()
		return f, l.failed(err)
	}
	f, err := s.open(&s.data, logSuffix, openCreate)
	if err != nil {
		return nil, l.failed(err)
	}
	if err := s.cutFile(f, 0); err != nil {
		f.unref()
		return nil, err
	}
	l.mu.names.add()
	return f, nil
}

// emptySegment is a segment that begins at base. Its files are made when the first record comes.
func (l *Log) emptySegment(base model.Offset) *segment {
	s := newSegment(l.place, base, l.config.Load().Segment.IndexIntervalBytes)
	s.w.firstTime, s.w.created, s.w.ready = -1, l.env.Clock.Now(), true
	s.maxTime.Store(-1)
	s.index.reset()
	s.aborts.known = true
	s.beginRecent(base)
	return s
}
