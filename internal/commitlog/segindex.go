package commitlog

import (
	"errors"
	"io"
	"sort"
	"sync"
)

// errBadIndex says that an index file is not what the segment's bytes make it.
var errBadIndex = errors.New("index does not fit its segment")

// segIndex is the pair of indexes of one segment. It is read when it is first needed.
type segIndex struct {
	mu sync.Mutex
	// Guarded by mu. Entries in the files do not change but by a rebuild, which starts a new generation.
	ready         bool
	cut           bool // it is being made for a segment that was cut: what the old one had only in memory was not lost
	generation    uint32
	offsetsInFile int
	timesInFile   int
	offsets       []batchEntry // behind the file's
	times         []timeEntry
	lastOffset    batchEntry // the last entry anywhere, when there is one
	lastTime      timeEntry  // the last entry anywhere; ts is -1 without one
}

// reset makes x the index of an empty segment. Callers hold mu, or nobody else has x yet.
func (x *segIndex) reset() {
	x.offsetsInFile, x.timesInFile, x.offsets, x.times = 0, 0, nil, nil
	x.lastOffset, x.lastTime = batchEntry{}, timeEntry{ts: -1}
	x.generation++
	x.ready = true
}

// addLocked notes a batch, and the largest timestamp so far if it is news.
func (x *segIndex) addLocked(e batchEntry, t timeEntry) {
	x.offsets = append(x.offsets, e)
	x.lastOffset = e
	x.addTimeLocked(t)
}

// addTimeLocked notes a timestamp. When a segment is sealed its largest one is noted too, so that it is found in the last entry.
func (x *segIndex) addTimeLocked(t timeEntry) {
	if t.ts > x.lastTime.ts && (x.timesInFile+len(x.times) == 0 || t.rel >= x.lastTime.rel) {
		x.times = append(x.times, t)
		x.lastTime = t
	}
}

// fullLocked reports whether an index file would grow over limit bytes. As in Kafka the time index keeps one place for the seal.
func (x *segIndex) fullLocked(limit int) bool {
	return x.offsetsInFile+len(x.offsets) >= limit/offsetEntrySize || x.timesInFile+len(x.times) >= limit/timeEntrySize-1
}

// pendingLocked is the number of entries that are only in memory.
func (x *segIndex) pendingLocked() int { return len(x.offsets) + len(x.times) }

// writeLocked appends the entries in memory to the files.
func (x *segIndex) writeLocked(offsets, times io.WriterAt) error {
	if len(x.offsets) > 0 {
		b := make([]byte, 0, len(x.offsets)*offsetEntrySize)
		for _, e := range x.offsets {
			b = e.append(b)
		}
		if _, err := offsets.WriteAt(b, int64(x.offsetsInFile)*offsetEntrySize); err != nil {
			return err
		}
	}
	if len(x.times) > 0 {
		b := make([]byte, 0, len(x.times)*timeEntrySize)
		for _, e := range x.times {
			b = e.append(b)
		}
		if _, err := times.WriteAt(b, int64(x.timesInFile)*timeEntrySize); err != nil {
			return err
		}
	}
	x.offsetsInFile += len(x.offsets)
	x.timesInFile += len(x.times)
	x.offsets, x.times = x.offsets[:0], x.times[:0]
	return nil
}

// floorLocked finds in memory the last entry at or below rel. Otherwise inFile says how many entries of the file may hold it.
func (x *segIndex) floorLocked(rel uint32) (e batchEntry, found bool, inFile int) {
	n := len(x.offsets)
	if n == 0 || x.offsets[0].rel > rel {
		return e, false, x.offsetsInFile
	}
	i := sort.Search(n, func(i int) bool { return x.offsets[i].rel > rel })
	return x.offsets[i-1], true, 0
}

// belowLocked finds in memory the last entry with a timestamp below ts: every record up to it is too old for a search of ts.
func (x *segIndex) belowLocked(ts int64) (e timeEntry, found bool, inFile int) {
	n := len(x.times)
	if n == 0 || x.times[0].ts >= ts {
		return e, false, x.timesInFile
	}
	i := sort.Search(n, func(i int) bool { return x.times[i].ts >= ts })
	return x.times[i-1], true, 0
}

// searchBlock is how many bytes of an index are read at once for the last steps of a search.
const searchBlock = 4032 // divides into entries of both sizes

// indexSearch is a search in an open index file.
type indexSearch func(io.ReaderAt) (entry [timeEntrySize]byte, found bool, err error)

// searchFile finds among n entries of size bytes the last one that after does not hold for: half a dozen small reads from the page cache
// for the index of a full gigabyte, and nothing kept in memory.
// last, if there is one, is shown the block that the search ended in.
func (k *disk) searchFile(f io.ReaderAt, n, size int, after func(entry []byte) bool, last func(block []byte)) (entry [timeEntrySize]byte, found bool, err error) {
	s := k.scan(f, 0, int64(n)*int64(size))
	defer s.done()
	s.ahead = size
	lo, hi := 0, n // entries below lo qualify, those from hi on do not
	for (hi-lo)*size > searchBlock {
		mid := int(uint(lo+hi) >> 1)
		b, err := s.bytes(int64(mid)*int64(size), size)
		if err != nil {
			return entry, false, err
		}
		if after(b) {
			hi = mid
		} else {
			lo = mid + 1
			copy(entry[:], b)
		}
	}
	if lo < hi {
		b, err := s.bytes(int64(lo)*int64(size), (hi-lo)*size)
		if err != nil {
			return entry, false, err
		}
		if last != nil {
			last(b)
		}
		i := sort.Search(hi-lo, func(i int) bool { return after(b[i*size : (i+1)*size]) })
		if i > 0 {
			copy(entry[:], b[(i-1)*size:i*size])
		}
		lo += i
	}
	return entry, lo > 0, nil
}
