package commitlog

import (
	"time"

	"github.com/klamm/klamm/internal/model"
)

// EventKind names what happened.
type EventKind uint8

// What this room reports.
const (
	EventRecovered      EventKind = iota // a log was scanned after a crash; Bytes were read, From..To is the scanned range
	EventTruncatedTail                   // Bytes behind To were not whole batches and were cut off
	EventIndexRebuilt                    // an index of the segment From..To was missing or wrong; Bytes were read
	EventSnapshotBad                     // a producer snapshot at From was unreadable
	EventCheckpointBad                   // a checkpoint file (Name) was unreadable or failed its checksum
	EventCorrupt                         // batches in From..To are damaged on disk
	EventRolled                          // a new segment begins at From
	EventSegmentDeleted                  // the segment From..To went, by retention or DeleteRecords
	EventNoSpace                         // an append failed for lack of space
	EventOffline                         // the directory went offline
	EventDeleted                         // the log's directory was removed
	EventCheckpointed                    // a checkpoint pass ended
	EventCleaned                         // From..To was compacted; Bytes were won
)

// String is the event's name in logs and metrics.
func (k EventKind) String() string {
	names := [...]string{"recovered", "truncated-tail", "index-rebuilt", "snapshot-bad", "checkpoint-bad", "corrupt", "rolled",
		"segment-deleted", "no-space", "offline", "deleted", "checkpointed", "cleaned"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Event is one thing worth a log line or a metric. Fields that mean nothing for a kind are zero.
type Event struct {
	Kind     EventKind
	TP       model.TopicPartition
	From, To model.Offset
	Bytes    int64
	Took     time.Duration
	Name     string
	Err      error
}
