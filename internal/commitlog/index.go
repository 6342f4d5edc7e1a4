package commitlog

import (
	"encoding/binary"
	"errors"
	"io"
	"sort"
	"sync"
	"sync/atomic"
)

// The offset index and the time index of a segment are two sparse sorted lists with an entry about every index.interval.bytes. Their
// older part is in the files, where lookups read it in place; entries made since the last checkpoint pass wait in memory. Entries are
// hints: a lookup believes one only after it has found the batch it speaks of.

const (
	offsetEntrySize = 8
	timeEntrySize   = 12
)

// batchEntry is an entry of the offset index: the last offset of a batch, relative to the segment's base, and where the batch begins.
type batchEntry struct {
	rel uint32
	pos uint32
}

// timeEntry is an entry of the time index: no record up to the batch ending at base+rel has a timestamp above ts (ms), and that batch
// has one with ts.
type timeEntry struct {
	ts  int64
	rel uint32
}

func (e batchEntry) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, e.rel)
	return binary.BigEndian.AppendUint32(b, e.pos)
}

func readBatchEntry(b []byte) batchEntry {
	return batchEntry{rel: binary.BigEndian.Uint32(b), pos: binary.BigEndian.Uint32(b[4:])}
}

func (e timeEntry) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(e.ts))
	return binary.BigEndian.AppendUint32(b, e.rel)
}

func readTimeEntry(b []byte) timeEntry {
	return timeEntry{ts: int64(binary.BigEndian.Uint64(b)), rel: binary.BigEndian.Uint32(b[8:])}
}

// segIndex is the pair of indexes of one segment.
type segIndex struct {
	mu sync.Mutex
	// Guarded by mu. The file counts only grow; entries below them never change while this object lives.
	offsetsInFile int
	timesInFile   int
	offsets       []batchEntry // behind the file's
	times         []timeEntry
	lastTime      timeEntry // the last entry anywhere; ts is -1 without one
}

func newSegIndex() *segIndex { return &segIndex{lastTime: timeEntry{ts: -1}} }

// add notes a batch, and the largest timestamp so far if it is news.
func (x *segIndex) add(e batchEntry, t timeEntry) {
	x.mu.Lock()
	x.offsets = append(x.offsets, e)
	x.addTimeLocked(t)
	x.mu.Unlock()
}

// addTime notes the largest timestamp of a segment that is being sealed, so that retention finds it in the last entry.
func (x *segIndex) addTime(t timeEntry) {
	x.mu.Lock()
	x.addTimeLocked(t)
	x.mu.Unlock()
}

func (x *segIndex) addTimeLocked(t timeEntry) {
	if t.ts > x.lastTime.ts && (x.timesInFile+len(x.times) == 0 || t.rel >= x.lastTime.rel) {
		x.times = append(x.times, t)
		x.lastTime = t
	}
}

// full reports whether an index file would grow over limit bytes. As in Kafka the time index keeps one place for the seal.
func (x *segIndex) full(limit int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.offsetsInFile+len(x.offsets) >= limit/offsetEntrySize || x.timesInFile+len(x.times) >= limit/timeEntrySize-1
}

// pending is the number of entries that are only in memory.
func (x *segIndex) pending() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.offsets) + len(x.times)
}

// flush writes the entries in memory behind those in the files. Callers hold Log.mu: there is one flush at a time, and entries
// added meanwhile stay for the next.
func (x *segIndex) flush(offsets, times io.WriterAt) error {
	x.mu.Lock()
	newOffsets, newTimes := x.offsets, x.times
	atOffset, atTime := x.offsetsInFile, x.timesInFile
	x.mu.Unlock()
	if len(newOffsets) > 0 {
		b := make([]byte, 0, len(newOffsets)*offsetEntrySize)
		for _, e := range newOffsets {
			b = e.append(b)
		}
		if _, err := offsets.WriteAt(b, int64(atOffset)*offsetEntrySize); err != nil {
			return err
		}
	}
	if len(newTimes) > 0 {
		b := make([]byte, 0, len(newTimes)*timeEntrySize)
		for _, e := range newTimes {
			b = e.append(b)
		}
		if _, err := times.WriteAt(b, int64(atTime)*timeEntrySize); err != nil {
			return err
		}
	}
	x.mu.Lock()
	x.offsetsInFile += len(newOffsets)
	x.timesInFile += len(newTimes)
	x.offsets = x.offsets[len(newOffsets):]
	x.times = x.times[len(newTimes):]
	if len(x.offsets) == 0 {
		x.offsets = nil
	}
	if len(x.times) == 0 {
		x.times = nil
	}
	x.mu.Unlock()
	return nil
}

// floorOffset finds the last entry at or below rel. file is asked for only when memory does not hold the answer.
func (x *segIndex) floorOffset(rel uint32, file func() (*openFile, error)) (batchEntry, bool, error) {
	x.mu.Lock()
	inFile := x.offsetsInFile
	if n := len(x.offsets); n > 0 && x.offsets[0].rel <= rel {
		i := sort.Search(n, func(i int) bool { return x.offsets[i].rel > rel })
		e := x.offsets[i-1]
		x.mu.Unlock()
		return e, true, nil
	}
	x.mu.Unlock()
	b, ok, err := searchFile(inFile, offsetEntrySize, file, func(b []byte) bool { return readBatchEntry(b).rel > rel })
	if err != nil || !ok {
		return batchEntry{}, false, err
	}
	return readBatchEntry(b[:]), true, nil
}

// lowerTime finds the last entry with a timestamp below ts: every record up to it is too old for a search of ts.
func (x *segIndex) lowerTime(ts int64, file func() (*openFile, error)) (timeEntry, bool, error) {
	x.mu.Lock()
	inFile := x.timesInFile
	if n := len(x.times); n > 0 && x.times[0].ts < ts {
		i := sort.Search(n, func(i int) bool { return x.times[i].ts >= ts })
		e := x.times[i-1]
		x.mu.Unlock()
		return e, true, nil
	}
	x.mu.Unlock()
	b, ok, err := searchFile(inFile, timeEntrySize, file, func(b []byte) bool { return readTimeEntry(b).ts >= ts })
	if err != nil || !ok {
		return timeEntry{}, false, err
	}
	return readTimeEntry(b[:]), true, nil
}

// searchFile finds the last of n entries that after does not hold for, reading as it goes: some eighteen small reads from the page
// cache for the index of a full gigabyte, and nothing kept in memory.
func searchFile(n, size int, file func() (*openFile, error), after func(entry []byte) bool) (entry [timeEntrySize]byte, ok bool, err error) {
	if n == 0 {
		return entry, false, nil
	}
	f, err := file()
	if err != nil {
		return entry, false, err
	}
	defer f.unref()
	var buf [timeEntrySize]byte
	lo, hi := 0, n // entries below lo qualify, those from hi on do not
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if err := readFull(f, buf[:size], int64(mid)*int64(size)); err != nil {
			return entry, false, err
		}
		if after(buf[:size]) {
			hi = mid
		} else {
			lo, entry = mid+1, buf
		}
	}
	return entry, lo > 0, nil
}

// readFull reads len(b) bytes at pos; less is io.ErrUnexpectedEOF.
func readFull(f io.ReaderAt, b []byte, pos int64) error {
	n, err := f.ReadAt(b, pos)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// recentBatches remembers where the last batches of a segment end, so that readers at the tail need neither index nor disk. A slot
// holds one fact, "the first batch at or behind base+rel begins at pos", in one word: facts of one segment object stay true for ever, so
// readers take them without a lock, however old they are.
type recentBatches struct {
	next  atomic.Uint32
	facts [recentFacts]atomic.Uint64
}

// recentFacts is how many batches the high watermark or a consumer may trail the log end and still be found here.
const recentFacts = 32

func (r *recentBatches) note(rel, pos uint32) {
	i := r.next.Load()
	r.facts[i%recentFacts].Store(uint64(rel)<<32 | uint64(pos))
	r.next.Store(i + 1)
}

// find looks for exactly rel, newest first. Slot values of zero (never written) say "the segment's first batch begins at 0", which is
// true as well.
func (r *recentBatches) find(rel uint32) (pos int64, ok bool) {
	i := r.next.Load()
	for k := uint32(1); k <= recentFacts; k++ {
		v := r.facts[(i-k)%recentFacts].Load()
		if uint32(v>>32) == rel {
			return int64(uint32(v)), true
		}
	}
	return 0, false
}

// floor finds the fact closest below rel, as a place to begin a scan.
func (r *recentBatches) floor(rel uint32) (pos int64) {
	for i := range r.facts {
		v := r.facts[i].Load()
		if uint32(v>>32) <= rel && int64(uint32(v)) > pos {
			pos = int64(uint32(v))
		}
	}
	return pos
}
