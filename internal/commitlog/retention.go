package commitlog

import (
	"errors"
	"time"

	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/model"
)

// retain deletes the segments that retention.ms and retention.bytes give up, of all logs together: their new starts are written down once,
// before the first file goes (S11).
func (d *Dir) retain(now time.Time) {
	var due []*Log
	for _, l := range d.logs() {
		if l.future { // begins where the log it is a copy of does
			continue
		}
		ok, err := l.chooseStart(now)
		if err != nil {
			continue // offline, or closed meanwhile
		}
		if ok {
			due = append(due, l)
		}
	}
	if len(due) == 0 || d.storeStarts() != nil {
		return
	}
	for _, l := range due {
		if l.keepProducers() == nil {
			l.advanceStart()
		}
	}
}

// chooseStart decides where the log is to begin and reports whether that is news.
func (l *Log) chooseStart(now time.Time) (bool, error) {
	cfg := l.config.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return false, err
	}
	start := max(l.Start(), l.mu.wantStart)
	if cfg.Retention.Delete {
		n, err := l.expiredLocked(now, cfg)
		if err != nil {
			return false, err
		}
		if v := l.segments.Load(); n == len(v.segments) {
			// Even the active segment is due: it is sealed, and a new one begins empty.
			if _, err := l.rollLocked(l.End()); err != nil {
				return false, err
			}
		}
		if n > 0 {
			start = max(start, l.segments.Load().segments[n].base)
		}
	}
	l.mu.wantStart = start
	return start > l.Start() || l.segments.Load().find(start) > 0, nil
}

// expiredLocked counts the segments, from the oldest on, that age or size give up. Nothing goes that is not committed.
func (l *Log) expiredLocked(now time.Time, cfg *Config) (int, error) {
	segments := l.segments.Load().segments
	var total int64
	for _, s := range segments {
		total += s.size.Load()
	}
	keep := min(l.HighWatermark(), l.DurableEnd()) // a start behind the durable end could be all that is left of a log
	n := 0
	for i, s := range segments {
		next := l.End()
		if i+1 < len(segments) {
			next = segments[i+1].base
		}
		if next > keep || (i+1 == len(segments) && s.size.Load() == 0) {
			break
		}
		tooMuch := cfg.Retention.Bytes >= 0 && total-s.size.Load() >= cfg.Retention.Bytes
		if !tooMuch {
			old, err := l.tooOld(s, now, cfg.Retention.Age)
			if err != nil || !old {
				return n, err
			}
		}
		total -= s.size.Load()
		n++
	}
	return n, nil
}

// tooOld reports whether every record of the segment is older than age. A segment whose records have no time is as old as its file.
func (l *Log) tooOld(s *segment, now time.Time, age time.Duration) (bool, error) {
	if age < 0 {
		return false, nil
	}
	largest, err := s.largestTime()
	if err != nil {
		return false, err
	}
	if largest < 0 {
		info, err := l.env.FS.Stat(s.file(s.base, logSuffix))
		if err != nil {
			return false, l.failed(err)
		}
		largest = info.ModTime().UnixMilli()
	}
	return milliseconds(now.UnixMilli()-largest) > age, nil
}

// DeleteRecords raises the log's start to an offset up to End. It returns when the new start is durable; segments that lie below it
// are removed. ErrOffsetOutOfRange, ErrNoSpace, ErrOffline, ErrClosed.
func (l *Log) DeleteRecords(to model.Offset) error {
	if to > l.DurableEnd() {
		if err := l.Flush(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	err := l.usable()
	if err == nil && to > l.End() {
		err = ErrOffsetOutOfRange
	}
	if err != nil || to <= l.Start() {
		l.mu.Unlock()
		return l.at(to, err)
	}
	l.mu.wantStart = max(l.mu.wantStart, to)
	l.mu.Unlock()
	if err := l.care.storeStarts(); err != nil {
		return l.at(to, err)
	}
	if err := l.keepProducers(); err != nil {
		return l.at(to, err)
	}
	l.advanceStart()
	return nil
}

// keepProducers makes sure that there is a good and durable snapshot where the first segment that stays begins: what is about to be
// deleted may be all that it could be derived from.
func (l *Log) keepProducers() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.segments.Load()
	first := v.find(l.mu.wantStart)
	if first == 0 || (!l.mu.producers.unread && len(l.mu.producers.byID) == 0) {
		return nil
	}
	base := v.segments[first].base
	_, err := l.readSnapshot(base)
	switch {
	case err == nil && l.mu.recoveryPoint > base:
		return nil // a checkpoint came after it was written
	case err == nil:
	case !errors.Is(err, errBadSnapshot) && !notExist(err):
		return err
	default:
		state, err := l.producersAt(v.segments, base)
		if err != nil {
			return err
		}
		if err := l.writeSnapshot(base, &state); err != nil {
			return err
		}
	}
	return l.syncSnapshot(base)
}

// syncSnapshot makes a snapshot durable.
func (p *place) syncSnapshot(at model.Offset) error {
	if err := p.disk.syncFile(p.file(at, snapshotSuffix)); err != nil {
		return p.syncFailed(err)
	}
	return p.syncNames()
}

// advanceStart lets the log begin where it was decided and written down, and removes the segments below.
func (l *Log) advanceStart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return
	}
	start := min(l.mu.wantStart, l.End())
	if start > l.Start() {
		l.start.Store(int64(start))
		if l.mu.epochs.truncateStart(start) {
			l.mu.epochsDirty = true
			if !l.beginsSegment(start) {
				// The first epoch begins where the log does: that is how a start within a segment survives the loss of its checkpoint. What
				// fails here is tried again by the next checkpoint.
				_ = l.writeEpochsLocked()
			}
		}
	}
	v := l.segments.Load()
	n := v.find(start)
	if n > 0 {
		l.segments.Store(&view{segments: v.segments[n:]})
		l.removeLocked(v.segments[:n], start)
	}
	l.touch()
	l.checkLocked()
}

// removeLocked takes segments that are out of the view off the disk: renamed now, deleted after file.delete.delay.ms. Whoever reads one keeps
// its descriptor.
func (l *Log) removeLocked(gone []*segment, start model.Offset) {
	var doomed []string
	for _, s := range gone {
		if s.w.file != nil {
			l.unsynced.Add(-s.settle(s.size.Load()))
		}
		for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix, txnSuffix, snapshotSuffix} {
			name := s.file(s.base, suffix)
			err := l.env.FS.Rename(name, name+deletedSuffix)
			switch {
			case err == nil:
				doomed = append(doomed, name+deletedSuffix)
			case !notExist(err):
				_ = l.failed(err) // goes offline; the records are out of sight already
			}
		}
		s.close()
		l.report(Event{Kind: EventSegmentDeleted, TP: l.tp, From: s.base, To: start, Bytes: s.size.Load()})
	}
	if at := l.mu.snapshotAt; at != model.NoOffset && at < l.segments.Load().segments[0].base {
		if err := l.env.FS.Remove(l.file(at, snapshotSuffix)); err == nil || notExist(err) {
			l.mu.snapshotAt = model.NoOffset
		}
	}
	invariant.Sometimes("segments deleted")
	l.care.doom(doomed, l.config.Load().Retention.DeleteDelay)
}
