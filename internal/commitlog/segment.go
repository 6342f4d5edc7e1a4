package commitlog

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/model"
)

// errGone says that a segment's files were deleted since the reader took its view. A newer view has the answer.
var errGone = errors.New("segment was deleted")

// unknownTime stands for a largest timestamp that nobody has looked up yet.
const unknownTime = math.MinInt64

// segment is one piece of a log: a .log file and its indexes, named by the offset of the first record it may hold.
//
// A segment is active (the last of its log, appended to), sealed (never written again) or deleted (out of every view, its files renamed
// or gone). What an object says about positions stays true for its life: truncating and compacting make another object.
type segment struct {
	*place
	base     model.Offset
	interval int // index.interval.bytes when the segment was opened

	data, offsetsFile, timesFile fileSlot
	retired                      atomic.Bool // another object has the segment's names: nothing may be opened by them any more

	size    atomic.Int64 // bytes of whole batches; grows after the bytes are written and before the log's end moves
	maxTime atomic.Int64 // the largest timestamp (ms), -1 without one, or unknownTime
	recent  atomic.Pointer[recentBatches]

	index  segIndex
	block  atomic.Pointer[indexBlock] // of the index's file; nil: none at hand
	aborts abortIndex

	// trusted is the position from which on this run wrote or checked the bytes itself, and trustedEnd the offset of the batch there. What
	// lies before is checked when it is read.
	trusted    int64
	trustedEnd model.Offset
	checks     atomic.Pointer[checks]

	w segmentWriter // guarded by Log.mu
}

// segmentWriter is what only the writer of a log needs to know of a segment.
type segmentWriter struct {
	file    *openFile // held from the first append until a sync has covered the last
	synced  int64     // bytes known to be durable
	indexer indexer
	// firstTime is the largest timestamp of the first batch, from which on the segment's age counts (-1: there is none), and created
	// stands in for it.
	firstTime int64
	created   time.Time
	ready     bool // indexer and firstTime are known
}

func newSegment(p *place, base model.Offset, interval int) *segment {
	s := &segment{place: p, base: base, interval: interval}
	s.w.indexer = newIndexer()
	s.maxTime.Store(unknownTime)
	return s
}

// open gives one of the segment's files; the caller unrefs it. Errors are the file system's own.
func (s *segment) open(slot *fileSlot, suffix string, flag int) (*openFile, error) {
	if f := slot.cached(); f != nil {
		return f, nil
	}
	if s.retired.Load() {
		return nil, fs.ErrNotExist
	}
	f, err := s.files.open(slot, s.file(s.base, suffix), flag)
	if err == nil && s.retired.Load() {
		f.unref()
		s.files.drop(slot)
		return nil, fs.ErrNotExist
	}
	return f, err
}

// openData gives the .log file; errGone after the segment was deleted.
func (s *segment) openData() (*openFile, error) {
	if f := s.data.cached(); f != nil {
		return f, nil
	}
	f, err := s.files.open(&s.data, s.file(s.base, logSuffix), openExisting)
	if err != nil {
		return nil, s.gone(err)
	}
	if s.retired.Load() {
		f.unref()
		s.files.drop(&s.data)
		return nil, errGone
	}
	return f, nil
}

// retire closes a segment whose files are about to go or to belong to another object. A reader that still looks at it goes on with what it has
// open, or starts over with a newer view.
func (s *segment) retire() {
	s.retired.Store(true)
	s.letGo()
	s.close()
}

// hold keeps the data file open until a sync has covered what is written to it: the system reports a failed write-back to descriptors that
// were open when it happened. It returns how many files the directory holds in that way.
func (s *segment) hold(f *openFile) int64 {
	s.w.file = f
	return s.held.Add(1)
}

// letGo ends that.
func (s *segment) letGo() {
	if s.w.file != nil {
		s.w.file.unref()
		s.w.file = nil
		s.held.Add(-1)
	}
}

// gone tells a deleted file from a failing disk.
func (s *segment) gone(err error) error {
	if notExist(err) {
		return errGone
	}
	return s.failed(err)
}

// relative is an offset as the indexes write it. An offset below the base counts as the base.
func (s *segment) relative(off model.Offset) uint32 {
	return uint32(min(max(off-s.base, 0), math.MaxUint32-1))
}

// bound is the offset that the batch at pos cannot reach over, given one that no batch of the segment reaches over.
func (s *segment) bound(pos int64, high model.Offset) model.Offset {
	if pos < s.trusted {
		return min(high, s.trustedEnd)
	}
	return high
}

// endsEarly reports whether a sealed segment is shorter than it was: its last batch ends at low, the next segment begins at high.
func (s *segment) endsEarly(low, high model.Offset) bool {
	return high != math.MaxInt64 && low < high && s.dense.Load()
}

// location is where a batch is; size is 0 when nobody has looked.
type location struct{ pos, size int64 }

// locate finds the first batch that ends at off or behind. high is an offset that no batch of the segment reaches. ok is false when the
// segment ends before; ErrCorrupt when off lies in damaged bytes.
func (s *segment) locate(f *openFile, off, high model.Offset) (at location, ok bool, err error) {
	rel := s.relative(off)
	var from int64
	if r := s.recent.Load(); r != nil {
		if pos, ok := r.find(rel); ok {
			return location{pos: pos}, pos < s.size.Load(), nil
		}
		from = r.floor(rel)
	}
	for from == 0 {
		e, generation, err := s.floor(rel)
		if err != nil {
			return at, false, err
		}
		at, ok, err = s.locateFrom(f, hint{pos: int64(e.pos), ends: s.base + model.Offset(e.rel)}, off, high)
		if !errors.Is(err, errBadIndex) {
			return at, ok, err
		}
		if err := s.rebuildIndex(generation); err != nil {
			return at, false, err
		}
	}
	return s.locateFrom(f, hint{pos: from, ends: model.NoOffset}, off, high)
}

// hint is where a scan may begin: a batch that ends at an offset, if the index says so (NoOffset: it is certain that one begins there).
type hint struct {
	pos  int64
	ends model.Offset
}

// doubtful reports whether it has yet to be seen that the batch is there. A segment begins with a batch in any case.
func (h hint) doubtful() bool { return h.pos > 0 && h.ends != model.NoOffset }

// locateFrom scans from a batch on. errBadIndex when the hint is wrong.
func (s *segment) locateFrom(f *openFile, from hint, off, high model.Offset) (at location, ok bool, err error) {
	size := s.size.Load()
	if from.doubtful() && from.pos >= size {
		return at, false, errBadIndex
	}
	sc := s.scan(f, from.pos, size)
	defer sc.done()
	low := s.base
	for {
		for sc.next() {
			if sc.at == from.pos && from.doubtful() && sc.h.LastOffset() != from.ends {
				return at, false, errBadIndex
			}
			if sc.h.BaseOffset < low || sc.h.NextOffset() > s.bound(sc.at, high) {
				sc.pos, sc.err = sc.at, errBroken
				break
			}
			if sc.h.LastOffset() >= off {
				return location{pos: sc.at, size: int64(sc.h.Size())}, true, nil
			}
			low = sc.h.NextOffset()
		}
		switch {
		case sc.err == nil && s.lost(off):
			return at, false, ErrCorrupt
		case sc.err == nil && !s.endsEarly(low, high):
			return at, false, nil
		case sc.err != nil && !errors.Is(sc.err, errBroken):
			return at, false, sc.err
		case sc.pos == from.pos && from.doubtful():
			return at, false, errBadIndex
		}
		d, err := s.condemn(sc, low, high)
		if err != nil {
			return at, false, err
		}
		if off < d.next {
			return at, false, s.at(off, ErrCorrupt)
		}
		sc.pos, sc.err, low = d.to, nil, d.next
	}
}

// walk calls visit for the batches in r, until it returns false. Damaged ones are marked and skipped.
func (s *segment) walk(f *openFile, r span, visit func(*scanner) bool) error {
	sc := s.scan(f, r.from, r.to)
	defer sc.done()
	low := s.base
	for {
		for sc.next() {
			if sc.h.BaseOffset < low || sc.h.NextOffset() > s.bound(sc.at, math.MaxInt64) {
				sc.pos, sc.err = sc.at, errBroken
				break
			}
			if !visit(sc) {
				return nil
			}
			low = sc.h.NextOffset()
		}
		if sc.err == nil {
			return nil
		}
		if !errors.Is(sc.err, errBroken) {
			return sc.err
		}
		d, err := s.condemn(sc, low, s.bound(sc.pos, math.MaxInt64))
		if err != nil {
			return err
		}
		sc.pos, sc.err, low = d.to, nil, d.next
	}
}

// floor is the index entry to begin a scan for base+rel at, and the generation of the index that said so. Without an entry it is the
// segment's beginning.
func (s *segment) floor(rel uint32) (batchEntry, uint32, error) {
	x := &s.index
	for {
		x.mu.Lock()
		if err := s.loadIndexLocked(noLimit, s.size.Load()); err != nil {
			x.mu.Unlock()
			return batchEntry{}, 0, err
		}
		e, found, inFile := x.floorLocked(rel)
		generation := x.generation
		x.mu.Unlock()
		if found || inFile == 0 {
			return e, generation, nil
		}
		if e, ok := s.floorInBlock(generation, rel); ok {
			return e, generation, nil
		}
		b, found, err := s.searchIndex(&s.offsetsFile, indexSuffix, func(f io.ReaderAt) (found [timeEntrySize]byte, ok bool, err error) {
			return s.searchFile(f, inFile, offsetEntrySize, func(b []byte) bool { return readBatchEntry(b).rel > rel },
				func(block []byte) { s.keepBlock(generation, block) })
		})
		switch {
		case err == nil && found:
			return readBatchEntry(b[:]), generation, nil
		case err == nil:
			return batchEntry{}, generation, nil
		case !errors.Is(err, errBadIndex):
			return batchEntry{}, 0, err
		}
		if err := s.rebuildIndex(generation); err != nil {
			return batchEntry{}, 0, err
		}
	}
}

func (s *segment) searchIndex(slot *fileSlot, suffix string, search indexSearch) (entry [timeEntrySize]byte, found bool, err error) {
	f, err := s.open(slot, suffix, openExisting)
	if notExist(err) {
		return entry, false, errBadIndex
	}
	if err != nil {
		return entry, false, s.failed(err)
	}
	defer f.unref()
	entry, found, err = search(f)
	return entry, found, badIndexOr(err)
}

// rebuildIndex derives the index again, unless somebody else did since generation.
func (s *segment) rebuildIndex(generation uint32) error {
	x := &s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.generation != generation {
		return nil
	}
	return s.deriveIndexLocked(noLimit, s.size.Load())
}

// largestTime is the largest timestamp in the segment (ms), -1 without one.
func (s *segment) largestTime() (int64, error) {
	if t := s.maxTime.Load(); t != unknownTime {
		return t, nil
	}
	x := &s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := s.loadIndexLocked(noLimit, s.size.Load()); err != nil {
		return 0, err
	}
	s.maxTime.CompareAndSwap(unknownTime, x.lastTime.ts)
	return s.maxTime.Load(), nil
}

// flushIndex writes the entries in memory to the files.
func (s *segment) flushIndex() error {
	x := &s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.ready || x.pendingLocked() == 0 {
		return nil
	}
	return s.storeIndexLocked(openCreate)
}

// flushAborts writes aborted transactions to the index file.
func (s *segment) flushAborts() error {
	s.aborts.mu.Lock()
	defer s.aborts.mu.Unlock()
	return s.aborts.storeLocked(s)
}

// close drops the segment's descriptors from the cache.
func (s *segment) close() {
	for _, slot := range []*fileSlot{&s.data, &s.offsetsFile, &s.timesFile} {
		s.files.drop(slot)
	}
}

// view is a log's segments at one moment, oldest first. It never changes.
type view struct{ segments []*segment }

func (v *view) active() *segment { return v.segments[len(v.segments)-1] }

// high is an offset that no batch of segment i reaches over.
func (v *view) high(i int) model.Offset {
	if i+1 < len(v.segments) {
		return v.segments[i+1].base
	}
	return math.MaxInt64
}

// find is the index of the last segment that begins at off or before, 0 when all begin behind it.
func (v *view) find(off model.Offset) int {
	n := len(v.segments)
	if v.segments[n-1].base <= off {
		return n - 1
	}
	lo, hi := 0, n-1
	for lo < hi {
		mid := int(uint(lo+hi+1) >> 1)
		if v.segments[mid].base <= off {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}
