package config

import "errors"

// logKeys say how partitions are kept on disk.
func logKeys() []Key {
	return []Key{
		integer("log.segment.bytes", "1073741824", "A segment is closed when it reaches this size.").with(atLeast(1 << 20)).dynamic(),
		long("log.roll.ms", null, "A segment is closed when its first record is older than this.").from("log.roll.ms", "log.roll.hours").dynamic(),
		integer("log.roll.hours", "168", "The same in hours; log.roll.ms wins.").from("log.roll.ms", "log.roll.hours").with(atLeast(1)),
		long("log.roll.jitter.ms", null, "Up to this much is taken off log.roll.ms at random, so that segments do not all close together.").
			from("log.roll.jitter.ms", "log.roll.jitter.hours").dynamic(),
		integer("log.roll.jitter.hours", "0", "The same in hours; log.roll.jitter.ms wins.").from("log.roll.jitter.ms", "log.roll.jitter.hours").with(atLeast(0)),
		integer("log.index.size.max.bytes", "10485760", "The largest an offset or time index may become; a full one closes the segment.").
			with(atLeast(4)).dynamic(),
		integer("log.index.interval.bytes", "4096", "Bytes of records between two entries of the index.").with(atLeast(0)).dynamic(),
		boolean("log.preallocate", "false", "Give a new segment its whole size on disk at once.").dynamic().ignored("segments grow as they are written"),
		long("log.retention.ms", null, "Closed segments whose newest record is older go; -1 for never.").
			from("log.retention.ms", "log.retention.minutes", "log.retention.hours").with(retentionTime()).dynamic(),
		integer("log.retention.minutes", null, "The same in minutes; log.retention.ms wins.").
			from("log.retention.ms", "log.retention.minutes", "log.retention.hours").with(retentionTime()),
		integer("log.retention.hours", "168", "The same in hours; log.retention.ms and log.retention.minutes win.").
			from("log.retention.ms", "log.retention.minutes", "log.retention.hours").with(retentionTime()),
		long("log.retention.bytes", "-1", "The oldest closed segments of a partition go while it is larger; -1 for no limit.").dynamic(),
		long("log.retention.check.interval.ms", "300000", "How often is looked for segments to delete.").with(atLeast(1)),
		long("log.segment.delete.delay.ms", "60000", "Files of a deleted segment or topic stay this long under another name.").with(atLeast(0)).dynamic(),
		list("log.cleanup.policy", "delete", "What happens to old records: delete drops old segments, compact keeps the last record of each key, "+
			"both do both, and an empty list keeps everything.").with(someOf(true, "compact", "delete")).dynamic(),
		long("log.flush.interval.messages", "9223372036854775807", "Records after which a log is synced to disk, whatever acks say.").with(atLeast(1)).dynamic(),
		long("log.flush.interval.ms", null, "Time after which a log is synced to disk, whatever acks say.").
			from("log.flush.interval.ms", "log.flush.scheduler.interval.ms").dynamic(),
		long("log.flush.scheduler.interval.ms", "9223372036854775807", "Where log.flush.interval.ms is not set, this is.").
			from("log.flush.interval.ms", "log.flush.scheduler.interval.ms"),
		integer("log.flush.offset.checkpoint.interval.ms", "60000", "How often the recovery point is written down.").with(atLeast(0)).ignored(ownScheduling),
		integer("log.flush.start.offset.checkpoint.interval.ms", "60000", "How often log start offsets are written down.").with(atLeast(0)).
			ignored("a log start offset is written down before anything is deleted"),
		long("log.initial.task.delay.ms", "30000", "How long after the start retention and cleaning wait.").with(atLeast(0)).hidden().ignored(ownScheduling),
		long("log.dir.failure.timeout.ms", "30000", "A broker whose failed data directory the controller has not taken note of stops after this time.").
			with(atLeast(1)).ignored(noPeers),
		integer("num.replica.alter.log.dirs.threads", null, "Threads that move replicas between data directories.").ignored(noThreads),
		integer("producer.id.expiration.ms", "86400000", "State of a producer that has not written for this long is forgotten.").with(atLeast(1)).dynamic(),
		integer("producer.id.expiration.check.interval.ms", "600000", "How often is looked for producers to forget.").with(atLeast(1)).hidden().ignored(ownScheduling),
	}
}

// cleanerKeys say when and how compacted topics are cleaned.
func cleanerKeys() []Key {
	return []Key{
		boolean("log.cleaner.enable", "true", "Clean compacted topics.").ignored("compacted topics are always cleaned"),
		integer("log.cleaner.threads", "1", "Threads that clean.").with(atLeast(0)).dynamic().ignored(noThreads),
		long("log.cleaner.backoff.ms", "15000", "How long the cleaner rests when there is nothing to clean.").with(atLeast(0)).dynamic(),
		long("log.cleaner.dedupe.buffer.size", "134217728", "Memory for the map of keys while cleaning, in bytes.").dynamic(),
		double("log.cleaner.io.buffer.load.factor", "0.9", "How full Kafka's map of keys may become.").dynamic().ignored(ownScheduling),
		integer("log.cleaner.io.buffer.size", "524288", "Read and write buffers of the cleaner, in bytes.").with(atLeast(0)).dynamic().ignored(ownScheduling),
		double("log.cleaner.io.max.bytes.per.second", "1.7976931348623157E308", "The most bytes cleaning reads and writes in a second.").dynamic().ignored(ownScheduling),
		double("log.cleaner.min.cleanable.ratio", "0.5", "A log is cleaned when this part of it is not cleaned yet.").with(fraction(1)).dynamic(),
		long("log.cleaner.min.compaction.lag.ms", "0", "Records younger than this are not compacted away.").with(atLeast(0)).dynamic(),
		long("log.cleaner.max.compaction.lag.ms", "9223372036854775807", "Records older than this are cleaned whatever the ratio says.").with(atLeast(1)).dynamic(),
		long("log.cleaner.delete.retention.ms", "86400000", "Tombstones stay this long, so that consumers see them.").with(atLeast(0)).dynamic(),
	}
}

// topicDefaultKeys are what topics inherit besides the shape of their logs.
func topicDefaultKeys() []Key {
	return []Key{
		integer("message.max.bytes", "1048588", "The largest batch of records, as it is sent (after compression), in bytes.").with(atLeast(0)).dynamic(),
		text("compression.type", "producer", "How batches are kept: as the producer sent them, uncompressed, or with one codec.").with(compressions()).dynamic(),
		integer("compression.gzip.level", "-1", "Level when compression.type is gzip; -1 is the codec's own default.").with(betweenOr(1, 9, -1)).dynamic(),
		integer("compression.lz4.level", "9", "Level when compression.type is lz4.").with(between(1, 17)).dynamic(),
		integer("compression.zstd.level", "3", "Level when compression.type is zstd.").with(between(-131072, 22)).dynamic(),
		text("log.message.timestamp.type", "CreateTime", "Whose clock records carry: the producer's or the broker's.").
			with(oneOf("CreateTime", "LogAppendTime")).dynamic(),
		long("log.message.timestamp.before.max.ms", "9223372036854775807", "Records whose timestamp lies further in the past are refused.").
			with(atLeast(0)).dynamic(),
		long("log.message.timestamp.after.max.ms", "3600000", "Records whose timestamp lies further in the future are refused.").with(atLeast(0)).dynamic(),
		integer("min.insync.replicas", "1", "acks=all needs at least so many replicas in sync.").with(atLeast(1)).dynamic(),
		boolean("unclean.leader.election.enable", "false", "Let a replica lead that may lack acknowledged records, when no other is left.").dynamic(),
		long("unclean.leader.election.interval.ms", "300000", "How often is looked for partitions that need such an election.").with(atLeast(1)).hidden().ignored(noPeers),
	}
}

func compressions() rule { return oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer") }

// retentionTime is what Kafka asks of the three log.retention keys: minus one or more than nothing.
func retentionTime() rule {
	return rule{"[1,...] or -1", func(v string) error {
		if v == "-1" || atLeast(1).check(v) == nil {
			return nil
		}
		return errors.New("it must be unlimited (-1) or, greater than or equal to 1")
	}}
}
