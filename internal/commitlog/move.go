package commitlog

import (
	"errors"
	"fmt"
	"path"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/commitlog/remember"
	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/model"
)

// A partition moves to another data directory of its node as a future log (KIP-113): a copy there, under a name of its own, which follows the
// log until it has everything. Then nothing is appended for a moment, the copy is made durable and gets the partition's name, and the directory
// it came from is renamed away; only after both are durable does the copy take the next record. So a crash at any point leaves
// the log where it was, beside a copy that goes on growing later; or the log in both directories, equal; or the log where it went to.

// ErrNameTooLong: the topic's name leaves no room for what a future log's directory is called.
var ErrNameTooLong = errors.New("the topic name is too long")

// findFutures picks out the directories of future logs. One beside the partition's own log is of a move that was given up.
func (d *Dir) findFutures(names []string) {
	d.futures = map[model.TopicPartition]string{}
	own := map[string]bool{}
	for _, name := range names {
		own[name] = true
	}
	for _, name := range names {
		tp, ok := parseFutureDir(name)
		switch {
		case !ok:
		case own[tp.String()] || d.futures[tp] != "":
			d.doomed = append(d.doomed, name)
		default:
			d.futures[tp] = name
		}
	}
}

// MayMove reports that a partition's name leaves room for what a future log's directory is called.
func MayMove(tp model.TopicPartition) bool {
	_, ok := futureDirName(tp, model.UUID{})
	return ok
}

// Futures lists the partitions of which an earlier run left a future log that was not opened yet.
func (d *Dir) Futures() (out []model.TopicPartition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for tp := range d.futures {
		out = append(out, tp)
	}
	return out
}

// HasFuture reports that an earlier run left a future log of a partition that was not opened yet.
func (d *Dir) HasFuture(tp model.TopicPartition) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.futures[tp] != ""
}

// OpenFuture opens the future log of a partition whose log is in another directory: the one that an earlier run left, if it is of the same topic,
// or a new one. It is a log like any other, but is not compacted, and Delete gives it up. ErrExists when this directory has the partition,
// ErrNameTooLong, ErrOffline.
func (d *Dir) OpenFuture(o LogOptions) (*Log, error) {
	if err := d.reserve(o.TP); err != nil {
		return nil, err
	}
	d.mu.Lock()
	name := d.futures[o.TP]
	delete(d.futures, o.TP)
	d.mu.Unlock()
	if name == "" {
		return d.newFuture(o)
	}
	l, err := d.openIn(o, name)
	if !errors.Is(err, ErrTopicIDMismatch) {
		return l, err
	}
	if err := d.moveAway(o.TP, name, 0); err != nil {
		return nil, err
	}
	if err := d.reserve(o.TP); err != nil {
		return nil, err
	}
	return d.newFuture(o)
}

func (d *Dir) newFuture(o LogOptions) (*Log, error) {
	unique, err := newUUID(d.env.Random)
	name, ok := futureDirName(o.TP, unique)
	if !ok {
		err = ErrNameTooLong
	}
	if _, there := d.env.FS.Stat(d.o.Path + "/" + o.TP.String()); there == nil {
		err = ErrExists
	}
	if err != nil {
		d.endOpening(o.TP)
		return nil, &Error{TP: o.TP, Offset: model.NoOffset, Err: err}
	}
	return d.openIn(o, name)
}

// DropFuture lets go of a future log of an earlier run that nobody wants.
func (d *Dir) DropFuture(tp model.TopicPartition) error {
	d.mu.Lock()
	name := d.futures[tp]
	delete(d.futures, tp)
	if name != "" {
		d.left.forget(tp, name)
	}
	d.mu.Unlock()
	if name == "" {
		return nil
	}
	return d.moveAway(tp, name, 0)
}

// Promote gives a future log, which has everything, the partition's name, and returns the log to go on with: l is closed. Nobody may append to
// either meanwhile. It is durable when it returns. After an error l is closed, too, and whether it has the name is known only at the next
// start: the log it was a copy of goes on.
func (d *Dir) Promote(l *Log, o LogOptions) (*Log, error) {
	d.mu.Lock()
	mine := d.mu.logs[l.tp] == l && l.future
	d.mu.Unlock()
	if !mine {
		return nil, l.at(model.NoOffset, ErrClosed)
	}
	next, err := d.promote(l, o)
	if err != nil {
		return nil, l.at(model.NoOffset, err)
	}
	invariant.Sometimes("future log promoted")
	return next, nil
}

func (d *Dir) promote(l *Log, o LogOptions) (*Log, error) {
	if err := l.Flush(); err != nil {
		return nil, err
	}
	state, err := l.finish()
	if err != nil {
		return nil, err
	}
	// The names of the files and of the directory itself; the flush covered them only if there was a record to flush.
	for _, sync := range []func() error{
		func() error { return d.syncFile(l.path + "/" + partitionMetaFile) },
		func() error { return d.env.FS.SyncDir(l.path) },
	} {
		if err := d.syncFailed(sync()); err != nil {
			return nil, err
		}
	}
	next := d.unopened(o, o.TP.String())
	if err := next.openClean(state); err != nil {
		return nil, err
	}
	// What is derived was not synced: after a crash it is made anew from where the last checkpoint left it.
	l.mu.Lock()
	next.mu.recoveryPoint, next.mu.cleanedTo = l.mu.recoveryPoint, l.mu.cleanedTo
	l.mu.Unlock()
	next.highWatermark.Store(l.highWatermark.Load())
	if err := d.env.FS.Rename(l.path, next.path); err != nil {
		return nil, d.failed(fmt.Errorf("future log of %v: %w", l.tp, err))
	}
	if err := d.syncFailed(d.env.FS.SyncDir(d.o.Path)); err != nil {
		return nil, err
	}
	d.keeper.moved(l.path, next.path)
	d.mu.Lock()
	d.mu.logs[l.tp] = next
	d.mu.Unlock()
	next.touch()
	return next, nil
}

// finish closes a log like the end of its directory does, and returns what is needed to go on without reading it.
func (l *Log) finish() (*remember.Log, error) {
	p := pass{snapshot: model.NoOffset}
	l.mu.Lock()
	err := l.usable()
	if err == nil {
		err = l.writeDerivedLocked(&p, true)
	}
	if err == nil && p.snapshot != model.NoOffset {
		l.replaceSnapshotLocked(p.snapshot)
	}
	l.closed.Store(true)
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	state := l.state()
	l.release()
	for _, s := range l.segments.Load().segments {
		s.close()
	}
	return state, nil
}

// Name is what the log's directory is called.
func (l *Log) Name() string { return path.Base(l.path) }

// IsFuture reports that the log is a copy on its way to another directory.
func (l *Log) IsFuture() bool { return l.future }

// Leave deletes a log whose partition goes on in another directory: the name is gone for certain when it returns, so that the log, which from here
// on falls behind, never comes back in its place.
func (d *Dir) Leave(l *Log) error {
	if err := d.Delete(l); err != nil {
		return err
	}
	return l.at(model.NoOffset, d.syncFailed(d.env.FS.SyncDir(d.o.Path)))
}

// CopyFrom takes up to about maxBytes from the log that l is a copy of, and follows it where it was cut: at its beginning by retention, at its
// end by a new leader. It returns how many bytes came; none mean that l has everything that was there. The records of two replicas with the same
// offset and leader epoch are the same (LogMatching), and so are those of a log and its copy.
func (l *Log) CopyFrom(from *Log, maxBytes int) (int, error) {
	if err := l.agree(from); err != nil {
		return 0, err
	}
	l.SetHighWatermark(min(from.HighWatermark(), l.End()))
	slice, err := from.Read(l.End(), ReadOptions{MaxBytes: maxBytes, End: from.End(), MinOne: true})
	if err != nil || slice.Len == 0 {
		slice.Release()
		return 0, err
	}
	b, err := slice.Bytes(nil)
	slice.Release()
	if err != nil {
		return 0, from.at(l.End(), err)
	}
	// Its start may have been put into the middle of a batch (KIP-107), and batches are copied whole.
	if _, h, _, err := batch.Next(b); err == nil && l.Start() == l.End() && h.BaseOffset < l.End() {
		if err := l.TruncateFullyTo(h.BaseOffset); err != nil {
			return 0, err
		}
	}
	n := 0
	for len(b) > 0 {
		piece := wholeBatches(b, l.Config().Segment.Bytes)
		if len(piece) == 0 {
			break // the last may be cut off
		}
		if _, err := l.AppendFollower(piece); err != nil {
			return n, err
		}
		n, b = n+len(piece), b[len(piece):]
	}
	return n, nil
}

// agree cuts what l has and from has not.
func (l *Log) agree(from *Log) error {
	for end := l.End(); end > l.Start(); end = l.End() {
		if end <= from.End() && l.EpochAt(end-1) == from.EpochAt(end-1) || end <= from.Start() {
			break
		}
		epoch, fromEnd := from.EndOffsetForEpoch(min(l.EpochAt(end-1), from.LatestEpoch()))
		_, ours := l.EndOffsetForEpoch(epoch)
		cut := min(fromEnd, ours, end-1) // lower each time: there is an end to it
		if epoch == model.NoLeaderEpoch || cut < l.Start() {
			cut = l.Start()
		}
		if err := l.TruncateTo(cut); err != nil {
			return err
		}
	}
	start := from.Start()
	switch {
	case l.End() < start || l.Start() == l.End() && l.End() != start:
		return l.TruncateFullyTo(start)
	case l.Start() < start:
		return l.DeleteRecords(start)
	}
	return nil
}

// wholeBatches is the longest run of whole batches at the beginning of b that is at most limit long; one batch at least, if there is one.
func wholeBatches(b []byte, limit int) []byte {
	n := 0
	for n < len(b) {
		one, _, _, err := batch.Next(b[n:])
		if err != nil || n > 0 && n+len(one) > limit {
			break
		}
		n += len(one)
	}
	return b[:n]
}
