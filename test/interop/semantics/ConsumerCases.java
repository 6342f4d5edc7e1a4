import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

/** What consumers without a group see: records, offsets, timestamps, deleted records, and each refusal. */
final class ConsumerCases {
    private static final TopicPartition ONE = new TopicPartition("r.one", 0);
    private static final TopicPartition EMPTY = new TopicPartition("r.empty", 0);
    private static final TopicPartition UNKNOWN = new TopicPartition("r.unknown", 0);
    private static final TopicPartition BEYOND = new TopicPartition("r.one", 9);
    private static final long FIRST = System.currentTimeMillis() / 1000 * 1000 - 1_000_000;
    private final Asked a;

    ConsumerCases(Asked a) { this.a = a; }

    void run() {
        a.topic("r.one", 1, Map.of());
        a.topic("r.empty", 1, Map.of());
        a.topic("r.deleted", 1, Map.of());
        a.topic("r.compact", 1, Map.of("cleanup.policy", "compact"));
        a.fill("r.one", 0, 30, FIRST);
        a.fill("r.deleted", 0, 30, FIRST);
        a.fill("r.compact", 0, 3, FIRST);
        read();
        positions();
        listOffsets();
        deleteRecords();
    }

    private interface Use { Object with(KafkaConsumer<byte[], byte[]> c) throws Exception; }

    private Object use(Map<String, Object> config, Use body) throws Exception {
        try (KafkaConsumer<byte[], byte[]> c = a.consumer(config)) {
            return body.with(c);
        }
    }

    /** Polls until n records have come, or three seconds are over. */
    static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> c, int n) {
        List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
        long end = System.nanoTime() + 3_000_000_000L;
        while (got.size() < n && System.nanoTime() < end) c.poll(Duration.ofMillis(200)).forEach(got::add);
        return got;
    }

    private void read() {
        a.say("read.all", () -> use(Map.of(), c -> {
            c.assign(List.of(ONE));
            List<ConsumerRecord<byte[], byte[]>> got = poll(c, 30);
            ConsumerRecord<byte[], byte[]> last = got.get(got.size() - 1);
            return got.size() + " last=" + last.offset() + " key=" + new String(last.key()) + " value=" + new String(last.value()) + " after=" + (last.timestamp() - FIRST)
                + " type=" + last.timestampType() + " epoch=" + last.leaderEpoch() + " headers=" + last.headers().toArray().length;
        }));
        a.say("read.max-poll-records", () -> use(Map.of("max.poll.records", "7"), c -> {
            c.assign(List.of(ONE));
            return poll(c, 1).size();
        }));
        a.say("read.smallest-fetch", () -> use(Map.of("fetch.max.bytes", "1", "max.partition.fetch.bytes", "1"), c -> {
            c.assign(List.of(ONE));
            return poll(c, 30).size();
        }));
        a.say("read.seek", () -> use(Map.of(), c -> {
            c.assign(List.of(ONE));
            c.seek(ONE, 12);
            return poll(c, 1).get(0).offset() + " position=" + c.position(ONE);
        }));
        a.say("read.from-end", () -> use(Map.of("auto.offset.reset", "latest"), c -> {
            c.assign(List.of(ONE));
            return "position=" + c.position(ONE);
        }));
        a.say("read.by-duration", () -> use(Map.of("auto.offset.reset", "by_duration:P1D"), c -> {
            c.assign(List.of(ONE));
            return "position=" + c.position(ONE);
        }));
        a.say("read.committed", () -> use(Map.of("isolation.level", "read_committed"), c -> {
            c.assign(List.of(EMPTY, ONE));
            return poll(c, 30).size();
        }));
        a.say("read.out-of-range", () -> use(Map.of("auto.offset.reset", "none"), c -> {
            c.assign(List.of(ONE));
            c.seek(ONE, 1000);
            return poll(c, 1).size();
        }));
        a.say("read.out-of-range.reset", () -> use(Map.of(), c -> {
            c.assign(List.of(ONE));
            c.seek(ONE, 1000);
            return poll(c, 1).get(0).offset();
        }));
        a.say("read.no-reset", () -> use(Map.of("auto.offset.reset", "none", "group.id", "r.nobody"), c -> {
            c.assign(List.of(ONE));
            return poll(c, 1).size();
        }));
        a.say("read.unknown-topic", () -> use(Map.of("allow.auto.create.topics", "false"), c -> {
            c.assign(List.of(UNKNOWN));
            return poll(c, 1).size();
        }));
        a.say("read.unknown-partition", () -> use(Map.of(), c -> {
            c.assign(List.of(BEYOND));
            return "position=" + c.position(BEYOND, Duration.ofSeconds(1));
        }));
        a.say("read.invalid-topic", () -> use(Map.of(), c -> {
            c.assign(List.of(new TopicPartition("r/one", 0)));
            return poll(c, 1).size();
        }));
    }

    private void positions() {
        a.say("offsets.beginning", () -> use(Map.of(), c -> new TreeMap<>(Map.of("one", c.beginningOffsets(List.of(ONE)).get(ONE), "empty", c.beginningOffsets(List.of(EMPTY)).get(EMPTY)))));
        a.say("offsets.end", () -> use(Map.of(), c -> new TreeMap<>(Map.of("one", c.endOffsets(List.of(ONE)).get(ONE), "empty", c.endOffsets(List.of(EMPTY)).get(EMPTY)))));
        a.say("offsets.end.unknown", () -> use(Map.of("allow.auto.create.topics", "false"), c -> c.endOffsets(List.of(UNKNOWN), Duration.ofSeconds(1))));
        for (long at : new long[] {-500, 0, 1, 500, 15_000, 15_001, 29_000, 29_001}) {
            a.say("offsets.at-time" + at, () -> use(Map.of(), c -> {
                var found = c.offsetsForTimes(Map.of(ONE, FIRST + at)).get(ONE);
                return found == null ? "none" : found.offset() + " after=" + (found.timestamp() - FIRST) + " epoch=" + found.leaderEpoch();
            }));
        }
        a.say("offsets.at-time.empty", () -> use(Map.of(), c -> c.offsetsForTimes(Map.of(EMPTY, 0L))));
        a.say("offsets.lag", () -> use(Map.of(), c -> {
            c.assign(List.of(ONE));
            c.seek(ONE, 10);
            poll(c, 20);
            return c.currentLag(ONE);
        }));
        a.say("offsets.partitions-for", () -> use(Map.of(), c -> c.partitionsFor("r.one").size()));
        a.say("offsets.partitions-for.unknown", () -> use(Map.of("allow.auto.create.topics", "false"), c -> c.partitionsFor("r.unknown")));
        a.say("offsets.partitions-for.invalid", () -> use(Map.of(), c -> c.partitionsFor("r/unknown")));
    }

    private Object list(TopicPartition p, OffsetSpec spec, IsolationLevel level) throws Exception {
        var found = Asked.get(a.admin.listOffsets(Map.of(p, spec), new ListOffsetsOptions(level)).partitionResult(p));
        return found.offset() + " timestamp=" + (found.timestamp() < 0 ? found.timestamp() : found.timestamp() - FIRST) + " epoch=" + found.leaderEpoch();
    }

    private void listOffsets() {
        Map<String, OffsetSpec> specs = new TreeMap<>(Map.of("earliest", OffsetSpec.earliest(), "latest", OffsetSpec.latest(), "max-timestamp", OffsetSpec.maxTimestamp(),
            "time", OffsetSpec.forTimestamp(FIRST + 4_500), "time-after", OffsetSpec.forTimestamp(FIRST + 100_000_000), "local", OffsetSpec.earliestLocal(), "tiered", OffsetSpec.latestTiered()));
        specs.forEach((name, spec) -> {
            a.say("list-offsets." + name, () -> list(ONE, spec, IsolationLevel.READ_UNCOMMITTED));
            a.say("list-offsets.committed." + name, () -> list(ONE, spec, IsolationLevel.READ_COMMITTED));
            a.say("list-offsets.empty." + name, () -> list(EMPTY, spec, IsolationLevel.READ_UNCOMMITTED));
        });
        a.say("list-offsets.unknown-topic", () -> list(UNKNOWN, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED));
    }

    private Object delete(TopicPartition p, long before) throws Exception {
        return Asked.get(a.admin.deleteRecords(Map.of(p, RecordsToDelete.beforeOffset(before))).lowWatermarks().get(p)).lowWatermark();
    }

    private void deleteRecords() {
        TopicPartition p = new TopicPartition("r.deleted", 0);
        a.say("delete-records.none", () -> delete(p, 0));
        a.say("delete-records.some", () -> delete(p, 11));
        a.say("delete-records.lower", () -> delete(p, 5));
        a.say("delete-records.read", () -> use(Map.of(), c -> {
            c.assign(List.of(p));
            return poll(c, 19).get(0).offset();
        }));
        a.say("delete-records.read-below", () -> use(Map.of("auto.offset.reset", "none"), c -> {
            c.assign(List.of(p));
            c.seek(p, 3);
            return poll(c, 1).size();
        }));
        a.say("delete-records.behind-end", () -> delete(p, 31));
        a.say("delete-records.negative", () -> delete(p, -2));
        a.say("delete-records.all", () -> delete(p, -1));
        a.say("delete-records.time", () -> list(p, OffsetSpec.forTimestamp(FIRST), IsolationLevel.READ_UNCOMMITTED));
        a.say("delete-records.max-timestamp", () -> list(p, OffsetSpec.maxTimestamp(), IsolationLevel.READ_UNCOMMITTED));
        a.say("delete-records.compacted", () -> delete(new TopicPartition("r.compact", 0), 1));
        a.say("delete-records.unknown-topic", () -> delete(UNKNOWN, 1));
        a.say("delete-records.commit-below", () -> use(Map.of("group.id", "r.group"), c -> {
            c.assign(List.of(p));
            c.commitSync(Map.of(p, new OffsetAndMetadata(3)));
            return c.committed(Set.of(p)).get(p).offset() + " position=" + c.position(p) + " first=" + poll(c, 1).size();
        }));
    }
}
