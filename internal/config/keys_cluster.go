package config

// replicationKeys are for several nodes; they are known so that a file made for a cluster loads.
func replicationKeys() []Key {
	return []Key{
		long("replica.lag.time.max.ms", "30000", "A follower that has not caught up for this long leaves the ISR."),
		integer("num.replica.fetchers", "1", "Connections a follower fetches with, per leader.").with(atLeast(1)).dynamic().ignored(noPeers),
		integer("replica.fetch.max.bytes", "1048576", "Bytes of a partition a follower asks for at a time.").with(atLeast(0)),
		integer("replica.fetch.min.bytes", "1", "Bytes a leader waits for before it answers a follower."),
		integer("replica.fetch.wait.max.ms", "500", "How long a leader waits for them."),
		integer("replica.fetch.response.max.bytes", "10485760", "Bytes a follower asks for at a time over all partitions.").with(atLeast(0)),
		integer("replica.fetch.backoff.ms", "1000", "How long a follower rests after a failed fetch.").with(atLeast(0)),
		integer("replica.socket.timeout.ms", "30000", "How long a follower waits for an answer.").ignored(noPeers),
		integer("replica.socket.receive.buffer.bytes", "65536", "SO_RCVBUF of a follower's connections.").ignored(noPeers),
		long("replica.high.watermark.checkpoint.interval.ms", "5000", "How often high watermarks are written down.").ignored(ownScheduling),
		text("replica.selector.class", null, "How the replica is picked that a consumer reads from. With Kafka's class for racks, one in the rack that the "+
			"consumer names by client.rack; otherwise the leader.").with(oneOf("", RackAwareSelector)),
		long("leader.replication.throttled.rate", null, "Bytes per second a leader sends to throttled followers.").dynamic(),
		long("follower.replication.throttled.rate", null, "Bytes per second a throttled follower takes.").dynamic(),
		long("replica.alter.log.dirs.io.max.bytes.per.second", null, "Bytes per second that replicas moving between data directories may take.").
			dynamic(),
		boolean("auto.leader.rebalance.enable", "true", "Give leadership back to preferred replicas from time to time."),
		long("leader.imbalance.check.interval.seconds", "300", "How often that is checked.").with(atLeast(1)),
		integer("replication.quota.window.num", "11", "Samples kept for replication quotas.").with(atLeast(1)).ignored(noQuotas),
		integer("replication.quota.window.size.seconds", "1", "Length of one such sample.").with(atLeast(1)).ignored(noQuotas),
		integer("alter.log.dirs.replication.quota.window.num", "11", "Samples kept for quotas of moves between data directories.").
			with(atLeast(1)).ignored(noQuotas),
		integer("alter.log.dirs.replication.quota.window.size.seconds", "1", "Length of one such sample.").with(atLeast(1)).ignored(noQuotas),
		integer("quota.window.num", "11", "Samples kept for client quotas.").with(atLeast(1)).ignored(noQuotas),
		integer("quota.window.size.seconds", "1", "Length of one such sample.").with(atLeast(1)).ignored(noQuotas),
		integer("controller.quota.window.num", "11", "Samples kept for quotas of changes by clients.").with(atLeast(1)).ignored(noQuotas),
		integer("controller.quota.window.size.seconds", "1", "Length of one such sample.").with(atLeast(1)).ignored(noQuotas),
		class("client.quota.callback.class", null, "A class that decides quotas.").
			onlyDefault("the class cannot run here, and its limits would not hold", ""),
	}
}

// quorumKeys are about the controllers and the metadata log.
func quorumKeys() []Key {
	return []Key{
		list("controller.quorum.voters", "", "The controllers, id@host:port. In this version: nothing, or this node."),
		list("controller.quorum.bootstrap.servers", "", "Controllers to ask for the others, host:port. In this version: nothing, or this node."),
		boolean("controller.quorum.auto.join.enable", "false", "Join the controllers by oneself (KIP-853).").ignored(noPeers),
		integer("controller.quorum.election.timeout.ms", "1000", "Silence of the leading controller before an election.").with(atLeast(0)).ignored(noPeers),
		integer("controller.quorum.election.backoff.max.ms", "1000", "The longest pause between two elections.").with(atLeast(0)).ignored(noPeers),
		integer("controller.quorum.fetch.timeout.ms", "2000", "Failing to fetch for so long also leads to an election.").with(atLeast(0)).ignored(noPeers),
		integer("controller.quorum.fetch.max.bytes", "1048576", "Bytes of the metadata log fetched at a time.").with(atLeast(1)).ignored(noPeers),
		integer("controller.quorum.fetch.snapshot.max.bytes", "1048576", "Bytes of a metadata snapshot fetched at a time.").with(atLeast(1)).ignored(noPeers),
		integer("controller.quorum.append.linger.ms", "25", "How long the leading controller gathers records before it writes.").with(atLeast(0)).
			ignored("a change is written at once, with what else has come in meanwhile"),
		integer("controller.quorum.request.timeout.ms", "2000", "How long a controller waits for an answer of another.").with(atLeast(0)).ignored(noPeers),
		integer("controller.quorum.retry.backoff.ms", "20", "How long it rests after a failure.").with(atLeast(0)).ignored(noPeers),
		integer("controller.socket.timeout.ms", "30000", "How long a controller waits for an answer of a broker.").ignored(noPeers),
		long("controller.performance.sample.period.ms", "60000", "How often Kafka logs how fast its controller is.").with(atLeast(100)).hidden().ignored(noJVM),
		long("controller.performance.always.log.threshold.ms", "2000", "Kafka logs controller events that take longer.").with(atLeast(0)).hidden().ignored(noJVM),
		integer("broker.heartbeat.interval.ms", "2000", "How often a broker tells the controller that it lives.").with(atLeast(1)),
		integer("broker.session.timeout.ms", "9000", "A broker that is silent for longer is fenced."),
		long("metadata.log.max.record.bytes.between.snapshots", "20971520", "Bytes of metadata records after which a snapshot is taken.").with(atLeast(1)).ignored(ownScheduling),
		long("metadata.log.max.snapshot.interval.ms", "3600000", "A snapshot is taken at the latest after this time; 0 for never by time.").with(atLeast(0)).
			ignored("snapshots are taken by size alone"),
		integer("metadata.log.segment.bytes", "1073741824", "Size at which a segment of the metadata log is closed.").with(atLeast(8 << 20)).ignored(ownScheduling),
		integer("internal.metadata.log.segment.bytes", null, "The same without its lower bound.").hidden().ignored(ownScheduling),
		long("metadata.log.segment.ms", "604800000", "Age at which it is closed.").ignored(ownScheduling),
		long("metadata.max.retention.bytes", "104857600", "Snapshots and segments of the metadata log kept, in bytes.").ignored(ownScheduling),
		long("metadata.max.retention.ms", "604800000", "And by age.").ignored(ownScheduling),
		integer("metadata.max.idle.interval.ms", "500", "An idle controller writes a record this often to show that it lives.").with(atLeast(0)).ignored(noPeers),
		integer("internal.metadata.max.batch.size.in.bytes", "8388608", "The largest batch of metadata records.").hidden().ignored(ownScheduling),
		long("internal.metadata.delete.delay.millis", "60000", "How long deleted metadata files stay.").hidden().ignored(ownScheduling),
	}
}

// transactionKeys are about transactions, which come later.
func transactionKeys() []Key {
	return []Key{
		integer("transaction.max.timeout.ms", "900000", "The longest timeout a transaction may ask for.").with(atLeast(1)).ignored(noTxn),
		integer("transactional.id.expiration.ms", "604800000", "A transactional id that is not used for this long is forgotten.").with(atLeast(1)).ignored(noTxn),
		integer("transaction.state.log.num.partitions", "50", "Partitions of the transaction log.").with(atLeast(1)).ignored(noTxn),
		short("transaction.state.log.replication.factor", "3", "Its replicas.").with(atLeast(1)).ignored(noTxn),
		integer("transaction.state.log.min.isr", "2", "Its min.insync.replicas.").with(atLeast(1)).ignored(noTxn),
		integer("transaction.state.log.segment.bytes", "104857600", "Its segment.bytes.").with(atLeast(1)).ignored(noTxn),
		integer("transaction.state.log.load.buffer.size", "5242880", "Bytes read at a time when it is loaded.").with(atLeast(1)).ignored(noTxn),
		integer("transaction.abort.timed.out.transaction.cleanup.interval.ms", "10000", "How often is looked for transactions to abort.").
			with(atLeast(1)).ignored(noTxn),
		integer("transaction.remove.expired.transaction.cleanup.interval.ms", "3600000", "How often is looked for ids to forget.").
			with(atLeast(1)).ignored(noTxn),
		boolean("transaction.partition.verification.enable", "true", "Check that a partition belongs to a transaction before writing (KIP-890).").dynamic().ignored(noTxn),
		boolean("transaction.two.phase.commit.enable", "false", "Let an outer coordinator decide (KIP-939).").ignored(noTxn),
		integer("add.partitions.to.txn.retry.backoff.ms", "20", "Pause before a partition is added to a transaction again.").with(atLeast(1)).ignored(noTxn),
		integer("add.partitions.to.txn.retry.backoff.max.ms", "100", "The longest such pause.").with(atLeast(0)).ignored(noTxn),
	}
}

// metricsKeys are about Kafka's metrics; ours are at /metrics of klamm.http.listen.
func metricsKeys() []Key {
	const own = "metrics are served by HTTP, see klamm.http.listen"
	return []Key{
		list("metric.reporters", "org.apache.kafka.common.metrics.JmxReporter", "Classes that report metrics.").dynamic().ignored(own),
		integer("metrics.num.samples", "2", "Samples a metric is computed from.").with(atLeast(1)).ignored(own),
		text("metrics.recording.level", "INFO", "How detailed metrics are.").ignored(own),
		long("metrics.sample.window.ms", "30000", "Length of one such sample.").with(atLeast(1)).ignored(own),
		list("kafka.metrics.reporters", "", "Classes that report Yammer metrics.").ignored(own),
		integer("kafka.metrics.polling.interval.secs", "10", "How often they report.").with(atLeast(1)).ignored(own),
		integer("telemetry.max.bytes", "1048576", "The largest report of a client's metrics (KIP-714).").with(atLeast(1)).ignored(noTelemetry),
	}
}

// remoteKeys are about tiered storage, which comes later.
func remoteKeys() []Key {
	keys := []Key{
		boolean("remote.log.storage.system.enable", "false", "Switch tiered storage on.").with(notYet("tiered storage")),
		long("log.local.retention.bytes", "-2", "Of tiered topics, what stays on the broker's disk; -2 is log.retention.bytes.").with(atLeast(-2)).dynamic(),
		long("log.local.retention.ms", "-2", "Of tiered topics, how long segments stay on the broker's disk; -2 is log.retention.ms.").with(atLeast(-2)).dynamic(),
		long("log.remote.copy.lag.ms", "0", "Of tiered topics, how old a closed segment becomes before it is copied (Kafka 4.4).").with(atLeast(-1)).dynamic(),
		long("log.remote.copy.lag.bytes", "-1", "Or how many bytes lie behind it (Kafka 4.4).").with(atLeast(-1)).dynamic(),
		boolean("follower.fetch.last.tiered.offset.enable", "false", "An empty follower starts behind what is tiered.").dynamic(),
		integer("remote.fetch.max.wait.ms", "500", "How long a fetch waits for tiered data.").with(atLeast(1)).dynamic(),
		long("remote.list.offsets.request.timeout.ms", "30000", "How long ListOffsets waits for tiered data.").with(atLeast(1)).dynamic(),
		long("remote.log.index.file.cache.total.size.bytes", "1073741824", "Disk for indexes of tiered segments.").with(atLeast(1)).dynamic(),
		long("remote.log.index.file.cache.ttl.ms", "900000", "How long such an index stays unused.").with(atLeast(-1)).hidden(),
		integer("remote.log.manager.thread.pool.size", "2", "Threads of the remote log manager.").with(atLeast(1)),
		integer("remote.log.manager.copier.thread.pool.size", "10", "Threads that copy.").with(atLeast(1)).dynamic(),
		integer("remote.log.manager.expiration.thread.pool.size", "10", "Threads that expire.").with(atLeast(1)).dynamic(),
		integer("remote.log.manager.follower.thread.pool.size", "2", "Threads of followers.").with(atLeast(1)).dynamic(),
		long("remote.log.manager.copy.max.bytes.per.second", "9223372036854775807", "Bytes copied per second.").with(atLeast(1)).dynamic(),
		integer("remote.log.manager.copy.quota.window.num", "11", "Samples kept for that.").with(atLeast(1)),
		integer("remote.log.manager.copy.quota.window.size.seconds", "1", "Length of one such sample.").with(atLeast(1)),
		long("remote.log.manager.fetch.max.bytes.per.second", "9223372036854775807", "Bytes fetched per second.").with(atLeast(1)).dynamic(),
		integer("remote.log.manager.fetch.quota.window.num", "11", "Samples kept for that.").with(atLeast(1)),
		integer("remote.log.manager.fetch.quota.window.size.seconds", "1", "Length of one such sample.").with(atLeast(1)),
		long("remote.log.manager.task.interval.ms", "30000", "How often is looked for segments to copy.").with(atLeast(1)),
		long("remote.log.manager.task.retry.backoff.ms", "500", "Pause after a failure.").with(atLeast(1)).hidden(),
		long("remote.log.manager.task.retry.backoff.max.ms", "30000", "The longest such pause.").with(atLeast(1)).hidden(),
		double("remote.log.manager.task.retry.jitter", "0.2", "Randomness of such pauses.").with(fraction(0.5)).hidden(),
		integer("remote.log.metadata.custom.metadata.max.bytes", "128", "The largest custom metadata of a segment.").with(atLeast(0)),
		text("remote.log.metadata.manager.class.name",
			"org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", "The class that keeps track of segments.").with(notEmpty()),
		text("remote.log.metadata.manager.class.path", null, "Where that class is."),
		text("remote.log.metadata.manager.impl.prefix", "rlmm.config.", "Prefix of that class's keys.").with(notEmpty()),
		text("remote.log.metadata.manager.listener.name", null, "The listener that class uses.").with(notEmpty()),
		integer("remote.log.reader.max.pending.tasks", "100", "Reads of tiered data that may wait.").with(atLeast(1)),
		integer("remote.log.reader.threads", "10", "Threads that read tiered data.").with(atLeast(1)).dynamic(),
		text("remote.log.storage.manager.class.name", null, "The class that stores segments.").with(notEmpty()),
		text("remote.log.storage.manager.class.path", null, "Where that class is."),
		text("remote.log.storage.manager.impl.prefix", "rsm.config.", "Prefix of that class's keys.").with(notEmpty()),
	}
	for i := range keys[1:] {
		keys[i+1] = keys[i+1].ignored(noTiering)
	}
	return keys
}

// retiredKeys stood in files of Kafka 3 and before. Kafka 4 warns about them too; a key that is merely unknown is an error here.
func retiredKeys() []Key {
	names := []string{
		"zookeeper.connect", "zookeeper.connection.timeout.ms", "zookeeper.session.timeout.ms", "zookeeper.max.in.flight.requests",
		"zookeeper.set.acl", "zookeeper.ssl.client.enable", "zookeeper.clientCnxnSocket", "zookeeper.metadata.migration.enable",
		"broker.id.generation.enable", "reserved.broker.max.id", "inter.broker.protocol.version", "log.message.format.version",
		"log.message.downconversion.enable", "log.message.timestamp.difference.max.ms", "control.plane.listener.name",
		"controlled.shutdown.max.retries", "controlled.shutdown.retry.backoff.ms", "controller.quota.window.size", "host.name", "port",
		"advertised.host.name", "advertised.port", "leader.imbalance.per.broker.percentage", "offsets.commit.required.acks",
		"log.segment.ms", "password.encoder.secret", "password.encoder.old.secret", "password.encoder.iterations",
		"password.encoder.key.length", "password.encoder.cipher.algorithm", "password.encoder.keyfactory.algorithm",
		"delegation.token.master.key", "group.consumer.migration.enable", "group.coordinator.new.enable", "auto.include.jmx.reporter",
		"eligible.leader.replicas.enable", "group.share.enable", "super.users", "allow.everyone.if.no.acl.found",
	}
	keys := make([]Key, 0, len(names))
	for _, name := range names {
		k := text(name, null, "Not a key of Kafka 4 any more; accepted so that older files load.").ignored(retired).hidden()
		switch name {
		case "super.users", "allow.everyone.if.no.acl.found":
			k = text(name, null, "A key of Kafka's authorizer, which this version does not have.").
				ignored("there is no authorizer, everybody who can connect may do everything").hidden()
		case "port", "host.name", "advertised.host.name", "advertised.port":
			k = k.onlyDefault("it has been gone since Kafka 3.0; write listeners=PLAINTEXT://host:port (and advertised.listeners) instead", "")
		}
		keys = append(keys, k)
	}
	return keys
}

// RackAwareSelector is what replica.selector.class may be (KIP-392): Kafka's own class, which is built in here.
const RackAwareSelector = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
