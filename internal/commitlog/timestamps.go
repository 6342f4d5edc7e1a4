package commitlog

import (
	"errors"
	"io"
	"math"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// Found is a record found by its timestamp.
type Found struct {
	Offset      model.Offset
	Timestamp   int64 // ms
	LeaderEpoch model.LeaderEpoch
}

// timeSearch is a search for a record by its timestamp.
type timeSearch struct {
	from, end model.Offset // only records between them count
	// want is asked with the largest timestamp of a batch, and whether all of that batch counts; if it says yes, with those of the records.
	want   func(timestamp int64, whole bool) bool
	limits batch.Limits
	room   []byte
}

// OffsetForTimestamp finds the first record below end with a timestamp of ts (ms) or later.
func (l *Log) OffsetForTimestamp(ts int64, end model.Offset) (Found, bool, error) {
	return l.searchTime(end, func(s *segment, _ model.Offset, q *timeSearch) (Found, bool, error) {
		largest, err := s.largestTime()
		if err != nil || largest < ts {
			return Found{}, false, err
		}
		q.want = func(t int64, _ bool) bool { return t >= ts }
		from, err := s.timeFloor(ts)
		if err != nil {
			return Found{}, false, err
		}
		return s.findTime(from, q)
	})
}

// MaxTimestamp finds the first record below end with the largest timestamp (KIP-734).
func (l *Log) MaxTimestamp(end model.Offset) (Found, bool, error) {
	largest, err := l.largestTimeBelow(end)
	if err != nil || largest < 0 {
		return Found{}, false, err
	}
	return l.OffsetForTimestamp(largest, end)
}

// largestTimeBelow is the largest timestamp of the records below end, -1 without one. Only segments that the log's start or end cuts through are
// looked at batch by batch.
func (l *Log) largestTimeBelow(end model.Offset) (int64, error) {
	largest := int64(-1)
	_, _, err := l.searchTime(end, func(s *segment, high model.Offset, q *timeSearch) (Found, bool, error) {
		t, err := s.largestTime()
		if err != nil || t <= largest {
			return Found{}, false, err
		}
		if high == math.MaxInt64 {
			high = l.End() // looked up after the timestamp, which therefore covers no more
		}
		if s.base >= q.from && high <= q.end {
			largest = t
			return Found{}, false, nil
		}
		q.want = func(t int64, whole bool) bool {
			if whole {
				largest = max(largest, t)
			}
			return !whole
		}
		return s.findTime(0, q)
	})
	return largest, err
}

// searchTime asks the segments that hold records below end one after the other.
func (l *Log) searchTime(end model.Offset, one func(s *segment, high model.Offset, q *timeSearch) (Found, bool, error)) (Found, bool, error) {
	if err := l.usable(); err != nil {
		return Found{}, false, l.at(model.NoOffset, err)
	}
	q := timeSearch{from: l.Start(), end: min(end, l.End()), limits: batch.LimitsFor(l.config.Load().MaxMessageBytes)}
	for range readAttempts {
		found, ok, err := l.searchView(&q, one)
		if !errors.Is(err, errGone) {
			return found, ok, l.at(model.NoOffset, err)
		}
		q.from = l.Start()
	}
	return Found{}, false, l.at(model.NoOffset, ErrCorrupt)
}

func (l *Log) searchView(q *timeSearch, one func(s *segment, high model.Offset, q *timeSearch) (Found, bool, error)) (Found, bool, error) {
	v := l.segments.Load()
	for i := v.find(q.from); i < len(v.segments) && v.segments[i].base < q.end; i++ {
		found, ok, err := one(v.segments[i], v.high(i), q)
		if ok || err != nil {
			return found, ok, err
		}
	}
	return Found{}, false, nil
}

// timeFloor is the position from which on a record with a timestamp of ts or later may stand.
func (s *segment) timeFloor(ts int64) (int64, error) {
	for {
		t, generation, err := s.below(ts)
		if err != nil || t.rel == 0 {
			return 0, err
		}
		x := &s.index
		x.mu.Lock()
		err = s.proveTimeLocked(t, s.size.Load())
		x.mu.Unlock()
		if err == nil {
			e, _, err := s.floor(t.rel)
			return int64(e.pos), err
		}
		if !errors.Is(err, errBadIndex) {
			return 0, err
		}
		if err := s.rebuildIndex(generation); err != nil {
			return 0, err
		}
	}
}

// below is the last entry of the time index below ts, and the index's generation. rel is 0 without one.
func (s *segment) below(ts int64) (timeEntry, uint32, error) {
	x := &s.index
	for {
		x.mu.Lock()
		if err := s.loadIndexLocked(noLimit, s.size.Load()); err != nil {
			x.mu.Unlock()
			return timeEntry{}, 0, err
		}
		t, found, inFile := x.belowLocked(ts)
		generation := x.generation
		x.mu.Unlock()
		if found || inFile == 0 {
			return t, generation, nil
		}
		b, found, err := s.searchIndex(&s.timesFile, timeSuffix, func(f io.ReaderAt) (found [timeEntrySize]byte, ok bool, err error) {
			return s.searchFile(f, inFile, timeEntrySize, func(b []byte) bool { return readTimeEntry(b).ts >= ts }, nil)
		})
		switch {
		case err == nil && found:
			return readTimeEntry(b[:]), generation, nil
		case err == nil:
			return timeEntry{}, generation, nil
		case !errors.Is(err, errBadIndex):
			return timeEntry{}, 0, err
		}
		if err := s.rebuildIndex(generation); err != nil {
			return timeEntry{}, 0, err
		}
	}
}

// findTime walks the batches from pos on and the records of those whose largest timestamp is wanted.
func (s *segment) findTime(pos int64, q *timeSearch) (found Found, ok bool, err error) {
	f, err := s.openData()
	if err != nil {
		return Found{}, false, err
	}
	defer f.unref()
	var failure error
	err = s.walk(f, span{pos, s.size.Load()}, func(sc *scanner) bool {
		if sc.h.BaseOffset >= q.end {
			return false
		}
		whole := sc.h.BaseOffset >= q.from && sc.h.NextOffset() <= q.end
		if sc.h.LastOffset() < q.from || !q.want(latestTime(&sc.h), whole) {
			return true
		}
		found, ok, failure = s.findRecord(sc, q)
		return !ok && failure == nil
	})
	return found, ok, errors.Join(err, failure)
}

// findRecord looks for the record in one batch.
func (s *segment) findRecord(sc *scanner, q *timeSearch) (Found, bool, error) {
	var err error
	if q.room, err = sc.batchBytes(q.room); err != nil {
		return Found{}, false, err
	}
	if batch.VerifyCRC(q.room) != nil {
		return Found{}, false, s.at(sc.h.BaseOffset, ErrCorrupt)
	}
	for r, err := range batch.Records(q.room, q.limits) {
		if err != nil {
			return Found{}, false, s.at(sc.h.BaseOffset, ErrCorrupt)
		}
		if r.Offset >= q.from && r.Offset < q.end && q.want(r.Timestamp, true) {
			return Found{Offset: r.Offset, Timestamp: r.Timestamp, LeaderEpoch: sc.h.LeaderEpoch}, true, nil
		}
	}
	return Found{}, false, nil
}
