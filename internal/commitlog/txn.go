package commitlog

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// marker is the content of a control batch: how a transaction ended, and under which epoch of its coordinator.
type marker struct {
	committed        bool
	coordinatorEpoch int32
}

// Types of control records. Others (of the metadata quorum) do not stand in these logs.
const (
	controlAbort  = 0
	controlCommit = 1
)

// readMarker reads the marker of a whole control batch; ok is false when it is none that ends a transaction.
func readMarker(b []byte) (m marker, ok bool) {
	for r, err := range batch.Records(b, batch.Limits{}) {
		if err != nil || len(r.Key) < 4 {
			return m, false
		}
		kind := binary.BigEndian.Uint16(r.Key[2:])
		if kind != controlAbort && kind != controlCommit {
			return m, false
		}
		m = marker{committed: kind == controlCommit, coordinatorEpoch: -1}
		if len(r.Value) >= 6 {
			m.coordinatorEpoch = int32(binary.BigEndian.Uint32(r.Value[2:]))
		}
		return m, true
	}
	return m, false
}

// abortedTxn is an entry of Kafka's transaction index: an aborted transaction whose marker stands in this segment.
type abortedTxn struct {
	producer model.ProducerID
	first    model.Offset
	last     model.Offset // of the marker
	stable   model.Offset // the last stable offset when it was aborted
}

const (
	txnEntrySize  = 2 + 8 + 8 + 8 + 8
	txnIndexLimit = 1 << 30
)

func (t *abortedTxn) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, 0) // version
	b = binary.BigEndian.AppendUint64(b, uint64(t.producer))
	b = binary.BigEndian.AppendUint64(b, uint64(t.first))
	b = binary.BigEndian.AppendUint64(b, uint64(t.last))
	return binary.BigEndian.AppendUint64(b, uint64(t.stable))
}

func decodeAborted(b []byte) abortedTxn {
	return abortedTxn{
		producer: model.ProducerID(binary.BigEndian.Uint64(b[2:])),
		first:    model.Offset(binary.BigEndian.Uint64(b[10:])),
		last:     model.Offset(binary.BigEndian.Uint64(b[18:])),
		stable:   model.Offset(binary.BigEndian.Uint64(b[26:])),
	}
}

// plausible checks what holds for every entry of a segment.
func (t *abortedTxn) plausible(base model.Offset) bool {
	return t.producer >= 0 && t.first >= 0 && t.first <= t.last && t.last >= base && t.stable >= 0 && t.stable <= t.last+1
}

// abortIndex is the list of transactions aborted in a segment. They are few: once they were needed they stay in memory.
type abortIndex struct {
	mu      sync.Mutex
	known   bool // entries are all there are; before, they are in the file
	stale   bool // the file does not have all: a crash came before it was written
	entries []abortedTxn
	inFile  int
}

// loadLocked reads the entries of the file whose markers lie below limit. A file that cannot be right is errBadIndex.
func (x *abortIndex) loadLocked(s *segment, limit model.Offset) error {
	if x.known {
		return nil
	}
	x.entries, x.inFile = nil, 0
	if x.stale {
		return errBadIndex
	}
	b, err := vfs.ReadFile(s.env.FS, s.file(s.base, txnSuffix), txnIndexLimit)
	if notExist(err) {
		x.known = true
		return nil
	}
	if err != nil {
		return s.failed(err)
	}
	if len(b)%txnEntrySize != 0 {
		return errBadIndex
	}
	for ; len(b) > 0; b = b[txnEntrySize:] {
		t := decodeAborted(b)
		if !t.plausible(s.base) {
			return errBadIndex
		}
		if t.last >= limit {
			break
		}
		x.entries = append(x.entries, t)
	}
	x.inFile, x.known = len(x.entries), true
	if len(b) > 0 {
		return x.cutLocked(s)
	}
	return nil
}

// inherit takes over what old knew about markers below limit. Entries may not have been in the file yet.
func (x *abortIndex) inherit(s *segment, old *abortIndex, limit model.Offset) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	old.mu.Lock()
	defer old.mu.Unlock()
	if !old.known {
		x.stale = old.stale
		if err := x.loadLocked(s, limit); !errors.Is(err, errBadIndex) {
			return err
		}
		return nil // derived when it is asked for
	}
	n := 0
	for n < len(old.entries) && old.entries[n].last < limit {
		n++
	}
	x.known, x.entries, x.inFile = true, old.entries[:n:n], min(old.inFile, n)
	if old.inFile > n {
		return x.cutLocked(s)
	}
	return nil
}

// cutLocked drops what stands in the file behind the entries that are known.
func (x *abortIndex) cutLocked(s *segment) error {
	f, err := s.env.FS.OpenFile(s.file(s.base, txnSuffix), openExisting, filePerm)
	if err != nil {
		return s.failed(err)
	}
	err = f.Truncate(int64(x.inFile) * txnEntrySize)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return s.failed(err)
}

// storeLocked appends what is in memory to the file and cuts what stood there beyond. A file that was derived anew is replaced in one step:
// half of it would not be known to be half.
func (x *abortIndex) storeLocked(s *segment) error {
	if !x.known || x.inFile == len(x.entries) {
		return nil
	}
	var b []byte
	for i := x.inFile; i < len(x.entries); i++ {
		b = x.entries[i].append(b)
	}
	if x.inFile == 0 {
		err := vfs.WriteFile(s.env.FS, s.file(s.base, txnSuffix), b, filePerm)
		if err == nil {
			x.inFile = len(x.entries)
		}
		return s.failed(err)
	}
	f, err := s.env.FS.OpenFile(s.file(s.base, txnSuffix), openCreate, filePerm)
	if err != nil {
		return s.failed(err)
	}
	at := int64(x.inFile) * txnEntrySize
	if err = f.Truncate(at); err == nil {
		_, err = f.WriteAt(b, at)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		x.inFile = len(x.entries)
	}
	return s.failed(err)
}

// endTxnLocked takes in a transaction marker that is in the log now, and remembers an aborted transaction.
func (l *Log) endTxnLocked(s *segment, h *batch.Header, m marker) error {
	first, stable, ok := l.mu.producers.end(h, m, l.env.Clock.Now())
	if !ok || m.committed {
		return nil
	}
	if _, err := l.aborted(l.segments.Load().segments, s, h.BaseOffset); err != nil {
		return err
	}
	x := &s.aborts
	x.mu.Lock()
	defer x.mu.Unlock()
	x.entries = append(x.entries, abortedTxn{producer: h.ProducerID, first: first, last: h.LastOffset(), stable: stable})
	return nil
}

// aborted is what the transaction index of s, one of all, says. A file that cannot be right is derived again: the producers at the segment's
// beginning, and every marker in it.
func (l *Log) aborted(all []*segment, s *segment, high model.Offset) ([]abortedTxn, error) {
	x := &s.aborts
	x.mu.Lock()
	defer x.mu.Unlock()
	err := x.loadLocked(s, high)
	if !errors.Is(err, errBadIndex) {
		return x.entries, err
	}
	l.report(Event{Kind: EventIndexRebuilt, TP: l.tp, From: s.base, Name: segmentFile(s.base, txnSuffix)})
	state, err := l.producersAt(all, s.base)
	if err != nil {
		return nil, err
	}
	x.entries = nil
	if err := state.replay(s, s.base, high, func(t abortedTxn) { x.entries = append(x.entries, t) }); err != nil {
		return nil, err
	}
	x.known, x.stale, x.inFile = true, false, 0
	return x.entries, nil
}

// AbortedTxn is a transaction that a reader of committed records has to skip.
type AbortedTxn struct {
	ProducerID  model.ProducerID
	FirstOffset model.Offset
}

// AbortedTransactions lists the aborted transactions with records in [from, end), by first offset: readers of committed records skip
// those, and some rely on the order.
func (l *Log) AbortedTransactions(from, end model.Offset) ([]AbortedTxn, error) {
	var found []AbortedTxn
	v := l.segments.Load()
	for i, enough := v.find(from), false; i < len(v.segments) && !enough; i++ {
		entries, err := l.aborted(v.segments, v.segments[i], v.high(i))
		if err != nil {
			return nil, l.at(from, err)
		}
		for _, t := range entries {
			if t.last >= from && t.first < end {
				found = append(found, AbortedTxn{ProducerID: t.producer, FirstOffset: t.first})
			}
			// Every later marker ends a transaction that began behind the last stable offset of this one.
			enough = enough || t.stable >= end
		}
	}
	slices.SortFunc(found, func(a, b AbortedTxn) int { return cmpOffset(a.FirstOffset, b.FirstOffset) })
	return found, nil
}
