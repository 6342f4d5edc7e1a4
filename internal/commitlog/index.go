package commitlog

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
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

// indexer decides which batches of a segment get an entry, the way Kafka does: one whenever more than interval bytes came since the last.
type indexer struct {
	since   int64     // bytes since the last entry
	maxTime timeEntry // the largest timestamp so far, and the first batch that has it; ts is -1 without one
}

func newIndexer() indexer { return indexer{maxTime: timeEntry{ts: -1}} }

// latestTime is the largest timestamp of the records in a batch (ms), -1 without one. A batch that compaction has emptied still has a
// timestamp in its header.
func latestTime(h *batch.Header) int64 {
	if h.Count == 0 {
		return -1
	}
	return h.MaxTimestamp
}

// note takes in the batch at pos and adds it to the index when it is due one.
func (w *indexer) note(x *segIndex, base model.Offset, h *batch.Header, pos int64, interval int) {
	rel := uint32(h.LastOffset() - base)
	if ts := latestTime(h); ts > w.maxTime.ts {
		w.maxTime = timeEntry{ts: ts, rel: rel}
	}
	if w.since > int64(interval) {
		x.addLocked(batchEntry{rel: rel, pos: uint32(pos)}, w.maxTime)
		w.since = 0
	}
	w.since += int64(h.Size())
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
