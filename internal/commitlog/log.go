package commitlog

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/model"
)

// caretaker is what a log tells and asks of the directory it is in.
type caretaker interface {
	// commit syncs l soon, together with others.
	commit(l *Log)
	// flush does so and waits.
	flush(l *Log) error
	// changed asks for a checkpoint of l; wrote tells that bytes were appended.
	changed(l *Log)
	wrote(bytes int)
	// crowded tells that too many files stay open for undurable bytes.
	crowded()
	// storeStarts, storePoints and storeCleaned make the log starts, the recovery points and the cleaner's offsets durable.
	storeStarts() error
	storePoints() error
	storeCleaned() error
	// forgetStale makes sure that the checkpoints do not speak of an earlier life of a partition that is about to be created.
	forgetStale(tp model.TopicPartition) error
	// doom removes files when delay has passed.
	doom(names []string, delay time.Duration)
}

// Log is one partition on disk.
type Log struct {
	*place
	care      caretaker
	topicID   model.TopicID
	onDurable func(model.Offset)
	config    atomic.Pointer[Config]

	// What readers look at. A writer publishes in this order: bytes, segment size, segments, end.
	segments      atomic.Pointer[view]
	start         atomic.Int64
	end           atomic.Int64
	durable       atomic.Int64 // Invariant: start <= durable <= end, but for a start that a deletion has just raised
	highWatermark atomic.Int64
	unstable      atomic.Int64 // first offset of an undecided transaction, NoOffset without one

	future  bool // a copy that will take the place of the log in another directory
	closed  atomic.Bool
	queued  atomic.Bool // waits for the committer
	touched atomic.Bool // waits for a checkpoint

	mu struct {
		sync.Mutex
		epochs      epochs
		epochsDirty bool // since leader-epoch-checkpoint was written
		producers   producers
		// snapshots between segments are only kept until the next one: snapshotAt is where the newest is (NoOffset: none), sinceSnapshot how
		// many bytes came since any.
		snapshotAt    model.Offset
		sinceSnapshot int64

		recoveryPoint model.Offset // below it data and indexes are durable, and damage is not a torn tail
		wantStart     model.Offset // what the start will be once that is durable
		cleanedTo     model.Offset // compacted up to here; 0 when it never was
		names         nameChanges  // in the log's directory
		dirs          nameChanges  // the directory itself, and whose it is
		unsyncedSince time.Time    // of the first byte that is not durable
		unsynced      int64        // records appended since the last sync
		truncations   uint64
		jitter        time.Duration // taken off the age at which segments roll
	}
}

// nameChanges counts changes of names in a directory, and how many of them are durable.
type nameChanges struct{ made, synced uint64 }

func (c *nameChanges) add() { c.made++ }

func (c *nameChanges) pending() bool { return c.synced < c.made }

// settle notes that the first n changes are durable.
func (c *nameChanges) settle(n uint64) { c.synced = max(c.synced, n) }

// TP is the partition's name.
func (l *Log) TP() model.TopicPartition { return l.tp }

// TopicID is the id of the topic's life this log belongs to.
func (l *Log) TopicID() model.TopicID { return l.topicID }

// Config is the configuration in force.
func (l *Log) Config() Config { return *l.config.Load() }

// SetConfig changes the configuration; it holds from the next append, retention or cleaning on.
func (l *Log) SetConfig(c Config) {
	c = c.withDefaults()
	if c.Compaction.Compact {
		l.dense.Store(false)
	}
	l.config.Store(&c)
}

// Start is the first offset that may be read.
func (l *Log) Start() model.Offset { return model.Offset(l.start.Load()) }

// End is the offset of the next record.
func (l *Log) End() model.Offset { return model.Offset(l.end.Load()) }

// DurableEnd is the offset up to which everything survives a power cut.
func (l *Log) DurableEnd() model.Offset { return model.Offset(l.durable.Load()) }

// HighWatermark is what SetHighWatermark was last told or, after opening, the checkpoint said.
func (l *Log) HighWatermark() model.Offset { return model.Offset(l.highWatermark.Load()) }

// SetHighWatermark tells the log how far it is committed: retention and the cleaner stay below, checkpoints remember it.
func (l *Log) SetHighWatermark(hw model.Offset) {
	l.highWatermark.Store(int64(hw))
	if l.unstable.Load() != int64(model.NoOffset) {
		l.mu.Lock()
		if l.readProducersLocked() == nil { // otherwise the directory is offline, and what is unstable stays so
			l.mu.producers.replicated(hw)
			l.publishUnstableLocked()
		}
		l.mu.Unlock()
	}
	l.touch()
}

// Size is the number of bytes in the segment files.
func (l *Log) Size() int64 {
	var n int64
	for _, s := range l.segments.Load().segments {
		n += s.size.Load()
	}
	return n
}

// FirstUnstable is the first offset of the oldest transaction whose outcome is not known, or whose marker is not below the high watermark.
func (l *Log) FirstUnstable() (model.Offset, bool) {
	off := model.Offset(l.unstable.Load())
	return off, off != model.NoOffset
}

func (l *Log) publishUnstableLocked() { l.unstable.Store(int64(l.mu.producers.unstable())) }

// Commit asks the directory's group commit to make everything up to End durable. It returns at once; LogOptions.OnDurable tells.
func (l *Log) Commit() {
	if l.durable.Load() < l.end.Load() {
		l.care.commit(l)
	}
}

// Flush makes everything up to End durable before it returns. ErrOffline, ErrClosed.
func (l *Log) Flush() error {
	if l.durable.Load() >= l.end.Load() {
		return l.at(model.NoOffset, l.usable())
	}
	return l.at(model.NoOffset, l.care.flush(l))
}

// LatestEpoch is the newest leader epoch in the log's history.
func (l *Log) LatestEpoch() model.LeaderEpoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.epochs.latest()
}

// AssignEpoch notes that a leader epoch begins at start. It is written down with the epoch's first record: without one it says nothing that a
// restart, which is another election, would not replace.
func (l *Log) AssignEpoch(epoch model.LeaderEpoch, start model.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.epochs.assign(epoch, start) && start < l.End() {
		l.mu.epochsDirty = true
		l.touch()
	}
}

// EndOffsetForEpoch gives the largest epoch not above the one asked for, and where it ended; -1, -1 when none is known (KIP-279).
func (l *Log) EndOffsetForEpoch(epoch model.LeaderEpoch) (model.LeaderEpoch, model.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.epochs.endOffset(epoch, l.End())
}

// EpochAt is the leader epoch of the record at offset.
func (l *Log) EpochAt(offset model.Offset) model.LeaderEpoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.epochs.at(offset)
}

// ProducerInfo is what a log knows of an active producer (DescribeProducers, KIP-664).
type ProducerInfo struct {
	ID               model.ProducerID
	Epoch            model.ProducerEpoch
	LastSequence     int32
	LastTimestamp    int64 // ms
	CoordinatorEpoch int32
	TxnStart         model.Offset // NoOffset without an open transaction
}

// Producers lists the active producers by id.
func (l *Log) Producers() ([]ProducerInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.readProducersLocked(); err != nil {
		return nil, l.at(model.NoOffset, err)
	}
	return l.mu.producers.list(), nil
}

// expireProducers forgets producers that have not written for producer.id.expiration.ms.
func (l *Log) expireProducers(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.mu.producers.unread {
		l.mu.producers.expire(now, l.config.Load().ProducerExpiry)
	}
}

// usable is why the log cannot be used, nil when it can.
func (l *Log) usable() error {
	if l.closed.Load() {
		return ErrClosed
	}
	return l.err()
}

// touch asks for a checkpoint.
func (l *Log) touch() {
	if !l.touched.Load() && l.touched.CompareAndSwap(false, true) {
		l.care.changed(l)
	}
}

// Close ends the use of the log by this process. What was appended is made durable with the directory, at the latest when that is closed;
// appends, reads and commits fail from now on.
func (l *Log) Close() {
	l.mu.Lock()
	l.closed.Store(true)
	l.mu.Unlock()
}

// checkLocked asserts what always holds.
func (l *Log) checkLocked() {
	if !invariant.Expensive() {
		return
	}
	v := l.segments.Load()
	start, durable, end := l.Start(), l.DurableEnd(), l.End()
	invariant.Check(start <= end && durable <= end, "%v: start %d, durable %d, end %d", l.tp, start, durable, end)
	invariant.Check(l.mu.recoveryPoint <= end, "%v: recovery point %d behind end %d", l.tp, l.mu.recoveryPoint, end)
	for i, s := range v.segments {
		invariant.Check(s.base <= end, "%v: segment %d behind end %d", l.tp, s.base, end)
		invariant.Check(i == 0 || v.segments[i-1].base < s.base, "%v: segment %d out of order", l.tp, s.base)
	}
}
