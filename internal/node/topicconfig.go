package node

import (
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/replication"
)

// logConfig is the part of a topic's values that its logs obey.
func logConfig(v *config.TopicValues, producerExpiry time.Duration) commitlog.Config {
	return commitlog.Config{
		Segment: commitlog.SegmentConfig{
			Bytes: v.SegmentBytes, Age: millis(v.SegmentMs), Jitter: millis(v.SegmentJitterMs),
			IndexIntervalBytes: v.IndexIntervalBytes, IndexMaxBytes: v.IndexBytes,
		},
		Retention: commitlog.RetentionConfig{
			Age: millis(v.RetentionMs), Bytes: v.RetentionBytes, Delete: v.CleanupDelete, DeleteDelay: millis(v.FileDeleteDelayMs),
		},
		Compaction: commitlog.CompactionConfig{
			Compact: v.CleanupCompact, TombstoneRetention: millis(v.DeleteRetentionMs),
			MinLag: millis(v.MinCompactionLagMs), MaxLag: millis(v.MaxCompactionLagMs), MinDirtyRatio: v.MinCleanableRatio,
		},
		Flush:           commitlog.FlushConfig{Messages: v.FlushMessages, Interval: millis(v.FlushMs), Durability: durability(v)},
		MaxMessageBytes: v.MaxMessageBytes,
		ProducerExpiry:  producerExpiry,
	}
}

// replicaConfig is the part that the replicas obey.
func replicaConfig(v *config.TopicValues, lag time.Duration) replication.Config {
	codec, level := codecOf(v)
	return replication.Config{
		Rules: batch.Rules{
			MaxBytes: v.MaxMessageBytes, LogAppendTime: v.TimestampLogAppend, BeforeMaxMs: v.TimestampBeforeMaxMs, AfterMaxMs: v.TimestampAfterMaxMs,
			KeyRequired: v.CleanupCompact, Codec: codec, Level: level,
		},
		MinISR:     v.MinInsyncReplicas,
		Durability: durability(v),
		LagTime:    lag,
	}
}

func durability(v *config.TopicValues) commitlog.Durability {
	if v.Durability == "page-cache" {
		return commitlog.PageCache
	}
	return commitlog.Fsync
}

func codecOf(v *config.TopicValues) (codec batch.Codec, level int) {
	switch v.CompressionType {
	case "uncompressed":
		return batch.None, 0
	case "gzip":
		return batch.Gzip, v.GzipLevel
	case "snappy":
		return batch.Snappy, 0
	case "lz4":
		return batch.LZ4, v.LZ4Level
	case "zstd":
		return batch.Zstd, v.ZstdLevel
	}
	return batch.ProducerCodec, 0
}

// millis turns a key's milliseconds into a duration; what does not fit means for ever, and so does a negative number where that is legal.
func millis(ms int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	if ms > most {
		return 1<<63 - 1
	}
	return time.Duration(ms) * time.Millisecond
}
