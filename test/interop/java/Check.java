import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The cases that every client goes through (test/interop/cases.go), with the Java client. Arguments: bootstrap address, prefix of names. */
public final class Check {
    private static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    private static final int RECORDS = 50;
    private static final long FIRST_TIME = System.currentTimeMillis() / 1000 * 1000 - 600_000;
    private static final Duration LIMIT = Duration.ofSeconds(30);

    interface Case { String run() throws Exception; }

    private final String bootstrap;
    private final String prefix;
    private final Admin admin;

    Check(String bootstrap, String prefix) {
        this.bootstrap = bootstrap;
        this.prefix = prefix;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    public static void main(String[] args) throws Exception {
        Check c = new Check(args[0], args[1]);
        c.topics();
        c.produce();
        c.consume();
        c.group();
        c.offsets();
        c.admin.close();
    }

    private static void say(String name, Case body) {
        String result;
        try {
            result = "ok " + body.run();
        } catch (Throwable e) {
            Throwable cause = e;
            while (cause.getCause() != null && (cause instanceof ExecutionException || Errors.forException(cause) == Errors.UNKNOWN_SERVER_ERROR)) cause = cause.getCause();
            Errors error = Errors.forException(cause);
            result = error == Errors.UNKNOWN_SERVER_ERROR ? "failed " + cause : "error " + error.code();
        }
        System.out.println(name + ": " + result.strip());
    }

    private static <T> T get(Future<T> f) throws Exception { return f.get(LIMIT.toSeconds(), java.util.concurrent.TimeUnit.SECONDS); }

    private static <T> T get(KafkaFuture<T> f) throws Exception { return f.get(LIMIT.toSeconds(), java.util.concurrent.TimeUnit.SECONDS); }

    private void create(String topic, int partitions, Map<String, String> configs) throws Exception {
        get(admin.createTopics(List.of(new NewTopic(topic, Optional.of(partitions), Optional.empty()).configs(configs))).all());
    }

    private void topics() {
        String basic = prefix + "-basic";
        say("topic.create", () -> {
            create(basic, 3, Map.of("retention.ms", "3600000"));
            return partitions(basic, 3);
        });
        say("topic.config", () -> {
            ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, basic);
            Config config = get(admin.describeConfigs(List.of(r)).all()).get(r);
            return "retention.ms=" + config.get("retention.ms").value();
        });
        say("topic.partitions", () -> {
            get(admin.createPartitions(Map.of(basic, NewPartitions.increaseTo(5))).all());
            return partitions(basic, 5);
        });
        say("topic.exists", () -> { create(basic, 1, Map.of()); return ""; });
        say("topic.bad-config", () -> { create(prefix + "-bad", 1, Map.of("retention.ms", "oops")); return ""; });
        say("topic.bad-name", () -> { create("bad name!", 1, Map.of()); return ""; });
        say("topic.delete", () -> {
            get(admin.deleteTopics(List.of(basic)).all());
            return "listed=" + get(admin.listTopics().names()).contains(basic);
        });
        say("topic.unknown", () -> { get(admin.deleteTopics(List.of(prefix + "-unknown")).all()); return ""; });
    }

    /** How many partitions the topic has, once as many are seen as are expected: Kafka's broker learns of them after its controller. */
    private String partitions(String topic, int expected) throws Exception {
        long end = System.nanoTime() + LIMIT.toNanos();
        int found;
        do {
            found = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size();
        } while (found != expected && System.nanoTime() < end);
        return "partitions=" + found;
    }

    private KafkaProducer<byte[], byte[]> producer(Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
        config.putAll(more);
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static byte[] bytes(String s) { return s.getBytes(StandardCharsets.UTF_8); }

    private static byte[] value(String codec, int i) { return bytes("v-" + codec + "-" + i + "-" + "x".repeat(300)); }

    private void produce() {
        for (String codec : CODECS) {
            say("produce." + codec, () -> {
                String topic = prefix + "-" + codec;
                create(topic, 1, Map.of());
                long last = -1;
                try (KafkaProducer<byte[], byte[]> p = producer(Map.of("compression.type", codec, "linger.ms", "50"))) {
                    List<Future<RecordMetadata>> sent = new ArrayList<>();
                    for (int i = 0; i < RECORDS; i++) {
                        ProducerRecord<byte[], byte[]> r = new ProducerRecord<>(topic, 0, FIRST_TIME + i * 1000L, bytes("k-" + i), value(codec, i));
                        r.headers().add("h", bytes("" + i));
                        sent.add(p.send(r));
                    }
                    for (Future<RecordMetadata> f : sent) last = get(f).offset();
                }
                return "records=" + RECORDS + " last=" + last;
            });
        }
        say("produce.too-large", () -> {
            create(prefix + "-small", 1, Map.of("max.message.bytes", "1000"));
            byte[] noise = new byte[5000];
            new Random(1).nextBytes(noise);
            try (KafkaProducer<byte[], byte[]> p = producer(Map.of())) {
                get(p.send(new ProducerRecord<>(prefix + "-small", noise)));
            }
            return "";
        });
    }

    private KafkaConsumer<byte[], byte[]> consumer(String group, Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest", "enable.auto.commit", "false"));
        if (group != null) config.put("group.id", group);
        config.putAll(more);
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private void consume() {
        TopicPartition none = new TopicPartition(prefix + "-none", 0);
        say("consume.beginning", () -> {
            int records = 0;
            int wrong = 0;
            try (KafkaConsumer<byte[], byte[]> c = consumer(null, Map.of())) {
                List<TopicPartition> all = new ArrayList<>();
                for (String codec : CODECS) all.add(new TopicPartition(prefix + "-" + codec, 0));
                c.assign(all);
                c.seekToBeginning(all);
                long end = System.nanoTime() + LIMIT.toNanos();
                while (records < RECORDS * CODECS.length && System.nanoTime() < end) {
                    for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(500))) {
                        records++;
                        int i = (int) r.offset();
                        String codec = r.topic().substring(prefix.length() + 1);
                        boolean right = java.util.Arrays.equals(r.value(), value(codec, i)) && java.util.Arrays.equals(r.key(), bytes("k-" + i))
                            && r.timestamp() == FIRST_TIME + i * 1000L && java.util.Arrays.equals(r.headers().lastHeader("h").value(), bytes("" + i));
                        if (!right) wrong++;
                    }
                }
            }
            return "records=" + records + " wrong=" + wrong;
        });
        say("consume.from-time", () -> {
            try (KafkaConsumer<byte[], byte[]> c = consumer(null, Map.of())) {
                return "offset=" + c.offsetsForTimes(Map.of(none, FIRST_TIME + 24_500)).get(none).offset();
            }
        });
        say("consume.out-of-range", () -> {
            try (KafkaConsumer<byte[], byte[]> c = consumer(null, Map.of("auto.offset.reset", "none"))) {
                c.assign(List.of(none));
                c.seek(none, 1000);
                long end = System.nanoTime() + LIMIT.toNanos();
                while (System.nanoTime() < end) c.poll(Duration.ofMillis(500));
                return "";
            } catch (org.apache.kafka.clients.consumer.OffsetOutOfRangeException e) {
                throw Errors.OFFSET_OUT_OF_RANGE.exception();
            }
        });
        say("offsets.ends", () -> {
            try (KafkaConsumer<byte[], byte[]> c = consumer(null, Map.of())) {
                return "first=" + c.beginningOffsets(List.of(none)).get(none) + " next=" + c.endOffsets(List.of(none)).get(none);
            }
        });
    }

    /** A group member with its own thread. */
    private final class Member implements AutoCloseable {
        final Set<TopicPartition> owned = ConcurrentHashMap.newKeySet();
        private final KafkaConsumer<byte[], byte[]> consumer;
        private final Thread thread;

        Member(String group, String topic, Map<String, AtomicInteger> seen) {
            consumer = consumer(group, Map.of("heartbeat.interval.ms", "200", "session.timeout.ms", "6000"));
            consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> p) {
                    consumer.commitSync();
                    owned.removeAll(new HashSet<>(p));
                }

                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> p) { owned.addAll(p); }
            });
            thread = new Thread(() -> {
                try {
                    while (true) {
                        for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(100))) {
                            seen.computeIfAbsent(new String(r.value(), StandardCharsets.UTF_8), k -> new AtomicInteger()).incrementAndGet();
                        }
                    }
                } catch (WakeupException e) {
                    consumer.commitSync();
                    consumer.close();
                } catch (Throwable e) {
                    System.err.println("member ended: " + e);
                }
            });
            thread.start();
        }

        @Override
        public void close() {
            consumer.wakeup();
            try {
                thread.join();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    interface Condition { boolean holds(); }

    private static void await(Condition c) throws InterruptedException {
        long end = System.nanoTime() + LIMIT.toNanos();
        while (!c.holds() && System.nanoTime() < end) Thread.sleep(20);
    }

    private void group() {
        String topic = prefix + "-group";
        String group = prefix + "-members";
        Map<String, AtomicInteger> seen = new ConcurrentHashMap<>();
        try {
            create(topic, 4, Map.of());
        } catch (Exception e) {
            System.out.println("group.join: failed " + e);
            return;
        }
        Member one = new Member(group, topic, seen);
        say("group.join", () -> {
            await(() -> one.owned.size() == 4);
            return "partitions=" + one.owned.size();
        });
        Member two = new Member(group, topic, seen);
        say("group.share", () -> {
            await(() -> one.owned.size() == 2 && two.owned.size() == 2);
            return "partitions=" + one.owned.size() + "+" + two.owned.size();
        });
        say("group.records", () -> {
            try (KafkaProducer<byte[], byte[]> p = producer(Map.of())) {
                for (int i = 0; i < 40; i++) p.send(new ProducerRecord<>(topic, i % 4, null, bytes("m-" + i)));
            }
            await(() -> seen.size() == 40);
            return "records=" + seen.size() + " twice=" + seen.values().stream().filter(n -> n.get() > 1).count();
        });
        two.close();
        say("group.leave", () -> {
            await(() -> one.owned.size() == 4);
            return "partitions=" + one.owned.size();
        });
        one.close();
    }

    /** Where a new member of the group starts to read PREFIX-none. */
    private long startsAt(String group) throws Exception {
        try (KafkaConsumer<byte[], byte[]> c = consumer(group, Map.of())) {
            c.subscribe(List.of(prefix + "-none"));
            long end = System.nanoTime() + LIMIT.toNanos();
            while (System.nanoTime() < end) {
                for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(500))) return r.offset();
            }
        }
        return -1;
    }

    private void offsets() {
        TopicPartition none = new TopicPartition(prefix + "-none", 0);
        String group = prefix + "-offsets";
        say("offsets.commit", () -> {
            try (KafkaConsumer<byte[], byte[]> c = consumer(group, Map.of())) {
                c.assign(List.of(none));
                c.commitSync(Map.of(none, new OffsetAndMetadata(7)));
                return "offset=" + c.committed(Set.of(none)).get(none).offset();
            }
        });
        say("offsets.resume", () -> "offset=" + startsAt(group));
        say("offsets.reset", () -> {
            get(admin.alterConsumerGroupOffsets(group, Map.of(none, new OffsetAndMetadata(0))).all());
            return "offset=" + startsAt(group);
        });
        say("group.delete", () -> { get(admin.deleteConsumerGroups(List.of(group)).all()); return ""; });
        say("group.unknown", () -> { get(admin.deleteConsumerGroups(List.of(prefix + "-nobody")).all()); return ""; });
        say("records.delete", () -> {
            get(admin.deleteRecords(Map.of(none, RecordsToDelete.beforeOffset(10))).all());
            return "first=" + get(admin.listOffsets(Map.of(none, OffsetSpec.earliest())).all()).get(none).offset();
        });
    }
}
