package commitlog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/model"
)

// File names in a partition's directory, after the twenty digits of the base offset. All are Kafka's.
const (
	logSuffix      = ".log"
	indexSuffix    = ".index"
	timeSuffix     = ".timeindex"
	txnSuffix      = ".txnindex"
	snapshotSuffix = ".snapshot"
	deletedSuffix  = ".deleted" // behind one of the above: waits for file.delete.delay.ms
	cleanedSuffix  = ".cleaned" // half-written result of compaction
	swapSuffix     = ".swap"    // finished result of compaction that is being put in place
	tmpSuffix      = ".tmp"     // half-written replacement of a small file
)

// Other files of a partition's directory.
const (
	epochFile         = "leader-epoch-checkpoint"
	partitionMetaFile = "partition.metadata"
)

// Files of the data directory.
const (
	lockFile          = ".lock"
	metaFile          = "meta.properties"
	recoveryPointFile = "recovery-point-offset-checkpoint"
	logStartFile      = "log-start-offset-checkpoint"
	highWatermarkFile = "replication-offset-checkpoint"
	cleanerFile       = "cleaner-offset-checkpoint"
	cleanMarkerFile   = ".kafka_cleanshutdown"
	cleanStateFile    = ".klamm_cleanstate" // ours; see docs/format/clean-state.md
)

// deleteDirSuffix ends the names of directories that are on their way out: topic-0.<32 hex digits>-delete. Kafka's "-stray" ones are left alone.
const deleteDirSuffix = "-delete"

// futureDirSuffix ends the names of the directories of future logs: topic-0.<32 hex digits>-future.
const futureDirSuffix = "-future"

// metadataTopic is Kafka's metadata log, which may lie in a directory taken over from it. It is no partition of ours.
const metadataTopic = "__cluster_metadata"

const (
	offsetDigits = 20
	dirPerm      = 0o755
	filePerm     = 0o644
)

// segmentFile is the name of a segment's file: twenty digits and the suffix.
func segmentFile(base model.Offset, suffix string) string {
	b := make([]byte, 0, offsetDigits+len(snapshotSuffix)+len(deletedSuffix))
	var digits [offsetDigits]byte
	n := strconv.AppendInt(digits[:0], int64(base), 10)
	for i := len(n); i < offsetDigits; i++ {
		b = append(b, '0')
	}
	b = append(b, n...)
	return string(append(b, suffix...))
}

// parseSegmentFile splits a name of segmentFile's form.
func parseSegmentFile(name string) (base model.Offset, suffix string, ok bool) {
	if len(name) <= offsetDigits || name[offsetDigits] != '.' {
		return 0, "", false
	}
	for i := range offsetDigits {
		if name[i] < '0' || name[i] > '9' {
			return 0, "", false
		}
	}
	n, err := strconv.ParseInt(name[:offsetDigits], 10, 64)
	if err != nil {
		return 0, "", false
	}
	return model.Offset(n), name[offsetDigits:], true
}

// maxTopicName is Kafka's limit on the length of a topic's name.
const maxTopicName = 249

// parsePartitionDir splits "topic-0". The partition must be written the way String prints it, so that one partition never has
// two directories.
func parsePartitionDir(name string) (tp model.TopicPartition, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 || i > maxTopicName {
		return tp, false
	}
	n, err := strconv.ParseInt(name[i+1:], 10, 32)
	if err != nil || n < 0 {
		return tp, false
	}
	tp = model.TopicPartition{Topic: name[:i], Partition: int32(n)}
	return tp, tp.String() == name
}

// deleteDirName is what a partition's directory is renamed to before its files go. Kafka keeps the whole within 255 bytes by
// cutting the topic's name, and so do we.
func deleteDirName(tp model.TopicPartition, unique model.UUID) string {
	tail := fmt.Sprintf("-%d.%x%s", tp.Partition, unique[:], deleteDirSuffix)
	topic := tp.Topic
	if over := len(topic) + len(tail) - 255; over > 0 {
		topic = topic[:len(topic)-over]
	}
	return topic + tail
}

// futureDirName is what the directory of a future log is called. ok is false when the topic's name leaves no room for it.
func futureDirName(tp model.TopicPartition, unique model.UUID) (name string, ok bool) {
	name = fmt.Sprintf("%s.%x%s", tp, unique[:], futureDirSuffix)
	return name, len(name) <= 255
}

// parseFutureDir splits a name of futureDirName's form.
func parseFutureDir(name string) (tp model.TopicPartition, ok bool) {
	rest, ok := strings.CutSuffix(name, futureDirSuffix)
	i := strings.LastIndexByte(rest, '.')
	if !ok || i < 0 || len(rest)-i-1 != 32 {
		return tp, false
	}
	return parsePartitionDir(rest[:i])
}

// onItsWayOut recognises directories whose deletion was interrupted.
func onItsWayOut(name string) bool {
	return strings.HasSuffix(name, deleteDirSuffix) && strings.Contains(name, ".")
}
