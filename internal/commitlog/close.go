package commitlog

import (
	"errors"
	"maps"
	"path"

	"github.com/klamm/klamm/internal/commitlog/remember"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// Close ends everything. When all could be made durable it leaves the marks of a clean shutdown under the broker's epoch, and the next
// start opens every log without reading it.
func (d *Dir) Close(epoch model.BrokerEpoch) error {
	d.mu.Lock()
	if d.mu.closed {
		d.mu.Unlock()
		return nil
	}
	d.mu.closed = true
	d.mu.Unlock()
	close(d.quit)
	d.running.Wait()
	logs := d.logs()
	for _, l := range logs {
		l.Close()
	}
	err := d.err()
	if err == nil {
		err = d.closeClean(logs, epoch)
	}
	for _, l := range logs {
		l.release()
	}
	d.files.closeAll()
	d.awaitTold()
	return errors.Join(err, d.lock.Close())
}

// closeClean makes everything durable and leaves the marks of a clean shutdown.
func (d *Dir) closeClean(logs []*Log, epoch model.BrokerEpoch) error {
	if err := d.checkpointLogs(logs, true); err != nil {
		return err
	}
	d.keeper.removeAll()
	if err := d.keeper.checkpoints.storeAll(); err != nil {
		return err
	}
	d.mu.Lock()
	states := maps.Clone(d.left.clean) // of logs that nobody opened
	d.mu.Unlock()
	if states == nil {
		states = make(map[string][]byte, len(logs))
	}
	for _, l := range logs {
		states[path.Base(l.path)] = l.state().Append(nil)
	}
	encoded := remember.EncodeClean(states, remember.Sum(d.keeper.checkpoints.content(recoveryPointFile)))
	if err := vfs.WriteFile(d.env.FS, d.o.Path+"/"+cleanStateFile, encoded, filePerm); err != nil {
		return d.failed(err)
	}
	if err := vfs.WriteFile(d.env.FS, d.o.Path+"/"+cleanMarkerFile, encodeCleanMarker(epoch), filePerm); err != nil {
		return d.failed(err)
	}
	return d.syncFailed(d.env.FS.SyncDir(d.o.Path))
}

// state is what the next start has to know of the log.
func (l *Log) state() *remember.Log {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.segments.Load()
	s := &remember.Log{
		TopicID: l.topicID, Start: l.Start(), End: l.End(), Unstable: model.Offset(l.unstable.Load()), Dense: l.dense.Load(),
		ProducersAt: model.NoOffset, SnapshotAt: l.mu.snapshotAt, Epochs: l.mu.epochs.entries, MaxRel: v.active().w.indexer.maxTime.rel,
	}
	switch p := &l.mu.producers; {
	case p.unread:
		s.ProducersAt = p.readAt
	case len(p.byID) > 0:
		s.ProducersAt = l.newestWrittenLocked(v)
	}
	for _, g := range v.segments {
		s.Segments = append(s.Segments, remember.Segment{Base: g.base, Size: g.size.Load(), MaxTimestamp: g.maxTime.Load()})
	}
	return s
}

// newestWrittenLocked is where the snapshot of the producers as they are now was written: there is one once a closing checkpoint went well.
func (l *Log) newestWrittenLocked(v *view) model.Offset {
	return max(l.mu.snapshotAt, v.active().base)
}

// release lets go of the files that the log holds open.
func (l *Log) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments.Load().segments {
		s.letGo()
	}
}
