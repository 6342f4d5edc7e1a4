package commitlog

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// Dir is one data directory: its lock and identity, the logs in it, their group commit, checkpoints and background work.
type Dir struct{}

// FoundLog is a partition's directory on disk. TopicID is zero when partition.metadata is missing or damaged.
type FoundLog struct {
	TP      model.TopicPartition
	TopicID model.TopicID
}

// OpenDir locks the directory, checks whose it is and reads its checkpoints. It opens no log. vfs.ErrLocked, ErrWrongDirectory.
func OpenDir(env Env, o DirOptions) (*Dir, error) { panic("pending") }

// Identity is whose directory this is.
func (d *Dir) Identity() Identity { panic("pending") }

// Path is where it is.
func (d *Dir) Path() string { panic("pending") }

// CleanShutdownEpoch is the broker epoch under which the directory was last closed in order, -1 after a crash (KIP-966).
func (d *Dir) CleanShutdownEpoch() model.BrokerEpoch { panic("pending") }

// Found lists the partitions on disk when the directory was opened, sorted.
func (d *Dir) Found() []FoundLog { panic("pending") }

// Open opens a log, recovering it after a crash, or creates it. It may be called from many goroutines; recoveries run
// DirOptions.RecoveryThreads at a time. ErrExists, ErrTopicIDMismatch, ErrOffline.
func (d *Dir) Open(o LogOptions) (*Log, error) { panic("pending") }

// Delete closes a log and renames its directory away; the files go after Config.Retention.DeleteDelay.
func (d *Dir) Delete(l *Log) error { panic("pending") }

// DeleteStray does the same to a directory that no log was opened for: one whose topic is gone or another one now.
func (d *Dir) DeleteStray(tp model.TopicPartition) error { panic("pending") }

// Usage is the size of the file system and what is free of it, in bytes.
func (d *Dir) Usage() (total, free uint64, err error) { panic("pending") }

// Offline is the reason why the directory is offline, nil while it works.
func (d *Dir) Offline() error { panic("pending") }

// Close ends everything. When all could be made durable it leaves the marks of a clean shutdown under the broker's epoch, and the next
// start opens every log without reading it.
func (d *Dir) Close(epoch model.BrokerEpoch) error { panic("pending") }

// Log is one partition on disk.
type Log struct{}

// AppendLeader appends batches that the leader has validated: it gives them offsets and the leader epoch in place, checks the
// producer's state and writes them with one write. The records are in the page cache when it returns; Commit makes them durable.
func (l *Log) AppendLeader(records []byte, epoch model.LeaderEpoch, o AppendOptions) (AppendInfo, error) {
	panic("pending")
}

// AppendFollower appends batches as the leader has them. An incomplete batch at the end, as fetches leave it, is not appended.
func (l *Log) AppendFollower(records []byte) (AppendInfo, error) { panic("pending") }

// Commit asks the directory's group commit to make everything up to End durable. It returns at once; LogOptions.OnDurable tells.
func (l *Log) Commit() { panic("pending") }

// Flush makes everything up to End durable before it returns.
func (l *Log) Flush() error { panic("pending") }

// Read gives the bytes that begin with the batch that holds from. The slice is empty at the end; release it in any case.
// ErrOffsetOutOfRange outside of [Start, End], ErrCorrupt when that batch is damaged on disk.
func (l *Log) Read(from model.Offset, o ReadOptions) (Slice, error) { panic("pending") }

// Slice is a range of a segment file that stays readable until it is released, whatever happens to the segment. It begins with a whole
// batch and may end inside of one.
type Slice struct {
	File     vfs.File // nil when empty; implements syscall.Conn outside of tests, for sendfile
	Pos, Len int64
}

// Release gives the file back. It may be called more than once, and on an empty slice.
func (s *Slice) Release() {}

// Bytes appends the slice's content to dst.
func (s *Slice) Bytes(dst []byte) ([]byte, error) { panic("pending") }

// TP is the partition's name.
func (l *Log) TP() model.TopicPartition { panic("pending") }

// TopicID is the id of the topic's life this log belongs to.
func (l *Log) TopicID() model.TopicID { panic("pending") }

// Config is the configuration in force.
func (l *Log) Config() Config { panic("pending") }

// SetConfig changes the configuration; it holds from the next append, retention or cleaning on.
func (l *Log) SetConfig(c Config) { panic("pending") }

// Start is the first offset that may be read.
func (l *Log) Start() model.Offset { panic("pending") }

// End is the offset of the next record.
func (l *Log) End() model.Offset { panic("pending") }

// DurableEnd is the offset up to which everything survives a power cut.
func (l *Log) DurableEnd() model.Offset { panic("pending") }

// HighWatermark is what SetHighWatermark was last told or, after opening, the checkpoint said.
func (l *Log) HighWatermark() model.Offset { panic("pending") }

// SetHighWatermark tells the log how far it is committed: retention and the cleaner stay below, checkpoints remember it.
func (l *Log) SetHighWatermark(hw model.Offset) { panic("pending") }

// Size is the number of bytes in the segment files.
func (l *Log) Size() int64 { panic("pending") }

// DeleteRecords raises the log's start. It returns when the new start is durable; segments below it are removed.
func (l *Log) DeleteRecords(to model.Offset) error { panic("pending") }

// TruncateTo cuts the log so that it ends at end, or at the start of the batch that holds it.
func (l *Log) TruncateTo(end model.Offset) error { panic("pending") }

// TruncateFullyTo drops everything and lets the log begin anew at start.
func (l *Log) TruncateFullyTo(start model.Offset) error { panic("pending") }

// LatestEpoch is the newest leader epoch in the log's history.
func (l *Log) LatestEpoch() model.LeaderEpoch { panic("pending") }

// AssignEpoch notes that a leader epoch begins at start.
func (l *Log) AssignEpoch(epoch model.LeaderEpoch, start model.Offset) { panic("pending") }

// EndOffsetForEpoch gives the largest epoch not above the one asked for, and where it ended; -1, -1 when none is known (KIP-279).
func (l *Log) EndOffsetForEpoch(epoch model.LeaderEpoch) (model.LeaderEpoch, model.Offset) {
	panic("pending")
}

// EpochAt is the leader epoch of the record at offset.
func (l *Log) EpochAt(offset model.Offset) model.LeaderEpoch { panic("pending") }

// Found is a record found by its timestamp.
type Found struct {
	Offset      model.Offset
	Timestamp   int64 // ms
	LeaderEpoch model.LeaderEpoch
}

// OffsetForTimestamp finds the first record below end with a timestamp of ts (ms) or later.
func (l *Log) OffsetForTimestamp(ts int64, end model.Offset) (Found, bool, error) { panic("pending") }

// MaxTimestamp finds the first record below end with the largest timestamp (KIP-734).
func (l *Log) MaxTimestamp(end model.Offset) (Found, bool, error) { panic("pending") }

// FirstUnstable is the first offset of the oldest transaction whose outcome is not known, or not replicated yet.
func (l *Log) FirstUnstable() (model.Offset, bool) { panic("pending") }

// AbortedTxn is a transaction that a read_committed reader has to skip.
type AbortedTxn struct {
	ProducerID  model.ProducerID
	FirstOffset model.Offset
}

// AbortedTransactions lists the aborted transactions with records in [from, end), by first offset.
func (l *Log) AbortedTransactions(from, end model.Offset) ([]AbortedTxn, error) { panic("pending") }

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
func (l *Log) Producers() ([]ProducerInfo, error) { panic("pending") }
