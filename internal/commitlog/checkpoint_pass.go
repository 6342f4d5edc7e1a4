package commitlog

import (
	"bytes"
	"errors"
	"maps"
	"sync"

	"github.com/klamm/klamm/internal/commitlog/remember"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// snapshotBytes is how much may be appended to a log before a checkpoint writes its producers down: a restart reads the headers of
// so much again.
const snapshotBytes = 16 << 20

// checkpoints writes the directory's checkpoint files.
type checkpoints struct {
	dir *Dir

	mu struct {
		sync.Mutex
		written map[string][]byte // what each file holds
	}
}

// checkpoint makes data, indexes, epochs and producers of the logs that changed durable, then notes how far they are. A crash from
// here on costs what comes after.
func (k *keeper) checkpoint() {
	d := k.dir
	begun := d.env.Clock.Now()
	d.uncheckpointed.Store(0)
	k.mu.Lock()
	touched := k.mu.touched
	k.mu.touched = nil
	k.mu.Unlock()
	if len(touched) == 0 {
		return
	}
	for _, l := range touched {
		l.touched.Store(false)
	}
	err := d.checkpointLogs(touched, false)
	if err == nil {
		err = k.checkpoints.storeAll()
	}
	if err == nil {
		d.report(Event{Kind: EventCheckpointed, Bytes: int64(len(touched)), Took: d.env.Clock.Now().Sub(begun)})
		return
	}
	for _, l := range touched { // a full disk: the recovery points wait for the next pass
		l.touch()
	}
}

// pass is one log on its way to a new recovery point.
type pass struct {
	job      syncJob
	from     model.Offset // the recovery point until now
	snapshot model.Offset // written in this pass, NoOffset without one
}

// checkpointLogs moves the recovery points of logs to their ends. When the directory closes, every log's producers are written, too.
func (d *Dir) checkpointLogs(logs []*Log, closing bool) error {
	var targets syncTargets
	var passes []pass
	var failure error
	for _, l := range logs {
		p, ok, err := l.beginPass(&targets, d.o.Path, closing)
		if err != nil {
			failure = errors.Join(failure, err)
		}
		if ok {
			passes = append(passes, p)
		}
	}
	err := d.err()
	if err == nil && len(passes) > 0 {
		err = d.syncPass(&targets, passes)
	}
	for i := range passes {
		passes[i].end(&targets, err)
	}
	return errors.Join(failure, err)
}

// syncPass makes everything durable, with one call where the system has it.
func (d *Dir) syncPass(targets *syncTargets, passes []pass) error {
	if !d.committer.noSyncFS.Load() {
		err := d.env.FS.SyncFS(d.o.Path)
		if !errors.Is(err, errors.ErrUnsupported) {
			return d.syncFailed(err)
		}
		d.committer.noSyncFS.Store(true)
	}
	all := *targets
	for i := range passes {
		l := passes[i].job.log
		all.named = append(all.named, l.derivedFiles(&passes[i])...)
		all.dirs = append(all.dirs, syncDir{l.path, l})
	}
	all.dirs = append(all.dirs, syncDir{path: d.o.Path})
	return d.syncFailed(d.syncEach(&all))
}

// derivedFiles lists the files besides the segments' data that may have changed since the last recovery point.
func (l *Log) derivedFiles(p *pass) []string {
	names := []string{l.path + "/" + epochFile, l.path + "/" + partitionMetaFile}
	if p.snapshot != model.NoOffset {
		names = append(names, l.file(p.snapshot, snapshotSuffix))
	}
	v := l.segments.Load()
	for _, s := range v.segments[v.find(p.from):] {
		for _, suffix := range []string{indexSuffix, timeSuffix, txnSuffix, snapshotSuffix} {
			names = append(names, l.file(s.base, suffix))
		}
	}
	return names
}

// beginPass writes what is derived from the log's records, for the sync that follows. All of it and the new recovery point are of one moment.
func (l *Log) beginPass(targets *syncTargets, dataDir string, closing bool) (p pass, ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() && !closing {
		return p, false, nil
	}
	p.from, p.snapshot = l.mu.recoveryPoint, model.NoOffset
	if err := l.writeDerivedLocked(&p, closing); err != nil {
		return p, false, err
	}
	p.job = l.beginSyncLocked(targets, dataDir)
	return p, true, nil
}

func (l *Log) writeDerivedLocked(p *pass, closing bool) error {
	s := l.segments.Load().active()
	if closing && s.w.ready && s.size.Load() > 0 {
		if err := l.sealLocked(s); err != nil { // as Kafka leaves it
			return err
		}
	} else if err := s.flushIndex(); err != nil {
		return err
	}
	if err := s.flushAborts(); err != nil {
		return err
	}
	if err := l.writeEpochsLocked(); err != nil {
		return err
	}
	return l.snapshotLocked(p, closing)
}

// writeEpochsLocked makes leader-epoch-checkpoint say what is known, for a sync to come.
func (l *Log) writeEpochsLocked() error {
	if !l.mu.epochsDirty {
		return nil
	}
	name := l.path + "/" + epochFile
	if err := l.writeFile(name+tmpSuffix, remember.EncodeEpochs(l.mu.epochs.entries)); err != nil {
		return err
	}
	if err := l.env.FS.Rename(name+tmpSuffix, name); err != nil {
		return l.failed(err)
	}
	l.mu.epochsDirty = false
	return nil
}

// snapshotLocked writes the producers at the log's end, if the last snapshot is too far back.
func (l *Log) snapshotLocked(p *pass, closing bool) error {
	if l.mu.producers.unread {
		return nil
	}
	due := l.mu.sinceSnapshot >= snapshotBytes || (closing && l.mu.producers.dirty && len(l.mu.producers.byID) > 0)
	if !due {
		return nil
	}
	end := l.End()
	if err := l.writeSnapshot(end, &l.mu.producers); err != nil {
		return err
	}
	l.mu.sinceSnapshot, l.mu.producers.dirty = 0, false
	p.snapshot = end
	return nil
}

// end moves the recovery point, when the sync succeeded, and drops the snapshot that the new one replaces.
func (p *pass) end(targets *syncTargets, err error) {
	l := p.job.log
	l.mu.Lock()
	p.job.releaseLocked(targets, err)
	valid := err == nil && p.job.truncations == l.mu.truncations
	old := model.NoOffset
	if valid {
		l.mu.recoveryPoint = max(l.mu.recoveryPoint, min(p.job.end, l.End()))
		if p.snapshot != model.NoOffset {
			old = l.replaceSnapshotLocked(p.snapshot)
		}
	}
	l.mu.Unlock()
	if old != model.NoOffset {
		_ = l.removeSnapshot(old) // if it stays, it is removed after the next crash
	}
	if valid {
		l.Commit() // has nothing to sync any more and moves the durable end
	}
}

// replaceSnapshotLocked notes a durable snapshot, and tells which one it makes superfluous: the last that no segment begins at.
func (l *Log) replaceSnapshotLocked(at model.Offset) (old model.Offset) {
	if l.beginsSegment(at) {
		return model.NoOffset
	}
	old, l.mu.snapshotAt = l.mu.snapshotAt, at
	if old == at || old == model.NoOffset || l.beginsSegment(old) {
		return model.NoOffset
	}
	return old
}

func (l *Log) removeSnapshot(at model.Offset) error {
	if err := l.env.FS.Remove(l.file(at, snapshotSuffix)); err != nil && !notExist(err) {
		return l.failed(err)
	}
	return nil
}

// beginsSegment reports whether a segment begins at off: its snapshot stays as long as it does.
func (l *Log) beginsSegment(off model.Offset) bool {
	v := l.segments.Load()
	return v.segments[v.find(off)].base == off
}

// storeAll writes every checkpoint file.
func (c *checkpoints) storeAll() error {
	for _, name := range []string{recoveryPointFile, logStartFile, highWatermarkFile, cleanerFile} {
		if err := c.store(name); err != nil {
			return err
		}
	}
	return nil
}

// store makes one checkpoint file hold the present state, durably.
func (c *checkpoints) store(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.dir.err(); err != nil {
		return err
	}
	b := remember.EncodeOffsets(c.dir.entries(name))
	if bytes.Equal(b, c.mu.written[name]) {
		return nil
	}
	path := c.dir.o.Path + "/" + name
	if err := vfs.WriteFile(c.dir.env.FS, path, b, filePerm); err != nil {
		return c.dir.failed(err)
	}
	if err := c.dir.env.FS.SyncDir(c.dir.o.Path); err != nil {
		return c.dir.syncFailed(err)
	}
	if c.mu.written == nil {
		c.mu.written = map[string][]byte{}
	}
	c.mu.written[name] = b
	return nil
}

// content is what a checkpoint file holds.
func (c *checkpoints) content(name string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.written[name]
}

// entries collects a checkpoint file's content from the open logs, and for those not opened yet from the last run.
func (d *Dir) entries(name string) []remember.Offset {
	logs := d.logs()
	d.mu.Lock()
	left := map[model.TopicPartition]model.Offset{}
	switch name {
	case recoveryPointFile:
		maps.Copy(left, d.left.recoveryPoints)
	case logStartFile:
		maps.Copy(left, d.left.starts)
	case highWatermarkFile:
		maps.Copy(left, d.left.highWatermarks)
	case cleanerFile:
		maps.Copy(left, d.left.cleaned)
	}
	d.mu.Unlock()
	entries := make([]remember.Offset, 0, len(logs)+len(left))
	for _, l := range logs {
		delete(left, l.tp)
		if at := l.checkpointed(name); at > 0 || name == recoveryPointFile {
			entries = append(entries, remember.Offset{TP: l.tp, At: at})
		}
	}
	for tp, at := range left {
		entries = append(entries, remember.Offset{TP: tp, At: at})
	}
	return entries
}

// checkpointed is what the log has to remember in a checkpoint file.
func (l *Log) checkpointed(name string) model.Offset {
	switch name {
	case highWatermarkFile:
		return l.HighWatermark()
	case logStartFile:
		l.mu.Lock()
		defer l.mu.Unlock()
		return max(l.mu.wantStart, l.Start())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if name == cleanerFile {
		return l.mu.cleanedTo
	}
	return l.mu.recoveryPoint
}
