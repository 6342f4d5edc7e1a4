package commitlog

import (
	"io"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// Env is the outside world of this room.
type Env struct {
	FS     vfs.FS
	Clock  clock.Clock
	Random io.Reader   // directory ids and the unique part of deleted directories' names; crypto/rand.Reader outside of tests
	Events func(Event) // may be nil; called without locks of this room, must return soon
}

// DirOptions say whose directory it is and how hard to work on it.
type DirOptions struct {
	Path      string
	NodeID    model.BrokerID
	ClusterID string
	// DirectoryID is what a new directory is called from now on; zero draws one. A directory that has one keeps it.
	DirectoryID model.UUID

	RecoveryThreads int           // logs recovered at the same time after a crash (num.recovery.threads.per.data.dir); 0 means 2
	MaxOpenFiles    int           // descriptors kept for reuse; 0 means 4096
	SyncInterval    time.Duration // background sync of logs with Durability Fsync; 0 means 1 s
	RetentionCheck  time.Duration // between two looks for segments to delete (log.retention.check.interval.ms); 0 means 5 min
	// CheckpointInterval is the longest time between two passes that make indexes and checkpoints follow the data, and with
	// CheckpointBytes bounds what a restart after a crash has to scan. 0 means 5 s and 256 MiB.
	CheckpointInterval time.Duration
	CheckpointBytes    int64
	// ScrubRate bounds the background check of segments written by an earlier run, in bytes per second; 0 switches it off.
	// Whatever the scrubber has not reached is checked when it is first read.
	ScrubRate int64

	CleanInterval time.Duration // between two looks for logs to compact (log.cleaner.backoff.ms); 0 means 15 s
	CleanerMemory int64         // bytes for the keys of one pass (log.cleaner.dedupe.buffer.size); 0 means 128 MiB

	// walked: the last segment, up to this size, is walked from its beginning after a crash rather than searched through its index: one read
	// instead of a dozen, which matters when ten thousand logs are opened. Tests change it.
	walked int64

	// OnOffline is called once, without locks, when the directory goes offline.
	OnOffline func(err error)
}

const (
	defaultRecoveryThreads    = 2
	defaultMaxOpenFiles       = 4096
	defaultSyncInterval       = time.Second
	defaultRetentionCheck     = 5 * time.Minute
	defaultCheckpointInterval = 5 * time.Second
	defaultCheckpointBytes    = 256 << 20
	defaultCleanInterval      = 15 * time.Second
	defaultCleanerMemory      = 128 << 20
)

func (o DirOptions) withDefaults() DirOptions {
	setDefault(&o.RecoveryThreads, defaultRecoveryThreads)
	setDefault(&o.MaxOpenFiles, defaultMaxOpenFiles)
	setDefault(&o.SyncInterval, defaultSyncInterval)
	setDefault(&o.RetentionCheck, defaultRetentionCheck)
	setDefault(&o.CheckpointInterval, defaultCheckpointInterval)
	setDefault(&o.CheckpointBytes, defaultCheckpointBytes)
	setDefault(&o.walked, scanFar)
	setDefault(&o.CleanInterval, defaultCleanInterval)
	setDefault(&o.CleanerMemory, defaultCleanerMemory)
	return o
}

func setDefault[T ~int | ~int64](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// LogOptions say which log to open. OnDurable may be nil; it is called with the new durable end, never backwards, without locks.
type LogOptions struct {
	TP        model.TopicPartition
	TopicID   model.TopicID
	Config    Config
	OnDurable func(end model.Offset)
}

// Durability says what the owner of a log waits for; the log itself only syncs in the background accordingly.
type Durability uint8

// The two kinds of durability (klamm's log.durability).
const (
	Fsync     Durability = iota // synced in the background every SyncInterval at the latest, and on Commit at once
	PageCache                   // Kafka's way: synced at roll and with the checkpoints
)

// Config is the part of a topic's configuration that a log obeys. Zero values mean Kafka's defaults where a zero makes no sense.
type Config struct {
	Segment    SegmentConfig
	Retention  RetentionConfig
	Compaction CompactionConfig
	Flush      FlushConfig

	MaxMessageBytes int           // max.message.bytes; the largest batch an append may hold
	ProducerExpiry  time.Duration // producer.id.expiration.ms, by last use
}

// SegmentConfig shapes the segment files.
type SegmentConfig struct {
	Bytes              int           // segment.bytes
	Age                time.Duration // segment.ms, counted in record time
	Jitter             time.Duration // segment.jitter.ms: up to this much is taken off Age, per log
	IndexIntervalBytes int           // index.interval.bytes
	IndexMaxBytes      int           // segment.index.bytes; a full index rolls the segment
}

// RetentionConfig says when segments go.
type RetentionConfig struct {
	Age         time.Duration // retention.ms, < 0 for ever
	Bytes       int64         // retention.bytes, < 0 without limit
	Delete      bool          // cleanup.policy holds delete
	DeleteDelay time.Duration // file.delete.delay.ms
}

// CompactionConfig is what the cleaner obeys.
type CompactionConfig struct {
	Compact            bool          // cleanup.policy holds compact
	TombstoneRetention time.Duration // delete.retention.ms
	MinLag, MaxLag     time.Duration // min.compaction.lag.ms, max.compaction.lag.ms
	MinDirtyRatio      float64       // min.cleanable.dirty.ratio
}

// FlushConfig says when data is synced in the background.
type FlushConfig struct {
	Messages   int64         // flush.messages; 0 or very large: never by count
	Interval   time.Duration // flush.ms; 0: by the directory's own pace
	Durability Durability
}

// DefaultConfig is Kafka's default of every topic key above.
func DefaultConfig() Config {
	return Config{
		Segment: SegmentConfig{Bytes: 1 << 30, Age: 7 * 24 * time.Hour, IndexIntervalBytes: 4096, IndexMaxBytes: 10 << 20},
		Retention: RetentionConfig{
			Age: 7 * 24 * time.Hour, Bytes: -1, Delete: true, DeleteDelay: time.Minute,
		},
		Compaction:      CompactionConfig{TombstoneRetention: 24 * time.Hour, MaxLag: 1<<63 - 1, MinDirtyRatio: 0.5},
		MaxMessageBytes: 1048588,
		ProducerExpiry:  24 * time.Hour,
	}
}

// Limits a segment has whatever the configuration says: positions in Kafka's index are signed 32-bit numbers, and an index that
// cannot hold two entries would roll at every batch.
const (
	maxSegmentBytes = 1<<31 - 1
	minIndexBytes   = 2 * timeEntrySize
)

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	setDefault(&c.Segment.Bytes, d.Segment.Bytes)
	setDefault(&c.Segment.Age, d.Segment.Age)
	setDefault(&c.Segment.IndexIntervalBytes, d.Segment.IndexIntervalBytes)
	setDefault(&c.Segment.IndexMaxBytes, d.Segment.IndexMaxBytes)
	setDefault(&c.MaxMessageBytes, d.MaxMessageBytes)
	setDefault(&c.ProducerExpiry, d.ProducerExpiry)
	c.Segment.Bytes = min(c.Segment.Bytes, maxSegmentBytes)
	c.Segment.IndexMaxBytes = max(c.Segment.IndexMaxBytes, minIndexBytes)
	return c
}

// AppendOptions belong to one AppendLeader call.
type AppendOptions struct {
	Origin Origin
}

// Origin says who produced the batches, which decides how much of the producer's state is checked.
type Origin uint8

// The origins of an append.
const (
	FromClient      Origin = iota // epochs and sequences are checked
	FromCoordinator               // epochs are checked; group commits carry no sequences
	FromReplication               // the leader has checked everything
)

// AppendInfo is where an append went.
type AppendInfo struct {
	Base, Last    model.Offset
	LogAppendTime int64        // ms; -1 when the batches keep the producer's timestamps
	LogStart      model.Offset // of the log, for the produce response
	Duplicate     bool         // an idempotent retry: nothing was written, Base and Last are those of the first time
}

// ReadOptions bound a read.
type ReadOptions struct {
	MaxBytes int
	End      model.Offset // exclusive: nothing at or behind it is returned (high watermark, last stable offset or log end)
	MinOne   bool         // return the first batch whole even if it is larger than MaxBytes
}
