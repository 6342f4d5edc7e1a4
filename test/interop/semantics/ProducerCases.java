import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;

/** What producers see: offsets, timestamps, and each refusal. */
final class ProducerCases {
    private final Asked a;

    ProducerCases(Asked a) { this.a = a; }

    private static byte[] noise(int n) {
        byte[] b = new byte[n];
        new Random(1).nextBytes(b);
        return b;
    }

    private static String shown(RecordMetadata m) {
        return m.topic() + "-" + m.partition() + " offset=" + (m.hasOffset() ? m.offset() : "none") + " key=" + m.serializedKeySize() + " value=" + m.serializedValueSize();
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, String key, String value) {
        return new ProducerRecord<>(topic, key == null ? null : Asked.bytes(key), value == null ? null : Asked.bytes(value));
    }

    void run() {
        a.topic("p.one", 1, Map.of());
        a.topic("p.compact", 1, Map.of("cleanup.policy", "compact"));
        a.topic("p.small", 1, Map.of("max.message.bytes", "1000"));
        a.topic("p.append", 1, Map.of("message.timestamp.type", "LogAppendTime"));
        a.topic("p.strict", 1, Map.of("message.timestamp.after.max.ms", "1000", "message.timestamp.before.max.ms", "100000"));
        a.topic("p.two-replicas", 1, Map.of("min.insync.replicas", "2"));
        a.topic("p.gzip", 1, Map.of("compression.type", "gzip"));
        accepted();
        refused();
        idempotent();
        transactional();
    }

    private void accepted() {
        for (String acks : List.of("all", "1", "0")) {
            Map<String, Object> config = Map.of("acks", acks, "enable.idempotence", "" + acks.equals("all"));
            a.say("produce.acks-" + acks, () -> shown(a.send(config, record("p.one", "k", "v"))));
        }
        a.say("produce.no-key", () -> shown(a.send(Map.of(), record("p.one", null, "v"))));
        a.say("produce.no-value", () -> shown(a.send(Map.of(), record("p.one", "k", null))));
        a.say("produce.nothing", () -> shown(a.send(Map.of(), record("p.one", null, null))));
        a.say("produce.timestamp", () -> a.send(Map.of(), new ProducerRecord<>("p.one", 0, 1234L, null, Asked.bytes("v"))).timestamp());
        a.say("produce.append-time", () -> {
            long now = System.currentTimeMillis();
            return Math.abs(a.send(Map.of(), new ProducerRecord<>("p.append", 0, 1234L, null, Asked.bytes("v"))).timestamp() - now) < 5000;
        });
        a.say("produce.recompressed", () -> shown(a.send(Map.of("compression.type", "lz4"), record("p.gzip", "k", "v".repeat(2000)))));
        a.say("produce.auto-create", () -> shown(a.send(Map.of(), record("p.created", "k", "v"))));
        a.say("produce.auto-create.described", () -> {
            var d = Asked.get(a.admin.describeTopics(List.of("p.created")).allTopicNames()).get("p.created");
            return "partitions=" + d.partitions().size() + " replicas=" + d.partitions().get(0).replicas().size();
        });
        a.say("produce.partitions-for", () -> {
            try (KafkaProducer<byte[], byte[]> p = a.producer(Map.of())) {
                return p.partitionsFor("p.one").size();
            }
        });
        a.say("produce.many", () -> {
            try (KafkaProducer<byte[], byte[]> p = a.producer(Map.of("linger.ms", "20", "compression.type", "zstd"))) {
                List<Future<RecordMetadata>> sent = new ArrayList<>();
                for (int i = 0; i < 500; i++) sent.add(p.send(record("p.compact", "k-" + i, "v-" + i)));
                long next = 0;
                for (Future<RecordMetadata> f : sent) {
                    if (Asked.get(f).offset() != next++) return "offsets out of order";
                }
                return next;
            }
        });
    }

    private void refused() {
        a.say("produce.invalid-topic", () -> shown(a.send(Map.of(), record("p/one", "k", "v"))));
        a.say("produce.empty-topic", () -> shown(a.send(Map.of(), record("", "k", "v"))));
        a.say("produce.unknown-partition", () -> shown(a.send(Map.of("max.block.ms", "1500"), new ProducerRecord<>("p.one", 7, null, Asked.bytes("v")))));
        a.say("produce.too-large-for-topic", () -> shown(a.send(Map.of(), new ProducerRecord<>("p.small", noise(2000)))));
        a.say("produce.too-large-for-client", () -> shown(a.send(Map.of(), new ProducerRecord<>("p.one", noise(2_000_000)))));
        a.say("produce.too-large-for-broker", () -> shown(a.send(Map.of("max.request.size", "3000000"), new ProducerRecord<>("p.one", noise(2_000_000)))));
        a.say("produce.no-key-on-compacted", () -> shown(a.send(Map.of(), record("p.compact", null, "v"))));
        a.say("produce.future", () -> shown(a.send(Map.of(), new ProducerRecord<>("p.one", 0, System.currentTimeMillis() + 7_200_000, null, Asked.bytes("v")))));
        a.say("produce.strict.future", () -> shown(a.send(Map.of(), new ProducerRecord<>("p.strict", 0, System.currentTimeMillis() + 60_000, null, Asked.bytes("v")))));
        a.say("produce.strict.past", () -> shown(a.send(Map.of(), new ProducerRecord<>("p.strict", 0, 1L, null, Asked.bytes("v")))));
        a.say("produce.not-enough-replicas", () -> shown(a.send(Map.of("retries", "0", "enable.idempotence", "false"), record("p.two-replicas", "k", "v"))));
        a.say("produce.not-enough-replicas.acks-1", () -> shown(a.send(Map.of("acks", "1", "enable.idempotence", "false"), record("p.two-replicas", "k", "v"))));
        a.say("produce.to-offsets-topic", () -> shown(a.send(Map.of(), new ProducerRecord<>("__consumer_offsets", 0, Asked.bytes("k"), Asked.bytes("v")))));
    }

    private void idempotent() {
        a.say("produce.idempotent", () -> {
            try (KafkaProducer<byte[], byte[]> p = a.producer(Map.of("enable.idempotence", "true", "max.in.flight.requests.per.connection", "5"))) {
                long last = -1;
                for (int i = 0; i < 20; i++) last = Asked.get(p.send(record("p.append", "k", "v-" + i))).offset();
                return last;
            }
        });
        a.say("produce.producers", () -> {
            var state = Asked.get(a.admin.describeProducers(List.of(new org.apache.kafka.common.TopicPartition("p.append", 0))).all()).values().iterator().next();
            return state.activeProducers().stream().map(s -> "epoch=" + s.producerEpoch() + " last=" + s.lastSequence() + " coordinator=" + s.coordinatorEpoch() + " txn=" + s.currentTransactionStartOffset()).sorted().toList();
        });
        a.say("produce.producers.unknown", () -> Asked.get(a.admin.describeProducers(List.of(new org.apache.kafka.common.TopicPartition("p.unknown", 0))).all()));
    }

    private void transactional() {
        Map<String, Object> config = new HashMap<>(Map.of("transactional.id", "p.transaction", "max.block.ms", "10000", "transaction.timeout.ms", "10000"));
        a.say("transaction.init", () -> {
            try (KafkaProducer<byte[], byte[]> p = a.producer(config)) {
                p.initTransactions();
                return "";
            }
        });
        a.say("transaction.commit", () -> {
            try (KafkaProducer<byte[], byte[]> p = a.producer(config)) {
                p.initTransactions();
                p.beginTransaction();
                p.send(record("p.one", "k", "v"));
                p.commitTransaction();
                return "";
            }
        });
    }
}
