package commitlog

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/klamm/klamm/internal/model"
)

// noLimit loads an index whole.
const noLimit = math.MaxUint32

// loadIndexLocked reads how long the index files are, leaving out entries of batches that end at base+limit or behind, and checks
// their last entries against the segment. Files that are missing or wrong are derived again from the first end bytes of the segment.
// Callers hold index.mu.
func (s *segment) loadIndexLocked(limit uint32, end int64) error {
	if s.index.ready {
		return nil
	}
	err := s.readIndexLocked(limit, end)
	if err == nil {
		s.index.ready = true
		return nil
	}
	if !errors.Is(err, errBadIndex) {
		return err
	}
	return s.deriveIndexLocked(limit, end)
}

func (s *segment) readIndexLocked(limit uint32, end int64) error {
	x := &s.index
	x.reset()
	x.ready = false
	n, e, err := s.readTail(&s.offsetsFile, indexSuffix, offsetEntrySize, limit)
	if err != nil {
		return err
	}
	m, t, err := s.readTail(&s.timesFile, timeSuffix, timeEntrySize, limit)
	if err != nil {
		return err
	}
	x.offsetsInFile, x.timesInFile = n, m
	if n > 0 {
		x.lastOffset = readBatchEntry(e[:])
		if err := s.proveOffset(x.lastOffset, end); err != nil {
			return err
		}
	}
	if m == 0 {
		if end > 0 {
			return errBadIndex // a segment with data has a timestamp to remember, or is small enough to look
		}
		return nil
	}
	x.lastTime = readTimeEntry(t[:])
	if err := s.proveTimeLocked(x.lastTime, end); err != nil {
		return err
	}
	return s.proveLatestLocked(limit, end)
}

// proveLatestLocked looks whether a batch behind the last time entry has a larger timestamp: then entries are missing, and those made from
// here on would say what is not true. Behind the last entry of the offset index that is no loss; the largest one is noted here. Timestamps mostly
// grow, so there is little to look at.
func (s *segment) proveLatestLocked(limit uint32, end int64) error {
	x := &s.index
	f, err := s.openData()
	if err != nil {
		return err
	}
	defer f.unref()
	from, err := s.startLocked(x.lastTime.rel)
	if err != nil {
		return badIndexOr(err)
	}
	sc := s.scan(f, from, end)
	defer sc.done()
	latest := x.lastTime
	for sc.next() && sc.h.BaseOffset >= s.base && sc.h.LastOffset() < s.base+model.Offset(limit) {
		ts := latestTime(&sc.h)
		if ts <= latest.ts {
			continue
		}
		if x.offsetsInFile > 0 && sc.at <= int64(x.lastOffset.pos) {
			return errBadIndex
		}
		latest = timeEntry{ts: ts, rel: s.relative(sc.h.LastOffset())}
	}
	if sc.err != nil && !errors.Is(sc.err, errBroken) {
		return sc.err
	}
	if latest != x.lastTime {
		x.addTimeLocked(latest)
	}
	return nil
}

// readTail counts the entries of an index file that stand before the first one of offset limit or more, cuts the rest off, and gives the
// last one.
func (s *segment) readTail(slot *fileSlot, suffix string, size int, limit uint32) (n int, last [timeEntrySize]byte, err error) {
	f, err := s.open(slot, suffix, openExisting)
	if notExist(err) {
		return 0, last, errBadIndex
	}
	if err != nil {
		return 0, last, s.failed(err)
	}
	defer f.unref()
	length, err := f.Size()
	if err != nil {
		return 0, last, s.failed(err)
	}
	if length%int64(size) != 0 || length > maxSegmentBytes {
		return 0, last, errBadIndex
	}
	total := int(length) / size
	n = total
	if limit != noLimit {
		if n, err = s.countBelow(f, total, size, limit); err != nil {
			return 0, last, badIndexOr(err)
		}
		if n < total {
			if err := s.failed(f.Truncate(int64(n) * int64(size))); err != nil {
				return 0, last, err
			}
		}
	}
	if n > 0 {
		err = s.readAt(f, last[:size], int64(n-1)*int64(size))
	}
	return n, last, badIndexOr(err)
}

// countBelow is the number of entries before the first of offset limit or more. The offset is the first field of a batch entry and the last
// of a time entry.
func (s *segment) countBelow(f io.ReaderAt, total, size int, limit uint32) (int, error) {
	var b [timeEntrySize]byte
	at := size - offsetEntrySize
	if size == timeEntrySize {
		at = timeEntrySize - 4
	}
	lo, hi := 0, total
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if err := s.readAt(f, b[:size], int64(mid)*int64(size)); err != nil {
			return 0, err
		}
		if binary.BigEndian.Uint32(b[at:]) >= limit {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, nil
}

// badIndexOr lets a file that is shorter than it should be count as a bad index, not as a failing disk.
func badIndexOr(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errBroken) {
		return errBadIndex
	}
	return err
}

// proveOffset looks whether the batch that an entry speaks of is there.
func (s *segment) proveOffset(e batchEntry, end int64) error {
	f, err := s.openData()
	if err != nil {
		return err
	}
	defer f.unref()
	sc := s.scan(f, int64(e.pos), end)
	defer sc.done()
	switch {
	case sc.next() && sc.h.LastOffset() == s.base+model.Offset(e.rel):
		return nil
	case sc.err != nil && !errors.Is(sc.err, errBroken):
		return sc.err
	}
	return errBadIndex
}

// proveTimeLocked looks whether the batch that a time entry speaks of is there and has that timestamp.
func (s *segment) proveTimeLocked(t timeEntry, end int64) error {
	f, err := s.openData()
	if err != nil {
		return err
	}
	defer f.unref()
	from, err := s.startLocked(t.rel)
	if err != nil {
		return badIndexOr(err)
	}
	sc := s.scan(f, from, end)
	defer sc.done()
	for first := true; sc.next(); first = false {
		last := sc.h.LastOffset() - s.base
		switch {
		case last == model.Offset(t.rel) && latestTime(&sc.h) == t.ts:
			return nil
		case last >= model.Offset(t.rel), first && from > 0 && last > model.Offset(t.rel):
			return errBadIndex
		}
	}
	if sc.err != nil && !errors.Is(sc.err, errBroken) {
		return sc.err
	}
	return errBadIndex
}

// startLocked is where a scan for the batch that ends at base+rel may begin, by the index alone.
func (s *segment) startLocked(rel uint32) (int64, error) {
	e, found, inFile := s.index.floorLocked(rel)
	if found || inFile == 0 {
		return int64(e.pos), nil
	}
	f, err := s.open(&s.offsetsFile, indexSuffix, openExisting)
	if err != nil {
		return 0, s.gone(err)
	}
	defer f.unref()
	b, found, err := s.searchFile(f, inFile, offsetEntrySize, func(b []byte) bool { return readBatchEntry(b).rel > rel }, nil)
	if err != nil || !found {
		return 0, err
	}
	return int64(readBatchEntry(b[:]).pos), nil
}

// deriveIndexLocked makes the index anew from the first end bytes of the segment, up to the batch that ends at base+limit or behind.
func (s *segment) deriveIndexLocked(limit uint32, end int64) error {
	x := &s.index
	x.reset()
	x.ready = false
	f, err := s.openData()
	if err != nil {
		return err
	}
	defer f.unref()
	w := newIndexer()
	high, to := s.base+model.Offset(limit), s.base
	err = s.walk(f, span{0, end}, func(sc *scanner) bool {
		if sc.h.LastOffset() >= high {
			return false
		}
		w.note(x, s.base, &sc.h, sc.at, s.interval)
		to = sc.h.NextOffset()
		return sc.h.NextOffset() < high // after a crash what stands behind may be a torn tail, which is no damage
	})
	if err != nil {
		return err
	}
	if w.maxTime.ts >= 0 {
		x.addTimeLocked(w.maxTime)
	}
	x.ready = true
	// An index without entries is no loss, and its one time entry is made whenever it is needed: that is the state of every small segment
	// after a crash, and not worth two files.
	flag := openExisting
	if x.pendingLocked() > 1 {
		flag = openCreate
		if !x.cut {
			s.report(Event{Kind: EventIndexRebuilt, TP: s.tp, From: s.base, To: to, Bytes: end})
		}
	}
	if err := s.storeIndexLocked(flag); err != nil && !errors.Is(err, ErrNoSpace) {
		return err
	}
	return nil
}

// storeIndexLocked appends what is in memory to the files, which are cut to what is known to be right before. Files that do not exist are
// only made with openCreate; without it there must be nothing to write.
func (s *segment) storeIndexLocked(flag int) error {
	x := &s.index
	offsets, err := s.open(&s.offsetsFile, indexSuffix, flag)
	if err != nil {
		return s.missing(err)
	}
	defer offsets.unref()
	times, err := s.open(&s.timesFile, timeSuffix, flag)
	if err != nil {
		return s.missing(err)
	}
	defer times.unref()
	if err := s.cutFile(offsets, int64(x.offsetsInFile)*offsetEntrySize); err != nil {
		return err
	}
	if err := s.cutFile(times, int64(x.timesInFile)*timeEntrySize); err != nil {
		return err
	}
	return s.failed(x.writeLocked(offsets, times))
}

// missing lets a file that does not exist be none.
func (s *segment) missing(err error) error {
	if notExist(err) {
		return nil
	}
	return s.failed(err)
}

// cutFile drops what stands behind size.
func (s *segment) cutFile(f *openFile, size int64) error {
	length, err := f.Size()
	if err == nil && length > size {
		err = f.Truncate(size)
	}
	return s.failed(err)
}
