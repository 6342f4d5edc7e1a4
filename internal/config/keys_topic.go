package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// topicKeys may be set per topic; those without a value of their own take their broker key's.
func topicKeys() []Key {
	return []Key{
		list("cleanup.policy", "delete", "What happens to old records: delete drops old segments, compact keeps the last record of each key, "+
			"both do both, and an empty list keeps everything.").from("log.cleanup.policy").with(someOf(true, "compact", "delete")),
		text("compression.type", "producer", "How batches are kept: as the producer sent them, uncompressed, or with one codec.").
			from("compression.type").with(compressions()),
		integer("compression.gzip.level", "-1", "Level when compression.type is gzip; -1 is the codec's own default.").
			from("compression.gzip.level").with(betweenOr(1, 9, -1)),
		integer("compression.lz4.level", "9", "Level when compression.type is lz4.").from("compression.lz4.level").with(between(1, 17)),
		integer("compression.zstd.level", "3", "Level when compression.type is zstd.").from("compression.zstd.level").with(between(-131072, 22)),
		long("delete.retention.ms", "86400000", "Tombstones of a compacted topic stay this long, so that consumers see them.").
			from("log.cleaner.delete.retention.ms").with(atLeast(0)),
		long("file.delete.delay.ms", "60000", "Files of a deleted segment stay this long under another name.").from("log.segment.delete.delay.ms").with(atLeast(0)),
		long("flush.messages", "9223372036854775807", "Records after which the log is synced to disk, whatever acks say.").
			from("log.flush.interval.messages").with(atLeast(1)),
		long("flush.ms", "9223372036854775807", "Time after which the log is synced to disk, whatever acks say.").
			from("log.flush.interval.ms", "log.flush.scheduler.interval.ms").with(atLeast(0)),
		list("follower.replication.throttled.replicas", "", "Replicas whose followers are slowed down while partitions move: partition:broker pairs, or *.").
			with(throttledReplicas()),
		integer("index.interval.bytes", "4096", "Bytes of records between two entries of the index.").from("log.index.interval.bytes").with(atLeast(0)),
		integer("internal.segment.bytes", null, "segment.bytes without its lower bound, for tests.").hidden(),
		list("leader.replication.throttled.replicas", "", "Replicas whose leaders are slowed down while partitions move: partition:broker pairs, or *.").
			with(throttledReplicas()),
		long("local.retention.bytes", "-2", "Of a tiered topic, what stays on the broker's disk; -2 is retention.bytes.").
			from("log.local.retention.bytes").with(atLeast(-2)),
		long("local.retention.ms", "-2", "Of a tiered topic, how long segments stay on the broker's disk; -2 is retention.ms.").
			from("log.local.retention.ms").with(atLeast(-2)),
		text("log.durability", "fsync", "When acks=all is answered: fsync, after the disk has it (it survives a power cut); page-cache, after memory has it, "+
			"as Kafka does (it survives the end of the process, not of the machine).").from("log.durability").with(oneOf("fsync", "page-cache")),
		long("max.compaction.lag.ms", "9223372036854775807", "Records older than this are cleaned whatever min.cleanable.dirty.ratio says.").
			from("log.cleaner.max.compaction.lag.ms").with(atLeast(1)),
		integer("max.message.bytes", "1048588", "The largest batch of records, as it is sent (after compression), in bytes.").
			from("message.max.bytes").with(atLeast(0)),
		long("message.timestamp.after.max.ms", "3600000", "Records whose timestamp lies further in the future are refused.").
			from("log.message.timestamp.after.max.ms").with(atLeast(0)),
		long("message.timestamp.before.max.ms", "9223372036854775807", "Records whose timestamp lies further in the past are refused.").
			from("log.message.timestamp.before.max.ms").with(atLeast(0)),
		text("message.timestamp.type", "CreateTime", "Whose clock records carry: the producer's or the broker's.").
			from("log.message.timestamp.type").with(oneOf("CreateTime", "LogAppendTime")),
		double("min.cleanable.dirty.ratio", "0.5", "A compacted log is cleaned when this part of it is not cleaned yet.").
			from("log.cleaner.min.cleanable.ratio").with(fraction(1)),
		long("min.compaction.lag.ms", "0", "Records younger than this are not compacted away.").from("log.cleaner.min.compaction.lag.ms").with(atLeast(0)),
		integer("min.insync.replicas", "1", "acks=all needs at least so many replicas in sync.").from("min.insync.replicas").with(atLeast(1)),
		boolean("preallocate", "false", "Nothing: segments grow as they are written.").from("log.preallocate"),
		boolean("errors.deadletterqueue.group.enable", "false", "The topic may receive what share groups give up on (Kafka 4.4)."),
		boolean("message.downconversion.enable", "true", "Nothing: records are never converted for old consumers. Kept so that old topic definitions load.").hidden(),
		long("remote.copy.lag.bytes", "-1", "Of a tiered topic, bytes that lie behind a closed segment before it is copied (Kafka 4.4).").
			from("log.remote.copy.lag.bytes").with(atLeast(-1)),
		long("remote.copy.lag.ms", "0", "Or how old it becomes (Kafka 4.4).").from("log.remote.copy.lag.ms").with(atLeast(-1)),
		boolean("remote.log.copy.disable", "false", "Of a tiered topic: copy nothing more."),
		boolean("remote.log.delete.on.disable", "false", "Of a tiered topic: delete the copies when tiering is switched off."),
		boolean("remote.storage.enable", "false", "Tier the topic. Not possible in this version.").with(notYet("tiered storage")),
		long("retention.bytes", "-1", "The oldest closed segments of a partition go while it is larger; -1 for no limit.").from("log.retention.bytes"),
		long("retention.ms", "604800000", "Closed segments whose newest record is older go; -1 for never.").
			from("log.retention.ms", "log.retention.minutes", "log.retention.hours").with(atLeast(-1)),
		integer("segment.bytes", "1073741824", "A segment is closed when it reaches this size.").from("log.segment.bytes").with(atLeast(1 << 20)),
		integer("segment.index.bytes", "10485760", "The largest an offset or time index may become; a full one closes the segment.").
			from("log.index.size.max.bytes").with(atLeast(4)),
		long("segment.jitter.ms", "0", "Up to this much is taken off segment.ms at random.").from("log.roll.jitter.ms", "log.roll.jitter.hours").with(atLeast(0)),
		long("segment.ms", "604800000", "A segment is closed when its first record is older than this.").from("log.roll.ms", "log.roll.hours").with(atLeast(1)),
		boolean("unclean.leader.election.enable", "false", "Let a replica lead that may lack acknowledged records, when no other is left.").
			from("unclean.leader.election.enable"),
	}
}

// notYet refuses true for something that is not there.
func notYet(what string) rule {
	return rule{"false in this version", func(v string) error {
		if strings.EqualFold(v, "true") {
			return fmt.Errorf("%s is not possible in this version", what)
		}
		return nil
	}}
}

// throttledReplicas reads partition:broker pairs, or * for all.
func throttledReplicas() rule {
	return rule{"[partitionId]:[brokerId],[partitionId]:[brokerId],...", func(v string) error {
		items := splitList(v)
		if len(items) == 1 && (items[0] == "*" || items[0] == "none") {
			return nil
		}
		for _, item := range items {
			partition, broker, ok := strings.Cut(item, ":")
			_, err1 := strconv.ParseUint(partition, 10, 31)
			_, err2 := strconv.ParseUint(broker, 10, 31)
			if !ok || err1 != nil || err2 != nil {
				return errors.New("it must be the literal '*' or a list of replicas in the following format: " +
					"[partitionId]:[brokerId],[partitionId]:[brokerId],...")
			}
		}
		return nil
	}}
}

// groupKeys may be set per group (KIP-848, KIP-932, KIP-1071); those without a value of their own take their broker key's.
func groupKeys() []Key {
	return []Key{
		integer("consumer.assignment.interval.ms", "1000", "The least time between two assignments of a consumer group.").
			from("group.consumer.assignment.interval.ms").with(atLeast(0)),
		integer("consumer.heartbeat.interval.ms", "5000", "How often members of a consumer group are to send heartbeats.").
			from("group.consumer.heartbeat.interval.ms").with(atLeast(1)),
		integer("consumer.session.timeout.ms", "45000", "A member of a consumer group that is silent for longer is dropped.").
			from("group.consumer.session.timeout.ms").with(atLeast(1)),
		boolean("errors.deadletterqueue.copy.record.enable", "false", "Copy what a share group gives up on whole (Kafka 4.4)."),
		text("errors.deadletterqueue.topic.name", "", "Where it goes; empty for nowhere (Kafka 4.4)."),
		integer("share.assignment.interval.ms", "1000", "The least time between two assignments of a share group.").
			from("group.share.assignment.interval.ms").with(atLeast(0)),
		text("share.auto.offset.reset", "latest", "Where a share group starts: latest, earliest, or by_duration: and an ISO 8601 duration."),
		integer("share.delivery.count.limit", "5", "How often a record is tried in a share group.").from("group.share.delivery.count.limit").with(atLeast(2)),
		integer("share.heartbeat.interval.ms", "5000", "How often members of a share group are to send heartbeats.").
			from("group.share.heartbeat.interval.ms").with(atLeast(1)),
		text("share.isolation.level", "read_uncommitted", "Whether a share group sees records of open and aborted transactions.").
			with(oneOf("read_committed", "read_uncommitted")),
		integer("share.partition.max.record.locks", "2000", "Records of a partition a share group may hold at once.").
			from("group.share.partition.max.record.locks").with(atLeast(100)),
		integer("share.record.lock.duration.ms", "30000", "How long a member of a share group may hold a record.").
			from("group.share.record.lock.duration.ms").with(atLeast(1000)),
		boolean("share.renew.acknowledge.enable", "true", "Whether members of a share group may renew their hold on a record."),
		integer("share.session.timeout.ms", "45000", "A member of a share group that is silent for longer is dropped.").
			from("group.share.session.timeout.ms").with(atLeast(1)),
		integer("streams.assignment.interval.ms", "1000", "The least time between two assignments of a streams group.").
			from("group.streams.assignment.interval.ms").with(atLeast(0)),
		integer("streams.heartbeat.interval.ms", "5000", "How often members of a streams group are to send heartbeats.").
			from("group.streams.heartbeat.interval.ms").with(atLeast(1)),
		integer("streams.initial.rebalance.delay.ms", "3000", "How long the first assignment of a streams group waits for more members.").
			from("group.streams.initial.rebalance.delay.ms").with(atLeast(0)),
		integer("streams.num.standby.replicas", "0", "Standby copies of each task of a streams group.").from("group.streams.num.standby.replicas").with(atLeast(0)),
		integer("streams.session.timeout.ms", "45000", "A member of a streams group that is silent for longer is dropped.").
			from("group.streams.session.timeout.ms").with(atLeast(1)),
	}
}
