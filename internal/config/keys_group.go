package config

// groupCoordinatorKeys are about consumer groups and their offsets; those of KIP-848 and KIP-1071 groups come later.
func groupCoordinatorKeys() []Key {
	classic := []Key{
		integer("group.min.session.timeout.ms", "6000", "The shortest session timeout a consumer may ask for."),
		integer("group.max.session.timeout.ms", "1800000", "The longest session timeout a consumer may ask for."),
		integer("group.initial.rebalance.delay.ms", "3000", "How long the first rebalance of an empty group waits for more consumers."),
		integer("group.max.size", "2147483647", "The most members a group may have.").with(atLeast(1)),
		integer("offset.metadata.max.bytes", "4096", "The longest text a client may store with an offset."),
		integer("offsets.commit.timeout.ms", "5000", "How long a commit waits until the offsets topic has it.").with(atLeast(1)),
		integer("offsets.retention.minutes", "10080", "Offsets of a group that is empty, or no longer subscribed, for this long are dropped.").with(atLeast(1)),
		long("offsets.retention.check.interval.ms", "600000", "How often is looked for offsets to drop.").with(atLeast(1)),
		integer("offsets.topic.num.partitions", "50", "Partitions of __consumer_offsets. It must not change once the topic is there.").with(atLeast(1)),
		short("offsets.topic.replication.factor", "3", "Replicas of __consumer_offsets. A cluster with fewer brokers gets as many as it has.").with(atLeast(1)),
		integer("offsets.topic.segment.bytes", "104857600", "segment.bytes of __consumer_offsets.").with(atLeast(1)),
		integer("offsets.topic.compression.codec", "0", "Compression of __consumer_offsets.").ignored("it is written without compression"),
		integer("offsets.load.buffer.size", "5242880", "Bytes read at a time when a partition of it is loaded.").with(atLeast(1)).ignored(ownScheduling),
		integer("group.coordinator.threads", "4", "Threads of the group coordinator.").with(atLeast(1)).ignored(noThreads),
		integer("group.coordinator.background.threads", "2", "Threads of the group coordinator for background work.").with(atLeast(1)).ignored(noThreads),
		integer("group.coordinator.append.linger.ms", "-1", "How long the coordinator gathers records before it writes; -1 adapts.").with(atLeast(-1)).ignored(ownScheduling),
		integer("group.coordinator.cached.buffer.max.bytes", "1048588", "The largest buffer the coordinator keeps for reuse.").
			with(atLeast(512 << 10)).dynamic().ignored(ownScheduling),
		list("group.coordinator.rebalance.protocols", "classic,consumer,streams", "Group protocols that are offered. In this version: classic.").
			with(someOf(true, "consumer", "classic", "share", "streams")).ignored(noNewGroups),
	}
	later := []Key{
		list("group.consumer.assignors", "uniform,range", "Assignors of consumer groups, the default first."),
		text("group.consumer.migration.policy", "bidirectional", "Which groups may change between the two protocols.").
			with(oneOfAnyCase("DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL")),
		integer("group.consumer.regex.refresh.interval.ms", "600000", "How often subscriptions by pattern are looked at again.").with(atLeast(10000)).hidden(),
		integer("group.consumer.max.size", "2147483647", "The most members a consumer group may have.").with(atLeast(1)),
		integer("group.streams.max.size", "2147483647", "The most members a streams group may have.").with(atLeast(1)),
		integer("group.streams.num.standby.replicas", "0", "Standby copies of each task.").with(atLeast(0)),
		integer("group.streams.max.standby.replicas", "2", "The most a group may ask for.").with(atLeast(0)),
		integer("group.streams.initial.rebalance.delay.ms", "3000", "How long the first assignment waits for more members.").with(atLeast(0)),
	}
	later = append(later, memberTimes("consumer")...)
	later = append(later, memberTimes("streams")...)
	for i := range later {
		later[i] = later[i].ignored(noNewGroups)
	}
	return append(classic, later...)
}

// memberTimes are the keys that each of the newer kinds of group has: heartbeats, sessions and assignments, and the bounds for a
// group's own values.
func memberTimes(kind string) []Key {
	prefix := "group." + kind + "."
	return []Key{
		integer(prefix+"heartbeat.interval.ms", "5000", "How often members of a "+kind+" group are to send heartbeats.").with(atLeast(1)),
		integer(prefix+"min.heartbeat.interval.ms", "5000", "The least a group may ask for.").with(atLeast(1)),
		integer(prefix+"max.heartbeat.interval.ms", "15000", "The most a group may ask for.").with(atLeast(1)),
		integer(prefix+"session.timeout.ms", "45000", "A member of a "+kind+" group that is silent for longer is dropped.").with(atLeast(1)),
		integer(prefix+"min.session.timeout.ms", "45000", "The least a group may ask for.").with(atLeast(1)),
		integer(prefix+"max.session.timeout.ms", "60000", "The most a group may ask for.").with(atLeast(1)),
		integer(prefix+"assignment.interval.ms", "1000", "The least time between two assignments of a "+kind+" group.").with(atLeast(0)).dynamic(),
		integer(prefix+"min.assignment.interval.ms", "0", "The least a group may ask for.").with(atLeast(0)),
		integer(prefix+"max.assignment.interval.ms", "15000", "The most a group may ask for.").with(atLeast(0)),
	}
}

// shareCoordinatorKeys are about share groups, which come later.
func shareCoordinatorKeys() []Key {
	keys := append(memberTimes("share"), []Key{
		list("group.share.assignors", "simple", "The assignor of share groups."),
		integer("group.share.delivery.count.limit", "5", "How often a record is tried.").with(between(2, 10)),
		integer("group.share.min.delivery.count.limit", "2", "The least a group may ask for.").with(between(2, 5)),
		integer("group.share.max.delivery.count.limit", "10", "The most a group may ask for.").with(between(5, 25)),
		integer("group.share.partition.max.record.locks", "2000", "Records of a partition a group may hold at once.").with(between(100, 10000)),
		integer("group.share.min.partition.max.record.locks", "100", "The least a group may ask for.").with(between(100, 2000)),
		integer("group.share.max.partition.max.record.locks", "4000", "The most a group may ask for.").with(between(2000, 10000)),
		integer("group.share.record.lock.duration.ms", "30000", "How long a member may hold a record.").with(between(1000, 3600000)),
		integer("group.share.min.record.lock.duration.ms", "15000", "The least a group may ask for.").with(between(1000, 30000)),
		integer("group.share.max.record.lock.duration.ms", "60000", "The most a group may ask for.").with(between(30000, 3600000)),
		integer("group.share.max.share.sessions", "2000", "The most share sessions of a broker.").with(atLeast(1)),
		integer("group.share.max.size", "200", "The most members a share group may have.").with(between(1, 1000)),
		integer("group.share.initialize.retry.interval.ms", "30000", "Pause before a share group's state is initialized again.").with(atLeast(1)).hidden(),
		text("group.share.persister.class.name", "org.apache.kafka.server.share.persister.DefaultStatePersister", "The class that keeps their state.").hidden(),
		integer("share.coordinator.append.linger.ms", "-1", "How long the coordinator gathers records before it writes.").with(atLeast(-1)),
		integer("share.coordinator.cached.buffer.max.bytes", "1048588", "The largest buffer the coordinator keeps for reuse.").with(atLeast(512 << 10)).dynamic(),
		integer("share.coordinator.cold.partition.snapshot.interval.ms", "300000", "How often idle partitions are written whole.").with(atLeast(1)).hidden(),
		integer("share.coordinator.load.buffer.size", "5242880", "Bytes read at a time when a partition is loaded.").with(atLeast(1)),
		integer("share.coordinator.snapshot.update.records.per.snapshot", "500", "Updates between two whole records.").with(between(0, 500)),
		integer("share.coordinator.state.topic.compression.codec", "0", "Compression of __share_group_state."),
		short("share.coordinator.state.topic.min.isr", "2", "Its min.insync.replicas.").with(atLeast(1)),
		integer("share.coordinator.state.topic.num.partitions", "50", "Its partitions.").with(atLeast(1)),
		integer("share.coordinator.state.topic.prune.interval.ms", "300000", "How often old records of it are dropped.").with(atLeast(1)).hidden(),
		short("share.coordinator.state.topic.replication.factor", "3", "Its replicas.").with(atLeast(1)),
		integer("share.coordinator.state.topic.segment.bytes", "104857600", "Its segment.bytes.").with(atLeast(1)),
		integer("share.coordinator.threads", "1", "Threads of the share coordinator.").with(atLeast(1)),
		integer("share.coordinator.write.timeout.ms", "5000", "How long it waits for its writes.").with(atLeast(1)),
		integer("share.fetch.purgatory.purge.interval.requests", "1000", "How often Kafka purges finished share fetches."),
		boolean("errors.deadletterqueue.auto.create.topics.enable", "false", "Create dead letter topics of share groups (Kafka 4.4)."),
		text("errors.deadletterqueue.topic.name.prefix", "dlq.", "What their names begin with (Kafka 4.4)."),
	}...)
	for i := range keys {
		keys[i] = keys[i].ignored(noNewGroups)
	}
	return keys
}
