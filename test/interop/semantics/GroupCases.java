import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;

/** Groups: membership with each assignor, commits, what an administrator sees and may do, and each refusal. */
final class GroupCases {
    private static final TopicPartition ONE = new TopicPartition("g.one", 0);
    private static final TopicPartition UNKNOWN = new TopicPartition("g.unknown", 0);
    private final Asked a;

    GroupCases(Asked a) { this.a = a; }

    void run() {
        a.topic("g.one", 4, Map.of());
        for (int p = 0; p < 4; p++) a.fill("g.one", p, 5, System.currentTimeMillis());
        commits();
        for (String assignor : List.of("Range", "RoundRobin", "Sticky", "CooperativeSticky")) assignor(assignor);
        membership();
        active();
        admin();
    }

    private interface Use { Object with(KafkaConsumer<byte[], byte[]> c) throws Exception; }

    private Object use(String group, Map<String, Object> more, Use body) throws Exception {
        Map<String, Object> config = new HashMap<>(more);
        config.put("group.id", group);
        try (KafkaConsumer<byte[], byte[]> c = a.consumer(config)) {
            return body.with(c);
        }
    }

    private Object commit(String group, TopicPartition p, OffsetAndMetadata o) throws Exception {
        return use(group, Map.of(), c -> {
            c.commitSync(Map.of(p, o));
            return c.committed(Set.of(p)).get(p);
        });
    }

    private void commits() {
        a.say("commit.one", () -> commit("g.commits", ONE, new OffsetAndMetadata(3)));
        a.say("commit.metadata", () -> commit("g.commits", ONE, new OffsetAndMetadata(4, java.util.Optional.of(0), "why")));
        a.say("commit.metadata-longest", () -> ((OffsetAndMetadata) commit("g.commits", ONE, new OffsetAndMetadata(4, "m".repeat(4096)))).metadata().length());
        a.say("commit.metadata-too-long", () -> commit("g.commits", ONE, new OffsetAndMetadata(4, "m".repeat(4097))));
        a.say("commit.behind-end", () -> commit("g.commits", ONE, new OffsetAndMetadata(4000)));
        a.say("commit.unknown-topic", () -> commit("g.commits", UNKNOWN, new OffsetAndMetadata(3)));
        a.say("commit.unknown-partition", () -> commit("g.commits", new TopicPartition("g.one", 9), new OffsetAndMetadata(3)));
        a.say("committed.never", () -> use("g.never", Map.of(), c -> c.committed(Set.of(ONE))));
        a.say("committed.unknown-topic", () -> use("g.commits", Map.of(), c -> c.committed(Set.of(UNKNOWN))));
        a.say("commit.empty-group", () -> commit("", ONE, new OffsetAndMetadata(3)));
        a.say("commit.resume", () -> use("g.resume", Map.of(), c -> {
            c.assign(List.of(ONE));
            c.commitSync(Map.of(ONE, new OffsetAndMetadata(2)));
            return ConsumerCases.poll(c, 1).get(0).offset();
        }));
    }

    /** A member that polls by itself. */
    private final class Member implements AutoCloseable {
        final Set<TopicPartition> owned = ConcurrentHashMap.newKeySet();
        volatile String ended = "";
        final KafkaConsumer<byte[], byte[]> consumer;
        private final Thread thread;

        Member(String group, Map<String, Object> more) {
            Map<String, Object> config = new HashMap<>(more);
            config.put("group.id", group);
            consumer = a.consumer(config);
            consumer.subscribe(List.of("g.one"), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> p) { owned.removeAll(Set.copyOf(p)); }

                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> p) { owned.addAll(p); }
            });
            thread = new Thread(() -> {
                try {
                    while (true) consumer.poll(Duration.ofMillis(100));
                } catch (WakeupException e) {
                    ended = "closed";
                } catch (Throwable e) {
                    ended = Asked.failure(e);
                } finally {
                    consumer.close();
                }
            });
            thread.start();
        }

        Set<Integer> partitions() {
            Set<Integer> p = new TreeSet<>();
            owned.forEach(tp -> p.add(tp.partition()));
            return p;
        }

        @Override
        public void close() {
            consumer.wakeup();
            try {
                thread.join(10_000);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    private static Map<String, Object> by(String assignor) {
        return Map.of("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor + "Assignor");
    }

    private void assignor(String assignor) {
        a.say("assignor." + assignor, () -> {
            try (Member one = new Member("g." + assignor, by(assignor))) {
                Asked.await(() -> one.owned.size() == 4);
                String alone = "" + one.partitions();
                try (Member two = new Member("g." + assignor, by(assignor))) {
                    Asked.await(() -> one.owned.size() == 2 && two.owned.size() == 2);
                    alone += " then " + one.owned.size() + "+" + two.owned.size();
                }
                Asked.await(() -> one.owned.size() == 4);
                return alone + " then " + one.partitions();
            }
        });
    }

    private void membership() {
        a.say("join.session-too-short", () -> use("g.session", Map.of("session.timeout.ms", "100", "heartbeat.interval.ms", "50"), c -> subscribed(c)));
        a.say("join.session-too-long", () -> use("g.session", Map.of("session.timeout.ms", "3000000"), c -> subscribed(c)));
        a.say("join.empty-group", () -> use("", Map.of(), c -> subscribed(c)));
        a.say("join.inconsistent-assignor", () -> {
            try (Member one = new Member("g.mixed", by("Range"))) {
                Asked.await(() -> one.owned.size() == 4);
                return use("g.mixed", by("RoundRobin"), c -> subscribed(c));
            }
        });
        a.say("join.static-twice", () -> {
            try (Member one = new Member("g.static", Map.of("group.instance.id", "i"))) {
                Asked.await(() -> one.owned.size() == 4);
                try (Member two = new Member("g.static", Map.of("group.instance.id", "i"))) {
                    Asked.await(() -> two.owned.size() == 4 && !one.ended.isEmpty());
                    return "second owns " + two.partitions() + ", first: " + one.ended;
                }
            }
        });
        a.say("join.static-returns", () -> {
            try (Member one = new Member("g.returns", Map.of("group.instance.id", "i"))) {
                Asked.await(() -> one.owned.size() == 4);
            }
            try (Member again = new Member("g.returns", Map.of("group.instance.id", "i"))) {
                Asked.await(() -> again.owned.size() == 4);
                return again.partitions();
            }
        });
        a.say("join.regex", () -> use("g.regex", Map.of(), c -> {
            c.subscribe(java.util.regex.Pattern.compile("g\\.o.*"));
            return ConsumerCases.poll(c, 20).size();
        }));
        a.say("join.unknown-topic", () -> use("g.unknown-topic", Map.of("allow.auto.create.topics", "false"), c -> {
            c.subscribe(List.of("g.unknown"));
            c.poll(Duration.ofMillis(500));
            return c.assignment().size();
        }));
        a.say("join.consumer-protocol", () -> {
            Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", a.bootstrap, "group.protocol", "consumer", "group.id", "g.new", "auto.offset.reset", "earliest"));
            try (KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(config, new org.apache.kafka.common.serialization.ByteArrayDeserializer(), new org.apache.kafka.common.serialization.ByteArrayDeserializer())) {
                return subscribed(c);
            }
        });
    }

    private static Object subscribed(KafkaConsumer<byte[], byte[]> c) {
        c.subscribe(List.of("g.one"));
        return "records=" + ConsumerCases.poll(c, 20).size();
    }

    private static String shown(ConsumerGroupDescription d) {
        return "state=" + d.groupState() + " type=" + d.type() + " assignor=" + d.partitionAssignor() + " simple=" + d.isSimpleConsumerGroup() + " coordinator=" + (d.coordinator().port() > 0)
            + " operations=" + d.authorizedOperations() + " members=" + d.members().stream().map(m -> m.clientId().replaceAll("\\d+", "N") + m.host() + " " + m.assignment().topicPartitions().size()
                + " instance=" + m.groupInstanceId() + " rack=" + m.rackId()).sorted().toList();
    }

    private ConsumerGroupDescription describe(String group) throws Exception {
        return Asked.get(a.admin.describeConsumerGroups(List.of(group)).all()).get(group);
    }

    private Object alter(String group, TopicPartition p, long offset) throws Exception {
        Asked.get(a.admin.alterConsumerGroupOffsets(group, Map.of(p, new OffsetAndMetadata(offset))).all());
        return "";
    }

    private Object delete(String group) throws Exception {
        Asked.get(a.admin.deleteConsumerGroups(List.of(group)).all());
        return "";
    }

    private Object deleteOffsets(String group, TopicPartition p) throws Exception {
        Asked.get(a.admin.deleteConsumerGroupOffsets(group, Set.of(p)).all());
        return "";
    }

    /** What an administrator may do with a group that has a member. */
    private void active() {
        try (Member one = new Member("g.active", Map.of("client.id", "c"))) {
            Asked.await(() -> one.owned.size() == 4);
            a.say("active.describe", () -> shown(describe("g.active")));
            a.say("active.alter-offsets", () -> alter("g.active", ONE, 1));
            a.say("active.delete-offsets", () -> deleteOffsets("g.active", ONE));
            a.say("active.delete", () -> delete("g.active"));
            a.say("active.describe-classic", () -> {
                var d = Asked.get(a.admin.describeClassicGroups(List.of("g.active")).all()).get("g.active");
                return "state=" + d.state() + " protocol=" + d.protocol() + " data=" + d.protocolData() + " members=" + d.members().size();
            });
            a.say("active.remove-member.unknown", () -> Asked.get(a.admin.removeMembersFromConsumerGroup("g.active", new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("nobody")))).all()));
            a.say("active.remove-members", () -> Asked.get(a.admin.removeMembersFromConsumerGroup("g.active", new RemoveMembersFromConsumerGroupOptions()).all()));
        } catch (Exception e) {
            a.say("active", () -> { throw e; });
        }
    }

    private void admin() {
        a.say("group.list", () -> {
            Map<String, String> all = new TreeMap<>();
            Asked.get(a.admin.listGroups(ListGroupsOptions.forConsumerGroups()).all()).forEach(g -> all.put(g.groupId(), g.type() + "/" + g.protocol() + "/" + g.groupState()));
            all.remove("g.new"); // made by join.consumer-protocol where that is served
            return all;
        });
        a.say("group.list.by-state", () -> Asked.get(a.admin.listGroups(new ListGroupsOptions().inGroupStates(Set.of(org.apache.kafka.common.GroupState.STABLE))).all()).stream().map(g -> g.groupId() + "/" + g.groupState()).sorted().toList());
        a.say("group.list.by-type", () -> new TreeSet<>(Asked.get(a.admin.listGroups(new ListGroupsOptions().withTypes(Set.of(org.apache.kafka.common.GroupType.SHARE))).all()).stream().map(g -> g.groupId()).toList()));
        a.say("group.describe", () -> shown(describe("g.commits")));
        a.say("group.describe.unknown", () -> shown(describe("g.nobody")));
        a.say("group.describe.empty-name", () -> shown(describe("")));
        a.say("group.describe.classic-unknown", () -> Asked.get(a.admin.describeClassicGroups(List.of("g.nobody")).all()));
        a.say("group.offsets", () -> new TreeMap<>(Asked.get(a.admin.listConsumerGroupOffsets("g.resume").partitionsToOffsetAndMetadata()).entrySet().stream().collect(
            java.util.stream.Collectors.toMap(e -> e.getKey().toString(), e -> e.getValue().offset()))));
        a.say("group.offsets.unknown", () -> Asked.get(a.admin.listConsumerGroupOffsets("g.nobody").partitionsToOffsetAndMetadata()));
        a.say("group.alter-offsets", () -> alter("g.commits", ONE, 1));
        a.say("group.alter-offsets.new-group", () -> alter("g.made", ONE, 1));
        a.say("group.alter-offsets.unknown-topic", () -> alter("g.commits", UNKNOWN, 1));
        a.say("group.delete-offsets", () -> deleteOffsets("g.commits", ONE));
        a.say("group.delete-offsets.absent", () -> deleteOffsets("g.commits", new TopicPartition("g.one", 3)));
        a.say("group.delete-offsets.unknown-topic", () -> deleteOffsets("g.commits", UNKNOWN));
        a.say("group.delete-offsets.unknown-group", () -> deleteOffsets("g.nobody", ONE));
        a.say("group.delete", () -> delete("g.made"));
        a.say("group.delete.twice", () -> delete("g.made"));
        a.say("group.delete.unknown", () -> delete("g.nobody"));
        a.say("group.delete.empty-name", () -> delete(""));
        a.say("group.remove-members.unknown-group", () -> Asked.get(a.admin.removeMembersFromConsumerGroup("g.nobody", new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("i")))).all()));
    }
}
