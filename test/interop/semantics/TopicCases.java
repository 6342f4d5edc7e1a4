import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;

/** The life of a topic, and every way to ask for it wrongly. */
final class TopicCases {
    private final Asked a;

    TopicCases(Asked a) { this.a = a; }

    void run() {
        create();
        refused();
        describe();
        partitions();
        delete();
    }

    private String create(NewTopic t, boolean validateOnly) throws Exception {
        CreateTopicsResult r = a.admin.createTopics(List.of(t), new CreateTopicsOptions().validateOnly(validateOnly));
        Asked.get(r.all());
        Map<String, String> set = new TreeMap<>();
        // Kafka with eligible leader replicas sets min.insync.replicas for all brokers; config.topic.min.insync.replicas shows that once.
        Asked.get(r.config(t.name())).entries().stream().filter(e -> !e.isDefault() && !e.name().equals("min.insync.replicas")).forEach(e -> set.put(e.name(), e.value() + "/" + e.source()));
        boolean id = !Asked.get(r.topicId(t.name())).equals(Uuid.ZERO_UUID);
        return "partitions=" + Asked.get(r.numPartitions(t.name())) + " replication=" + Asked.get(r.replicationFactor(t.name())) + " id=" + id + " configs=" + set;
    }

    private static NewTopic topic(String name, int partitions) { return new NewTopic(name, Optional.of(partitions), Optional.empty()); }

    private static NewTopic assigned(String name, Map<Integer, List<Integer>> replicas) { return new NewTopic(name, replicas); }

    private void create() {
        a.say("topic.create", () -> create(topic("t.one", 3), false));
        a.say("topic.create.defaults", () -> create(new NewTopic("t.defaults", Optional.empty(), Optional.empty()), false));
        a.say("topic.create.configs", () -> create(topic("t.configs", 1).configs(Map.of("retention.ms", "1000", "cleanup.policy", "compact,delete", "max.message.bytes", "5000")), false));
        a.say("topic.create.validate-only", () -> create(topic("t.validated", 2), true));
        a.say("topic.create.validate-only.absent", () -> Asked.get(a.admin.listTopics().names()).contains("t.validated"));
        a.say("topic.create.assigned", () -> create(assigned("t.assigned", Map.of(0, List.of(a.node), 1, List.of(a.node))), false));
        a.say("topic.create.empty-cleanup-policy", () -> create(topic("t.keep", 1).configs(Map.of("cleanup.policy", "")), false));
        a.say("topic.create.null-config", () -> {
            Map<String, String> config = new HashMap<>();
            config.put("retention.ms", null);
            return create(topic("t.null", 1).configs(config), false);
        });
        a.say("topic.create.longest-name", () -> create(topic("n".repeat(249), 1), false));
        a.say("topic.create.two-one-bad", () -> {
            CreateTopicsResult r = a.admin.createTopics(List.of(topic("t.good", 1), topic("t.bad2", 0)));
            String bad;
            try {
                bad = "" + Asked.get(r.values().get("t.bad2"));
            } catch (Exception e) {
                bad = Asked.failure(e);
            }
            Asked.get(r.values().get("t.good"));
            return "good created, bad: " + bad;
        });
    }

    private void refused(String name, NewTopic t) {
        a.say("topic.create." + name, () -> create(t, false));
        // One that was not refused after all shall not be in the way of the next.
        a.drop("t.bad");
    }

    private void refused() {
        refused("exists", topic("t.one", 3));
        a.say("topic.create.validate-only.exists", () -> create(topic("t.one", 3), true));
        refused("name-empty", topic("", 1));
        refused("name-dot", topic(".", 1));
        refused("name-dots", topic("..", 1));
        refused("name-slash", topic("a/b", 1));
        refused("name-blank", topic("a b", 1));
        refused("name-too-long", topic("n".repeat(250), 1));
        refused("name-collides", topic("t_one", 1));
        refused("partitions-zero", topic("t.bad", 0));
        refused("partitions-negative", topic("t.bad", -2));
        refused("replication-zero", new NewTopic("t.bad", Optional.of(1), Optional.of((short) 0)));
        refused("replication-two", new NewTopic("t.bad", Optional.of(1), Optional.of((short) 2)));
        refused("replication-negative", new NewTopic("t.bad", Optional.of(1), Optional.of((short) -2)));
        refused("assigned-unknown-broker", assigned("t.bad", Map.of(0, List.of(99))));
        refused("assigned-twice", assigned("t.bad", Map.of(0, List.of(a.node, a.node))));
        refused("assigned-none", assigned("t.bad", Map.of(0, List.of())));
        refused("assigned-gap", assigned("t.bad", Map.of(0, List.of(a.node), 2, List.of(a.node))));
        refused("assigned-different-factors", assigned("t.bad", Map.of(0, List.of(a.node), 1, List.of(a.node, 99))));
        Map<String, String> bad = new TreeMap<>();
        bad.put("retention.ms", "oops");
        bad.put("retention.bytes", "-2");
        bad.put("segment.bytes", "10");
        bad.put("segment.ms", "0");
        bad.put("segment.jitter.ms", "-1");
        bad.put("cleanup.policy", "shred");
        bad.put("compression.type", "brotli");
        bad.put("compression.gzip.level", "10");
        bad.put("compression.lz4.level", "0");
        bad.put("compression.zstd.level", "99");
        bad.put("min.insync.replicas", "0");
        bad.put("max.message.bytes", "-1");
        bad.put("message.timestamp.type", "Never");
        bad.put("message.timestamp.after.max.ms", "-1");
        bad.put("message.timestamp.before.max.ms", "-1");
        bad.put("min.cleanable.dirty.ratio", "2");
        bad.put("min.compaction.lag.ms", "-1");
        bad.put("max.compaction.lag.ms", "0");
        bad.put("delete.retention.ms", "-1");
        bad.put("flush.messages", "0");
        bad.put("flush.ms", "-1");
        bad.put("file.delete.delay.ms", "-1");
        bad.put("index.interval.bytes", "-1");
        bad.put("segment.index.bytes", "3");
        bad.put("preallocate", "perhaps");
        bad.put("unclean.leader.election.enable", "maybe");
        bad.put("leader.replication.throttled.replicas", "0:1:2");
        bad.put("local.retention.ms", "-3");
        bad.put("remote.storage.enable", "true");
        bad.put("message.format.version", "2.0");
        bad.put("no.such.config", "1");
        bad.put("log.retention.ms", "1");
        bad.forEach((k, v) -> refused("config." + k, topic("t.bad", 1).configs(Map.of(k, v))));
        refused("compaction-lags-crossed", topic("t.bad", 1).configs(Map.of("min.compaction.lag.ms", "2000", "max.compaction.lag.ms", "1000")));
    }

    private static String shown(TopicDescription d) {
        StringBuilder s = new StringBuilder("internal=" + d.isInternal() + " id=" + !d.topicId().equals(Uuid.ZERO_UUID) + " operations=" + d.authorizedOperations());
        for (TopicPartitionInfo p : d.partitions()) {
            s.append(" ").append(p.partition()).append(":leader=").append(p.leader() != null && p.replicas().stream().anyMatch(r -> r.id() == p.leader().id())).append(",replicas=").append(p.replicas().size())
                .append(",isr=").append(p.isr().size()).append(",elr=").append(p.elr().size()).append(",last=").append(p.lastKnownElr().size());
        }
        return s.toString();
    }

    private void describe() {
        a.say("topic.describe", () -> shown(Asked.get(a.admin.describeTopics(List.of("t.one")).allTopicNames()).get("t.one")));
        a.say("topic.describe.unknown", () -> Asked.get(a.admin.describeTopics(List.of("t.unknown")).allTopicNames()));
        a.say("topic.describe.invalid", () -> Asked.get(a.admin.describeTopics(List.of("t/unknown")).allTopicNames()));
        a.say("topic.describe.empty-name", () -> Asked.get(a.admin.describeTopics(List.of("")).allTopicNames()));
        a.say("topic.describe.by-id", () -> {
            Uuid id = Asked.get(a.admin.describeTopics(List.of("t.one")).allTopicNames()).get("t.one").topicId();
            return Asked.get(a.admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds()).get(id).name();
        });
        a.say("topic.describe.by-unknown-id", () -> Asked.get(a.admin.describeTopics(TopicCollection.ofTopicIds(List.of(new Uuid(7, 7)))).allTopicIds()));
        a.say("topic.list", () -> new TreeSet<>(Asked.get(a.admin.listTopics().names())));
        a.say("topic.list.internal", () -> Asked.get(a.admin.listTopics(new ListTopicsOptions().listInternal(true)).listings()).stream().filter(t -> t.isInternal()).map(t -> t.name()).toList());
    }

    private String grow(String topic, NewPartitions p, boolean validateOnly) throws Exception {
        Asked.get(a.admin.createPartitions(Map.of(topic, p), new CreatePartitionsOptions().validateOnly(validateOnly)).all());
        return "";
    }

    private void partitions() {
        a.say("partitions.grow.validate-only", () -> grow("t.one", NewPartitions.increaseTo(9), true));
        a.say("partitions.grow", () -> grow("t.one", NewPartitions.increaseTo(5), false));
        a.say("partitions.grow.assigned", () -> grow("t.one", NewPartitions.increaseTo(6, List.of(List.of(a.node))), false));
        a.say("partitions.grow.seen", () -> {
            Asked.await(() -> Asked.get(a.admin.describeTopics(List.of("t.one")).allTopicNames()).get("t.one").partitions().size() == 6);
            return shown(Asked.get(a.admin.describeTopics(List.of("t.one")).allTopicNames()).get("t.one"));
        });
        a.say("partitions.same", () -> grow("t.one", NewPartitions.increaseTo(6), false));
        a.say("partitions.fewer", () -> grow("t.one", NewPartitions.increaseTo(2), false));
        a.say("partitions.zero", () -> grow("t.one", NewPartitions.increaseTo(0), false));
        a.say("partitions.negative", () -> grow("t.one", NewPartitions.increaseTo(-1), false));
        a.say("partitions.unknown-topic", () -> grow("t.unknown", NewPartitions.increaseTo(3), false));
        a.say("partitions.assigned-too-few", () -> grow("t.one", NewPartitions.increaseTo(8, List.of(List.of(a.node))), false));
        a.say("partitions.assigned-unknown-broker", () -> grow("t.one", NewPartitions.increaseTo(7, List.of(List.of(99))), false));
        a.say("partitions.assigned-none", () -> grow("t.one", NewPartitions.increaseTo(7, List.of(List.of())), false));
        a.say("partitions.assigned-twice", () -> grow("t.one", NewPartitions.increaseTo(7, List.of(List.of(a.node, a.node))), false));
    }

    private String delete(Collection<String> names) throws Exception {
        Asked.get(a.admin.deleteTopics(names).all());
        return "";
    }

    private void delete() {
        a.say("topic.delete", () -> delete(List.of("t.keep")));
        a.say("topic.delete.twice", () -> delete(List.of("t.keep")));
        a.say("topic.delete.unknown", () -> delete(List.of("t.unknown")));
        a.say("topic.delete.invalid", () -> delete(List.of("t/unknown")));
        a.say("topic.delete.empty-name", () -> delete(List.of("")));
        a.say("topic.delete.by-id", () -> {
            Uuid id = Asked.get(a.admin.describeTopics(List.of("t.defaults")).allTopicNames()).get("t.defaults").topicId();
            Asked.get(a.admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
            Asked.await(() -> !Asked.get(a.admin.listTopics().names()).contains("t.defaults"));
            return Asked.get(a.admin.listTopics().names()).contains("t.defaults");
        });
        a.say("topic.delete.by-unknown-id", () -> Asked.get(a.admin.deleteTopics(TopicCollection.ofTopicIds(List.of(new Uuid(7, 7)))).all()));
        a.say("topic.recreate", () -> {
            Uuid before = Asked.get(a.admin.describeTopics(List.of("t.configs")).allTopicNames()).get("t.configs").topicId();
            delete(Collections.singleton("t.configs"));
            create(topic("t.configs", 2), false);
            Asked.await(() -> Asked.get(a.admin.listTopics().names()).contains("t.configs"));
            return "same id: " + before.equals(Asked.get(a.admin.describeTopics(List.of("t.configs")).allTopicNames()).get("t.configs").topicId());
        });
    }
}
