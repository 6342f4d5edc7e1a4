package group

import "time"

// Config is the part of the broker's configuration that groups obey, named as Kafka's keys.
type Config struct {
	MinSessionTimeout      time.Duration // group.min.session.timeout.ms, 6 s
	MaxSessionTimeout      time.Duration // group.max.session.timeout.ms, 30 min
	InitialRebalanceDelay  time.Duration // group.initial.rebalance.delay.ms, 3 s
	MaxSize                int           // group.max.size, unlimited
	OffsetMetadataMaxBytes int           // offset.metadata.max.bytes, 4096
	OffsetsRetention       time.Duration // offsets.retention.minutes, 7 days
	OffsetsRetentionCheck  time.Duration // offsets.retention.check.interval.ms, 10 min
	LoadWait               time.Duration // how long a request waits for a shard that is loading before COORDINATOR_LOAD_IN_PROGRESS, 1 s
	CommitTimeout          time.Duration // offsets.commit.timeout.ms, 5 s
	OffsetsTopicBatchBytes int           // max.message.bytes of __consumer_offsets, 1 MiB
}

// DefaultConfig holds Kafka's defaults.
func DefaultConfig() Config {
	return Config{
		MinSessionTimeout: 6 * time.Second, MaxSessionTimeout: 30 * time.Minute, InitialRebalanceDelay: 3 * time.Second,
		MaxSize: 1<<31 - 1, OffsetMetadataMaxBytes: 4096, OffsetsRetention: 7 * 24 * time.Hour, OffsetsRetentionCheck: 10 * time.Minute,
		LoadWait: time.Second, CommitTimeout: 5 * time.Second, OffsetsTopicBatchBytes: 1048588,
	}
}
