package config

// nodeKeys say who this node is and where it keeps things.
func nodeKeys() []Key {
	return []Key{
		list("process.roles", "broker,controller", "What the node does. In this version every node is both broker and controller.").
			with(someOf(false, "broker", "controller")),
		integer("node.id", "1", "The node's number in the cluster. It is kept in the data directory and must not change.").with(atLeast(0)),
		integer("broker.id", "-1", "Older name of node.id."),
		text("broker.rack", null, "Where the node stands (rack, zone); replicas are spread over racks, and consumers may read from their own."),
		list("log.dir", "./data", "The data directory, where log.dirs is not set. The command line sets it from --data.").
			with(notEmpty()),
		list("log.dirs", null, "The data directories, comma separated; partitions are spread over them. Without it log.dir counts."),
		list("cordoned.log.dirs", "", "Data directories that get no new partitions; * for all (KIP-1066).").perBroker(),
		text("metadata.log.dir", null, "Where the metadata log lives.").ignored("the metadata log lies in the first data directory"),
		boolean("controlled.shutdown.enable", "true", "Hand leaderships over before stopping."),
		integer("initial.broker.registration.timeout.ms", "60000", "How long a starting broker tries to register with the controller.").ignored(noPeers),
		long("server.max.startup.time.ms", "9223372036854775807", "Give up a start that takes longer.").with(atLeast(0)).hidden().ignored(ownScheduling),
		integer("background.threads", "10", "Size of Kafka's pool for background work.").with(atLeast(1)).dynamic().ignored(noThreads),
		integer("num.io.threads", "8", "Size of Kafka's pool that handles requests.").with(atLeast(1)).dynamic().ignored(noThreads),
		integer("num.network.threads", "3", "Size of Kafka's pool that reads and writes sockets.").with(atLeast(1)).dynamic().ignored(noThreads),
		integer("num.recovery.threads.per.data.dir", "2", "Logs of one data directory that are recovered at the same time after a crash.").
			with(atLeast(1)),
		list("config.providers", "", "Classes that fetch values from elsewhere. Use environment variables instead.").dynamic().
			onlyDefault("values cannot be fetched by Java classes here; put them into the file or the environment", ""),
		boolean("unstable.api.versions.enable", "false", "Offer API versions that are not final.").hidden().ignored(retiredOnRelease),
		boolean("unstable.feature.versions.enable", "false", "Offer feature levels that are not final.").hidden().ignored(retiredOnRelease),
		boolean("auto.create.topics.enable", "true", "Create a topic when a client first asks for it."),
		boolean("delete.topic.enable", "true", "Let clients delete topics."),
		integer("num.partitions", "1", "Partitions of a topic that is created without a number.").with(atLeast(1)),
		integer("default.replication.factor", "1", "Replicas of a topic that is created without a number."),
		class("create.topic.policy.class.name", null, "A class that may forbid topics.").
			onlyDefault("the policy cannot run here, and what it forbids would be let through", ""),
		class("alter.config.policy.class.name", null, "A class that may forbid changes of configuration.").
			onlyDefault("the policy cannot run here, and what it forbids would be let through", ""),
		integer("request.timeout.ms", "30000", "How long the node waits for answers of other nodes.").ignored(noPeers),
	}
}

const retiredOnRelease = "only finished versions are offered"

// listenerKeys say where and how clients connect, and what they may cost.
func listenerKeys() []Key {
	return []Key{
		list("listeners", "PLAINTEXT://127.0.0.1:9092", "Where clients connect: NAME://host:port, comma separated; an empty host is every address. "+
			"By default only this machine: without authentication, whoever reaches a listener owns the data.").
			with(notEmpty()),
		list("advertised.listeners", null, "What clients are told to connect to. Without it each client is answered with the address it dialled, "+
			"which is right nearly always."),
		text("listener.security.protocol.map", "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
			"Which protocol a listener's name stands for. Only PLAINTEXT listeners are possible in this version."),
		text("inter.broker.listener.name", null, "The listener other brokers use.").ignored(noPeers),
		list("controller.listener.names", "CONTROLLER", "Which of the listeners are for traffic between nodes."),
		list("early.start.listeners", null, "Listeners that open before the authorizer is ready.").ignored(noSASL),
		text("security.inter.broker.protocol", plaintext, "How brokers talk to each other.").
			onlyDefault("only PLAINTEXT is possible between nodes in this version", plaintext),
		integer("socket.listen.backlog.size", "50", "Connections the kernel queues before they are accepted.").with(atLeast(1)).ignored(kernelBuffers),
		integer("socket.send.buffer.bytes", "102400", "SO_SNDBUF of client connections.").ignored(kernelBuffers),
		integer("socket.receive.buffer.bytes", "102400", "SO_RCVBUF of client connections.").ignored(kernelBuffers),
		integer("socket.request.max.bytes", "104857600", "The largest Produce request, in bytes. Other requests: klamm.request.max.bytes.").with(atLeast(1)),
		long("socket.connection.setup.timeout.ms", "10000", "How long the node tries to connect to another one.").ignored(noPeers),
		long("socket.connection.setup.timeout.max.ms", "30000", "The longest such time, after repeated failures.").ignored(noPeers),
		integer("max.connections", "10000", "Connections over all listeners; further ones are closed at once. Kafka has no limit by default.").
			with(atLeast(0)),
		integer("max.connections.per.ip", "1000", "Connections from one address. Kafka has no limit by default.").with(atLeast(0)),
		text("max.connections.per.ip.overrides", "", "Other limits for some addresses: host:limit, comma separated.").dynamic().
			ignored("one limit, max.connections.per.ip, counts for every address"),
		integer("max.connection.creation.rate", "500", "New connections per second; more of them wait. Kafka has no limit by default.").
			with(atLeast(0)),
		long("connections.max.idle.ms", "600000", "A connection on which nothing happens is closed after this time."),
		integer("queued.max.requests", "500", "Requests Kafka queues before its readers stop.").with(atLeast(1)).
			ignored("queued.max.request.bytes bounds what waits"),
		long("queued.max.request.bytes", "-1", "Memory that requests and unsent replies may take; no more is read at the bound. -1: 256 MiB."),
		integer("fetch.max.bytes", "57671680", "The most bytes one fetch is answered with.").with(atLeast(1024)),
		integer("max.incremental.fetch.session.cache.slots", "1000", "Fetch sessions that are kept; 0 for none (KIP-227).").with(atLeast(0)),
		integer("max.request.partition.size.limit", "2000", "The most partitions one DescribeTopicPartitions is answered with.").with(atLeast(1)).
			ignored("the bound is 2000"),
		integer("fetch.purgatory.purge.interval.requests", "1000", "How often Kafka purges finished fetches.").ignored(noPurgatory),
		integer("producer.purgatory.purge.interval.requests", "1000", "How often Kafka purges finished produce requests.").ignored(noPurgatory),
		integer("delete.records.purgatory.purge.interval.requests", "1", "How often Kafka purges finished DeleteRecords.").ignored(noPurgatory),
	}
}

// klammKeys are our own.
func klammKeys() []Key {
	return []Key{
		text("log.durability", "fsync", "When acks=all is answered: fsync, after the disk has it; page-cache, after memory has it, as Kafka does. "+
			"Topics may say otherwise.").dynamic().with(oneOf("fsync", "page-cache")),
		text("klamm.http.listen", "127.0.0.1:9094", "Where health, metrics and the admin API are served: host:port.").with(notEmpty()),
		text("klamm.node.listen", "127.0.0.1:9093", "Where other nodes connect: host:port. A node that is alone does without when the port is taken and not asked for.").with(notEmpty()),
		list("klamm.join", "", "Node addresses, host:port, of the cluster this node belongs to. A new node that is in the list founds the cluster "+
			"with the others in it; a new node that is not joins it. A node that belongs to a cluster already goes back to it whatever stands here."),
		integer("klamm.controllers", "3", "How many nodes vote about the metadata; the cluster grows to that many by itself.").with(atLeast(1)),
		integer("klamm.request.max.bytes", "16777216", "The largest request that is not Produce, in bytes.").with(atLeast(1024)),
		integer("klamm.log.sync.interval.ms", "1000", "A log with log.durability=fsync is synced in the background this often, whatever acks its producers use.").
			with(atLeast(1)),
		integer("klamm.log.open.files.max", "4096", "File descriptors of segments that stay open for reuse.").with(atLeast(64)),
		long("klamm.log.scrub.bytes.per.second", "8388608", "Pace of the background check of segments written by earlier runs; 0 for none.").with(atLeast(0)),
		text("klamm.log.level", "info", "The least important messages that are logged.").with(oneOf("debug", "info", "warn", "error")).dynamic(),
		text("klamm.log.format", "auto", "text, json, or auto: text on a terminal and json otherwise.").with(oneOf("auto", "text", "json")),
	}
}
