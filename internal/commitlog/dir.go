package commitlog

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/model"
)

// Dir is one data directory: its lock and identity, the logs in it, their group commit, checkpoints and background work.
type Dir struct {
	*disk
	o          DirOptions
	lock       io.Closer
	identity   Identity
	cleanEpoch model.BrokerEpoch
	found      []FoundLog
	futures    map[model.TopicPartition]string // directories of future logs that the last run left; under mu once the directory is open
	doomed     []string                        // directories that lost their meaning
	left       leftBehind
	recovering chan struct{} // a place for each recovery that may run

	committer *committer
	keeper    *keeper
	scrubber  *scrubber
	cleaner   *cleaner
	pace      atomic.Pointer[pace] // of the cleaner
	quit      chan struct{}
	running   sync.WaitGroup

	mu struct {
		sync.Mutex
		logs    map[model.TopicPartition]*Log
		opening map[model.TopicPartition]bool
		stale   map[model.TopicPartition]bool // deleted since the checkpoint files were written
		closed  bool
	}
}

// FoundLog is a partition's directory on disk. TopicID is zero when partition.metadata is missing or damaged.
type FoundLog struct {
	TP      model.TopicPartition
	TopicID model.TopicID
}

// OpenDir locks the directory, checks whose it is and reads its checkpoints. It opens no log. vfs.ErrLocked, ErrWrongDirectory.
func OpenDir(env Env, o DirOptions) (*Dir, error) {
	o = o.withDefaults()
	if err := makeDir(env.FS, o.Path); err != nil {
		return nil, err
	}
	lock, err := env.FS.Lock(o.Path + "/" + lockFile)
	if err != nil {
		return nil, err
	}
	d := &Dir{disk: newDisk(env, o), o: o, lock: lock, quit: make(chan struct{}), recovering: make(chan struct{}, o.RecoveryThreads)}
	d.mu.logs = map[model.TopicPartition]*Log{}
	d.mu.opening = map[model.TopicPartition]bool{}
	d.mu.stale = map[model.TopicPartition]bool{}
	d.keeper = newKeeper(d)
	if err := d.readAll(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	d.committer = newCommitter(d.disk, o.Path)
	d.keeper.begin()
	d.scrubber = newScrubber(d)
	d.cleaner = newCleaner(d)
	d.pace.Store(&pace{o.CleanInterval, o.CleanerMemory})
	d.running.Go(func() { d.committer.run(d.quit) })
	d.running.Go(func() { d.keeper.run(d.quit) })
	d.running.Go(func() { d.scrubber.run(d.quit) })
	d.running.Go(func() { d.cleaner.run(d.quit) })
	d.running.Go(d.watchErrors)
	return d, nil
}

// watchErrors makes the first whole sync, from which on the system reports errors of writing back that happen in between.
func (d *Dir) watchErrors() {
	err := d.env.FS.SyncFS(d.o.Path)
	if errors.Is(err, errors.ErrUnsupported) {
		d.committer.noSyncFS.Store(true)
		return
	}
	_ = d.syncFailed(err) // goes offline; there is nobody to tell
}

// Identity is whose directory this is.
func (d *Dir) Identity() Identity { return d.identity }

// Path is where it is.
func (d *Dir) Path() string { return d.o.Path }

// CleanShutdownEpoch is the broker epoch under which the directory was last closed in order, -1 after a crash (KIP-966).
func (d *Dir) CleanShutdownEpoch() model.BrokerEpoch { return d.cleanEpoch }

// Found lists the partitions on disk when the directory was opened, sorted.
func (d *Dir) Found() []FoundLog { return slices.Clone(d.found) }

// Usage is the size of the file system and what is free of it, in bytes.
func (d *Dir) Usage() (total, free uint64, err error) {
	u, err := d.env.FS.Usage(d.o.Path)
	return u.Total, u.Free, err
}

// Offline is the reason why the directory is offline, nil while it works.
func (d *Dir) Offline() error { return d.err() }

// Open opens a log, recovering it after a crash, or creates it. It may be called from many goroutines; recoveries run
// DirOptions.RecoveryThreads at a time. ErrExists, ErrTopicIDMismatch, ErrOffline.
func (d *Dir) Open(o LogOptions) (*Log, error) {
	if err := d.reserve(o.TP); err != nil {
		return nil, err
	}
	return d.openIn(o, o.TP.String())
}

// openIn opens the log that lies in a directory of this name, which reserve has set apart.
func (d *Dir) openIn(o LogOptions, name string) (*Log, error) {
	d.recovering <- struct{}{}
	l, err := d.openLog(o, name)
	<-d.recovering
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.opening, o.TP)
	if err != nil {
		return nil, err
	}
	d.mu.logs[o.TP] = l
	d.left.forget(o.TP, name)
	return l, nil
}

func (d *Dir) reserve(tp model.TopicPartition) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.err()
	switch {
	case d.mu.closed:
		err = ErrClosed
	case d.mu.opening[tp] || d.mu.logs[tp] != nil:
		err = ErrExists
	}
	if err != nil {
		return &Error{TP: tp, Offset: model.NoOffset, Err: err}
	}
	d.mu.opening[tp] = true
	return nil
}

// logs lists the open logs, by partition.
func (d *Dir) logs() []*Log {
	d.mu.Lock()
	logs := make([]*Log, 0, len(d.mu.logs))
	for _, l := range d.mu.logs {
		logs = append(logs, l)
	}
	d.mu.Unlock()
	slices.SortFunc(logs, func(a, b *Log) int { return comparePartitions(a.tp, b.tp) })
	return logs
}

func comparePartitions(a, b model.TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// Delete closes a log and renames its directory away; the files go after Config.Retention.DeleteDelay.
func (d *Dir) Delete(l *Log) error {
	d.mu.Lock()
	if d.mu.logs[l.tp] != l {
		d.mu.Unlock()
		return l.at(model.NoOffset, ErrClosed)
	}
	delete(d.mu.logs, l.tp)
	d.mu.opening[l.tp] = true // nobody may create it anew before it is out of the way
	d.mu.Unlock()
	defer d.endOpening(l.tp)
	l.Close()
	for _, s := range l.segments.Load().segments {
		s.close()
	}
	return l.at(model.NoOffset, d.moveAway(l.tp, path.Base(l.path), l.Config().Retention.DeleteDelay))
}

// DeleteStray does the same to a directory that no log was opened for: one whose topic is gone or another one now.
func (d *Dir) DeleteStray(tp model.TopicPartition) error {
	if err := d.reserve(tp); err != nil {
		return err
	}
	defer d.endOpening(tp)
	d.mu.Lock()
	d.left.forget(tp, tp.String())
	d.mu.Unlock()
	err := d.moveAway(tp, tp.String(), DefaultConfig().Retention.DeleteDelay)
	if err == nil {
		err = d.syncFailed(d.env.FS.SyncDir(d.o.Path)) // it may be an old copy of a log that goes on in another directory
	}
	if err != nil {
		return &Error{TP: tp, Offset: model.NoOffset, Err: err}
	}
	return nil
}

func (d *Dir) endOpening(tp model.TopicPartition) {
	d.mu.Lock()
	delete(d.mu.opening, tp)
	d.mu.Unlock()
}

// moveAway renames a partition's directory, so that the partition can be created anew at once, and has it removed later.
func (d *Dir) moveAway(tp model.TopicPartition, name string, delay time.Duration) error {
	unique, err := newUUID(d.env.Random)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.mu.stale[tp] = true
	d.mu.Unlock()
	old, doomed := d.o.Path+"/"+name, d.o.Path+"/"+deleteDirName(tp, unique)
	if err := d.env.FS.Rename(old, doomed); err != nil {
		return d.failed(err)
	}
	d.report(Event{Kind: EventDeleted, TP: tp, Name: doomed})
	d.keeper.doom([]string{doomed}, delay)
	return nil
}

// forgetStale makes sure that no checkpoint file speaks of an earlier life of a partition that is about to be created.
func (d *Dir) forgetStale(tp model.TopicPartition) error {
	d.mu.Lock()
	stale := d.mu.stale[tp]
	gone := slices.Collect(maps.Keys(d.mu.stale))
	d.mu.Unlock()
	if !stale {
		return nil
	}
	if err := d.keeper.checkpoints.storeAll(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, tp := range gone {
		delete(d.mu.stale, tp)
	}
	return nil
}

// caretaker for the logs:

func (d *Dir) commit(l *Log) { d.committer.add(l) }

func (d *Dir) flush(l *Log) error { return d.committer.flush(l) }

func (d *Dir) changed(l *Log) { d.keeper.add(l) }

func (d *Dir) wrote(bytes int) {
	n := int64(bytes)
	d.unsynced.Add(n)
	if total := d.uncheckpointed.Add(n); total >= d.o.CheckpointBytes && total-n < d.o.CheckpointBytes {
		d.keeper.poke()
	}
}

func (d *Dir) crowded() { d.keeper.commitAll() }

func (d *Dir) storeStarts() error { return d.keeper.checkpoints.store(logStartFile) }

// storePoints takes the cleaner's checkpoint along: it never lies behind a recovery point, so what lowers one may lower both.
func (d *Dir) storePoints() error {
	return firstError(d.keeper.checkpoints.store(recoveryPointFile), d.storeCleaned())
}

func (d *Dir) doom(names []string, delay time.Duration) { d.keeper.doom(names, delay) }

func (d *Dir) storeCleaned() error { return d.keeper.checkpoints.store(cleanerFile) }
