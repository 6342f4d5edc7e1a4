package commitlog

import (
	"errors"
	"maps"
	"os"
	"path"
	"slices"
	"sync"

	"github.com/klamm/klamm/internal/commitlog/remember"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// leftBehind is what the last run left about the logs that this one has not opened yet. Guarded by Dir.mu once the directory is open.
type leftBehind struct {
	clean          map[string][]byte // encoded states by directory; nil after a crash
	recoveryPoints map[model.TopicPartition]model.Offset
	starts         map[model.TopicPartition]model.Offset
	highWatermarks map[model.TopicPartition]model.Offset
	cleaned        map[model.TopicPartition]model.Offset
	metas          map[model.TopicPartition]partitionMeta // what partition.metadata says, where it was read
	noStarts       bool                                   // the checkpoint of the starts is lost
	complete       bool                                   // starts and recovery points are all there: a log they do not name was never checkpointed
}

// forget drops what is known of a log, once it is open or gone.
func (b *leftBehind) forget(tp model.TopicPartition, name string) {
	delete(b.clean, name)
	delete(b.recoveryPoints, tp)
	delete(b.starts, tp)
	delete(b.highWatermarks, tp)
	delete(b.cleaned, tp)
	delete(b.metas, tp)
}

// keepOnly drops what the checkpoints say of logs that are not there: they were deleted, and if there is one of that name again, it is another.
// It notes them in dropped: until the checkpoints are written again, they say so to the next start, too.
func (b *leftBehind) keepOnly(found []FoundLog, futures map[model.TopicPartition]string, dropped map[model.TopicPartition]bool) {
	there := make(map[model.TopicPartition]bool, len(found)+len(futures))
	for tp := range futures {
		there[tp] = true
	}
	for _, f := range found {
		there[f.TP] = true
	}
	for _, m := range []map[model.TopicPartition]model.Offset{b.recoveryPoints, b.starts, b.highWatermarks, b.cleaned} {
		maps.DeleteFunc(m, func(tp model.TopicPartition, _ model.Offset) bool {
			if !there[tp] {
				dropped[tp] = true
			}
			return !there[tp]
		})
	}
}

// makeDir makes the data directory, and with it the names of all directories it made durable.
func makeDir(fsys vfs.FS, dir string) error {
	var missing []string
	for at := path.Clean(dir); ; at = path.Dir(at) {
		_, err := fsys.Stat(at)
		if err == nil {
			break
		}
		if !notExist(err) {
			return err
		}
		missing = append(missing, path.Dir(at))
	}
	if err := fsys.MkdirAll(dir, dirPerm); err != nil {
		return err
	}
	for _, parent := range missing {
		if err := fsys.SyncDir(parent); err != nil {
			return err
		}
	}
	return nil
}

// readAll reads everything that OpenDir has to know, and takes away the marks of a clean shutdown: they hold for one start.
func (d *Dir) readAll() error {
	var err error
	var fresh bool
	if d.identity, fresh, err = loadIdentity(d.env, d.o); err != nil {
		return err
	}
	if fresh {
		// From now on a checkpoint file that is missing was lost.
		if err := d.keeper.checkpoints.storeAll(); err != nil {
			return err
		}
	}
	points, err := d.readCheckpoint(recoveryPointFile, &d.left.recoveryPoints)
	if err != nil {
		return err
	}
	starts, err := d.readCheckpoint(logStartFile, &d.left.starts)
	if err != nil {
		return err
	}
	d.left.noStarts = starts == nil
	d.left.complete = points != nil && starts != nil
	for name, m := range map[string]*map[model.TopicPartition]model.Offset{
		highWatermarkFile: &d.left.highWatermarks, cleanerFile: &d.left.cleaned,
	} {
		if _, err := d.readCheckpoint(name, m); err != nil {
			return err
		}
	}
	if err := d.readCleanMarks(points); err != nil {
		return err
	}
	return d.findLogs()
}

// readCheckpoint reads one checkpoint file. One that is damaged counts as missing, which costs time only.
func (d *Dir) readCheckpoint(name string, m *map[model.TopicPartition]model.Offset) (content []byte, err error) {
	*m = map[model.TopicPartition]model.Offset{}
	b, err := vfs.ReadFile(d.env.FS, d.o.Path+"/"+name, remember.CheckpointLimit)
	if notExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := remember.DecodeOffsets(b)
	if err != nil {
		d.report(Event{Kind: EventCheckpointBad, Name: name, Err: err})
		return nil, nil
	}
	*m = entries
	return b, nil
}

// readCleanMarks reads and removes the clean state and the marker. The state only counts if the recovery points are those it was written
// with: should Kafka have used the directory in between, it has changed them.
func (d *Dir) readCleanMarks(points []byte) error {
	d.cleanEpoch = -1
	state, err1 := vfs.ReadFile(d.env.FS, d.o.Path+"/"+cleanStateFile, remember.CleanLimit)
	mark, err2 := vfs.ReadFile(d.env.FS, d.o.Path+"/"+cleanMarkerFile, 1<<16)
	for _, err := range []error{err1, err2} {
		if err != nil && !notExist(err) {
			return err
		}
	}
	if err1 != nil && err2 != nil {
		return nil
	}
	if err2 == nil {
		d.cleanEpoch = decodeCleanMarker(mark)
	}
	if err1 == nil && err2 == nil {
		logs, err := remember.DecodeClean(state, remember.Sum(points))
		if err != nil {
			d.report(Event{Kind: EventCheckpointBad, Name: cleanStateFile, Err: err})
		}
		d.left.clean = logs
	}
	for _, name := range []string{cleanStateFile, cleanMarkerFile} {
		if err := d.env.FS.Remove(d.o.Path + "/" + name); err != nil && !notExist(err) {
			return err
		}
	}
	return d.env.FS.SyncDir(d.o.Path)
}

// findLogs lists the partitions' directories and lets the remains of deleted ones go.
func (d *Dir) findLogs() error {
	names, err := d.env.FS.List(d.o.Path)
	if err != nil {
		return err
	}
	var unread []int
	d.findFutures(names)
	for _, name := range names {
		tp, ok := parsePartitionDir(name)
		if !ok || tp.Topic == metadataTopic {
			continue
		}
		f := FoundLog{TP: tp}
		if state := d.left.clean[name]; len(state) >= len(f.TopicID) {
			copy(f.TopicID[:], state)
		} else {
			unread = append(unread, len(d.found))
		}
		d.found = append(d.found, f)
	}
	if err := d.readTopicIDs(unread); err != nil {
		return err
	}
	d.left.keepOnly(d.found, d.futures, d.mu.stale)
	slices.SortFunc(d.found, func(a, b FoundLog) int { return comparePartitions(a.TP, b.TP) })
	return nil
}

// doomedDirs lists directories whose removal was interrupted.
func (d *Dir) doomedDirs() []string {
	names, err := d.env.FS.List(d.o.Path)
	if err != nil {
		return nil
	}
	var doomed []string
	for _, name := range names {
		if onItsWayOut(name) || slices.Contains(d.doomed, name) {
			doomed = append(doomed, path.Join(d.o.Path, name))
		}
	}
	return doomed
}

// readTopicIDs reads partition.metadata of found logs, several at a time.
func (d *Dir) readTopicIDs(which []int) error {
	metas := make([]partitionMeta, len(which))
	errs := make([]error, d.o.RecoveryThreads)
	var wg sync.WaitGroup
	for t := range d.o.RecoveryThreads {
		wg.Go(func() {
			for i := t; i < len(which) && errs[t] == nil; i += d.o.RecoveryThreads {
				var err error
				metas[i], err = readPartitionMeta(d.env.FS, d.o.Path+"/"+d.found[which[i]].TP.String())
				if !errors.Is(err, errBadPartitionMeta) {
					errs[t] = err
				}
			}
		})
	}
	wg.Wait()
	d.left.metas = make(map[model.TopicPartition]partitionMeta, len(which))
	for i, m := range metas {
		if !m.topic.IsZero() {
			f := &d.found[which[i]]
			f.TopicID = m.topic
			d.left.metas[f.TP] = m
		}
	}
	return errors.Join(errs...)
}

// readPartitionMeta reads whose directory a partition's is. errBadPartitionMeta when it is not known.
func readPartitionMeta(fsys vfs.FS, dir string) (partitionMeta, error) {
	f, err := fsys.OpenFile(dir+"/"+partitionMetaFile, os.O_RDONLY, 0)
	if notExist(err) {
		return partitionMeta{}, errBadPartitionMeta
	}
	if err != nil {
		return partitionMeta{}, err
	}
	defer f.Close()
	var room [512]byte
	n, err := f.ReadAt(room[:], 0)
	if err != nil && !isEOF(err) {
		return partitionMeta{}, err
	}
	return decodePartitionMeta(room[:n])
}
