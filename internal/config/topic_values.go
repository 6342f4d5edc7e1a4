package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// TopicValues are a topic's effective values, parsed. The parts are embedded, so that v.RetentionMs is all a reader needs to know.
type TopicValues struct {
	RetentionValues
	SegmentValues
	MessageValues
	CompactionValues
	FlushValues

	MinInsyncReplicas     int
	UncleanLeaderElection bool
	Durability            string // "fsync" or "page-cache"
}

// RetentionValues say when segments go.
type RetentionValues struct {
	CleanupDelete     bool
	RetentionMs       int64 // -1: for ever
	RetentionBytes    int64 // -1: without limit
	FileDeleteDelayMs int64
}

// SegmentValues shape the files.
type SegmentValues struct {
	SegmentBytes               int
	SegmentMs, SegmentJitterMs int64
	IndexBytes                 int
	IndexIntervalBytes         int
	Preallocate                bool
}

// MessageValues say what a batch may be and how it is kept.
type MessageValues struct {
	MaxMessageBytes      int
	CompressionType      string // "producer" or what batches are turned into
	GzipLevel            int    // -1: the codec's own default
	LZ4Level, ZstdLevel  int
	TimestampLogAppend   bool
	TimestampBeforeMaxMs int64
	TimestampAfterMaxMs  int64
}

// CompactionValues are what the cleaner obeys.
type CompactionValues struct {
	CleanupCompact     bool
	DeleteRetentionMs  int64
	MinCompactionLagMs int64
	MaxCompactionLagMs int64
	MinCleanableRatio  float64
}

// FlushValues say when data is synced in the background.
type FlushValues struct {
	FlushMessages, FlushMs int64
}

// topicValues parses what get says about every topic key. Values have been checked before they were stored, so parsing cannot fail.
func topicValues(get func(name string) string) TopicValues {
	long := func(name string) int64 {
		n, _ := strconv.ParseInt(strings.TrimSpace(get(name)), 10, 64)
		return n
	}
	whole := func(name string) int { return int(long(name)) }
	yes := func(name string) bool { return strings.EqualFold(strings.TrimSpace(get(name)), "true") }
	ratio, _ := strconv.ParseFloat(strings.TrimSpace(get("min.cleanable.dirty.ratio")), 64)
	policy := splitList(get("cleanup.policy"))
	return TopicValues{
		RetentionValues: RetentionValues{
			CleanupDelete: slices.Contains(policy, "delete"), RetentionMs: long("retention.ms"),
			RetentionBytes: long("retention.bytes"), FileDeleteDelayMs: long("file.delete.delay.ms"),
		},
		SegmentValues: SegmentValues{
			SegmentBytes: segmentBytes(whole("segment.bytes"), whole("internal.segment.bytes")),
			SegmentMs:    long("segment.ms"), SegmentJitterMs: long("segment.jitter.ms"),
			IndexBytes: whole("segment.index.bytes"), IndexIntervalBytes: whole("index.interval.bytes"), Preallocate: yes("preallocate"),
		},
		MessageValues: MessageValues{
			MaxMessageBytes: whole("max.message.bytes"), CompressionType: strings.TrimSpace(get("compression.type")),
			GzipLevel: whole("compression.gzip.level"), LZ4Level: whole("compression.lz4.level"), ZstdLevel: whole("compression.zstd.level"),
			TimestampLogAppend:   strings.TrimSpace(get("message.timestamp.type")) == "LogAppendTime",
			TimestampBeforeMaxMs: long("message.timestamp.before.max.ms"), TimestampAfterMaxMs: long("message.timestamp.after.max.ms"),
		},
		CompactionValues: CompactionValues{
			CleanupCompact: slices.Contains(policy, "compact"), DeleteRetentionMs: long("delete.retention.ms"),
			MinCompactionLagMs: long("min.compaction.lag.ms"), MaxCompactionLagMs: long("max.compaction.lag.ms"), MinCleanableRatio: ratio,
		},
		FlushValues:       FlushValues{FlushMessages: long("flush.messages"), FlushMs: long("flush.ms")},
		MinInsyncReplicas: whole("min.insync.replicas"), UncleanLeaderElection: yes("unclean.leader.election.enable"),
		Durability: strings.TrimSpace(get("log.durability")),
	}
}

// segmentBytes lets tests make segments smaller than segment.bytes allows, by the key Kafka has for the same purpose.
func segmentBytes(public, internal int) int {
	if internal > 0 {
		return internal
	}
	return public
}

// ValidateTopic checks all values a topic is to have of its own, one by one and against each other.
func ValidateTopic(overrides map[string]string) error {
	for _, name := range sortedNames(overrides) {
		if err := Validate(Topic, name, overrides[name]); err != nil {
			return err
		}
	}
	number := func(name string) (int64, bool) {
		n, err := strconv.ParseInt(strings.TrimSpace(overrides[name]), 10, 64)
		return n, err == nil
	}
	if least, ok := number("min.compaction.lag.ms"); ok {
		if most, ok := number("max.compaction.lag.ms"); ok && most < least {
			return fmt.Errorf("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", least, most)
		}
	}
	return nil
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// CheckDynamic says whether a broker key may change while brokers run: for one broker, or as the default of all. The texts are Kafka's.
func CheckDynamic(name string, defaultOfAll bool) error {
	k, ok := Lookup(Broker, name)
	switch {
	case !ok:
		return &UnknownKeyError{Scope: Broker, Name: name, Nearest: Nearest(Broker, name)}
	case k.Update == ReadOnly:
		return fmt.Errorf("Cannot update these configs dynamically: [%s]", name)
	case k.Update == PerBroker && defaultOfAll:
		return fmt.Errorf("Cannot update these configs at default cluster level, broker id must be specified: [%s]", name)
	}
	return nil
}
