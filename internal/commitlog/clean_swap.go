package commitlog

import (
	"errors"
	"slices"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// cleaned is the result of a pass while it is written: a segment whose file has a name that means nothing yet.
type cleaned struct {
	log     *Log
	segment *segment
	file    vfs.File
	pos     int64  // bytes of whole batches, those in buf included
	written int64  // bytes of them in the file
	buf     []byte // not written yet
	aborts  []abortedTxn
	changed bool // it differs from what it was made from
}

// cleanedBuffer is how much is collected for one write.
const cleanedBuffer = 1 << 20

// beginCleaned makes an empty result.
func (l *Log) beginCleaned(base model.Offset, interval int) (*cleaned, error) {
	f, err := l.env.FS.OpenFile(l.file(base, logSuffix+cleanedSuffix), openFresh, filePerm)
	if err != nil {
		return nil, l.moved(err)
	}
	s := newSegment(l.place, base, interval)
	s.index.reset()
	return &cleaned{log: l, segment: s, file: f}, nil
}

// moved tells a directory that was renamed, because the log was deleted, from one that fails.
func (l *Log) moved(err error) error {
	if notExist(err) {
		return errChanged
	}
	return l.failed(err)
}

// add writes a batch as it is.
func (o *cleaned) add(h *batch.Header, b []byte) error {
	o.buf = append(o.buf, b...)
	return o.note(h, len(b))
}

// added notes the batch that was appended to buf.
func (o *cleaned) added() error {
	b := o.buf[o.pos-o.written:]
	h, err := batch.ParseHeader(b)
	if err != nil {
		return errors.Join(ErrCorrupt, err)
	}
	return o.note(&h, len(b))
}

func (o *cleaned) note(h *batch.Header, size int) error {
	if o.pos+int64(size) > maxSegmentBytes {
		return ErrTooLarge
	}
	s := o.segment
	s.index.mu.Lock()
	s.w.indexer.note(&s.index, s.base, h, o.pos, s.interval)
	s.index.mu.Unlock()
	o.pos += int64(size)
	if len(o.buf) < cleanedBuffer {
		return nil
	}
	return o.flush()
}

func (o *cleaned) flush() error {
	if _, err := o.file.WriteAt(o.buf, o.written); err != nil {
		return o.log.failed(err)
	}
	o.written += int64(len(o.buf))
	o.buf = o.buf[:0]
	return nil
}

// finish makes the result durable under its temporary name. Its indexes are in memory.
func (o *cleaned) finish() error {
	invariant.Check(o.pos > 0, "%v: nothing left of segment %d", o.log.tp, o.segment.base)
	if err := o.flush(); err != nil {
		return err
	}
	if err := o.file.SyncData(); err != nil {
		return o.log.syncFailed(err)
	}
	s := o.segment
	s.size.Store(o.pos)
	s.maxTime.Store(s.w.indexer.maxTime.ts)
	s.w.synced = o.pos
	s.index.mu.Lock()
	s.index.addTimeLocked(s.w.indexer.maxTime)
	s.index.mu.Unlock()
	s.aborts.known, s.aborts.entries = true, o.aborts
	return nil
}

// drop gives the result up.
func (o *cleaned) drop() error {
	err := o.file.Close()
	if rerr := o.log.env.FS.Remove(o.log.file(o.segment.base, logSuffix+cleanedSuffix)); err == nil && !notExist(rerr) {
		err = rerr
	}
	return o.log.failed(err)
}

// replace puts a finished result in the place of the segments it was made from: those whose base lies in its range of offsets. A crash
// leaves the old segments, or a .swap file with which the next start finishes what was begun.
func (o *cleaned) replace(group []*segment, truncations uint64) error {
	l, s := o.log, o.segment
	if err := o.swap(group, truncations); err != nil {
		return err
	}
	if err := s.storeCleanedIndex(); err != nil {
		return l.moved(err)
	}
	l.care.doom(l.deletedFiles(group), l.config.Load().Retention.DeleteDelay)
	return nil
}

// swap exchanges the segments. Nothing else may change them between the moment the .swap name is durable and the end, or a crash would bring
// back what was truncated meanwhile: so this is one of the rare places that sync under Log.mu.
func (o *cleaned) swap(group []*segment, truncations uint64) error {
	l, s, fsys := o.log, o.segment, o.log.env.FS
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.segments.Load()
	at := slices.Index(v.segments, group[0])
	if l.closed.Load() || l.mu.truncations != truncations || at < 0 || at+len(group) > len(v.segments) ||
		!slices.Equal(v.segments[at:at+len(group)], group) {
		return errors.Join(errChanged, o.drop())
	}
	if err := s.storeCleanedAborts(); err != nil {
		return errors.Join(l.failed(err), o.drop())
	}
	swap := l.file(s.base, logSuffix+swapSuffix)
	if err := fsys.Rename(l.file(s.base, logSuffix+cleanedSuffix), swap); err != nil {
		return errors.Join(l.failed(err), o.drop())
	}
	if err := fsys.SyncDir(l.path); err != nil {
		return l.syncFailed(err)
	}
	invariant.Sometimes("compacted segments swapped")
	// Readers find the new segment from here on. Its file is kept open until its name is right.
	pinned := l.files.install(&s.data, o.file)
	defer pinned.unref()
	l.segments.Store(&view{segments: slices.Concat(v.segments[:at:at], []*segment{s}, v.segments[at+len(group):])})
	if err := l.retireLocked(group); err != nil {
		return err
	}
	// The old segments must be gone for certain before the new one has its name: it overlaps them.
	if err := fsys.SyncDir(l.path); err != nil {
		return l.syncFailed(err)
	}
	if err := fsys.Rename(swap, l.file(s.base, logSuffix)); err != nil {
		return l.goOffline(err)
	}
	l.checkLocked()
	return l.syncFailed(fsys.SyncDir(l.path))
}

// replacedSuffixes are the files that go with a segment. The snapshot of the first stays: it is that of the new segment.
func replacedSuffixes(first bool) []string {
	if first {
		return []string{indexSuffix, timeSuffix}
	}
	return []string{logSuffix, indexSuffix, timeSuffix, txnSuffix, snapshotSuffix}
}

// retireLocked takes the files of replaced segments out of the way. Readers that still look at one start over with a newer view, unless they
// have its file open. The data of the first is replaced by the rename of the new one.
func (l *Log) retireLocked(group []*segment) error {
	for i, s := range group {
		s.retire()
		for _, suffix := range replacedSuffixes(i == 0) {
			name := s.file(s.base, suffix)
			if err := l.env.FS.Rename(name, name+deletedSuffix); err != nil && !notExist(err) {
				return l.goOffline(err)
			}
		}
	}
	return nil
}

// deletedFiles are the names retireLocked has given.
func (l *Log) deletedFiles(group []*segment) []string {
	var names []string
	for i, s := range group {
		for _, suffix := range replacedSuffixes(i == 0) {
			names = append(names, s.file(s.base, suffix)+deletedSuffix)
		}
	}
	return names
}

// storeCleanedIndex writes the indexes of a new segment, each whole and synced before it has its name.
func (s *segment) storeCleanedIndex() error {
	x := &s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	var offsets, times []byte
	for _, e := range x.offsets {
		offsets = e.append(offsets)
	}
	for _, e := range x.times {
		times = e.append(times)
	}
	for suffix, b := range map[string][]byte{indexSuffix: offsets, timeSuffix: times} {
		if err := vfs.WriteFile(s.env.FS, s.file(s.base, suffix), b, filePerm); err != nil {
			return err
		}
	}
	x.offsetsInFile, x.timesInFile, x.offsets, x.times = len(x.offsets), len(x.times), nil, nil
	return nil
}

// storeCleanedAborts writes the transaction index of a new segment before it takes its place: a missing one means that nothing was aborted,
// and nobody would derive it. Until then it is as good for the old segment: it may speak of markers behind that, which are not looked at, and
// not of those whose transactions have no records.
func (s *segment) storeCleanedAborts() error {
	x := &s.aborts
	x.mu.Lock()
	defer x.mu.Unlock()
	name := s.file(s.base, txnSuffix)
	if len(x.entries) == 0 {
		if _, err := s.env.FS.Stat(name); notExist(err) {
			return nil
		}
	}
	var b []byte
	for i := range x.entries {
		b = x.entries[i].append(b)
	}
	x.inFile = len(x.entries)
	return vfs.WriteFile(s.env.FS, name, b, filePerm)
}
