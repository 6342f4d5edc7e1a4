import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The broker that is asked, and the transcript of its answers. */
final class Asked {
    interface Case { Object run() throws Exception; }

    final String bootstrap;
    final Admin admin;
    private final PrintStream out;
    private final String cluster;
    /** The broker with the lowest id, and whether there is no other. */
    final int node;
    final boolean alone;

    Asked(String bootstrap, PrintStream out) {
        this.bootstrap = bootstrap;
        this.out = out;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", "4000", "request.timeout.ms", "3000"));
        try {
            this.cluster = get(admin.describeCluster().clusterId());
            var nodes = get(admin.describeCluster().nodes());
            this.node = nodes.stream().mapToInt(n -> n.id()).min().getAsInt();
            this.alone = nodes.size() == 1;
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    /** Runs a case and writes its line. */
    void say(String name, Case body) {
        String result;
        try {
            result = ("ok " + body.run()).strip();
        } catch (Throwable e) {
            result = failure(e);
        }
        out.println(name + ": " + normal(result));
    }

    /** What is different on each run stands as a word: addresses, times of the day, counts of attempts, which of several brokers it is. */
    private String normal(String s) {
        for (String address : bootstrap.split(",")) s = s.replace(address, "ADDR");
        return s.replace(cluster, "CLUSTER").replaceAll("\\b1[789]\\d{11}\\b", "TIME").replaceAll("-92233702\\d{11}", "TIME")
            .replaceAll("tries=\\d+|\\d+ attempt|in \\d+ms", "N").replaceAll("Local controller \\d+", "Local controller N")
            .replaceAll("\\(id: \\d+ rack", "(id: N rack").replaceAll("[\\r\\n\\t ]+", " ").strip();
    }

    static String failure(Throwable e) {
        Throwable cause = e;
        while (cause instanceof ExecutionException && cause.getCause() != null) cause = cause.getCause();
        Errors error = Errors.forException(cause);
        if (error == Errors.UNKNOWN_SERVER_ERROR && cause.getClass() == KafkaException.class && cause.getCause() != null) {
            return "KafkaException of " + failure(cause.getCause());
        }
        // How a client words that its time was over depends on what it was doing just then.
        if (error == Errors.REQUEST_TIMED_OUT && String.valueOf(cause.getMessage()).matches("(?s)(Call\\(|Timed out waiting for a node).*")) return "error REQUEST_TIMED_OUT";
        String kind = error == Errors.UNKNOWN_SERVER_ERROR ? "exception " + cause.getClass().getSimpleName() : "error " + error.name();
        return kind + ": " + cause.getMessage();
    }

    static <T> T get(Future<T> f) throws Exception { return f.get(15, TimeUnit.SECONDS); }

    static <T> T get(KafkaFuture<T> f) throws Exception { return f.get(15, TimeUnit.SECONDS); }

    static byte[] bytes(String s) { return s.getBytes(StandardCharsets.UTF_8); }

    static void await(Case condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(15);
        while (!(Boolean) condition.run() && System.nanoTime() < end) Thread.sleep(20);
    }

    /** Creates a topic that later cases need. */
    void topic(String name, int partitions, Map<String, String> configs) {
        try {
            get(admin.createTopics(List.of(new NewTopic(name, Optional.of(partitions), Optional.empty()).configs(configs))).all());
            await(() -> get(admin.listTopics().names()).contains(name));
        } catch (Exception e) {
            out.println("setup." + name + ": " + failure(e));
        }
    }

    /** Deletes a topic if it is there. */
    void drop(String name) {
        try {
            // Not asked whether it is there: a broker may not have heard of it yet.
            get(admin.deleteTopics(List.of(name)).all());
            await(() -> !get(admin.listTopics().names()).contains(name));
        } catch (Exception e) {
            if (!(e.getCause() instanceof UnknownTopicOrPartitionException)) out.println("drop." + name + ": " + failure(e));
        }
    }

    KafkaProducer<byte[], byte[]> producer(Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "max.block.ms", "3000", "delivery.timeout.ms", "4000", "request.timeout.ms", "3000", "linger.ms", "0"));
        config.putAll(more);
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Sends one record by a producer of its own. */
    RecordMetadata send(Map<String, Object> config, ProducerRecord<byte[], byte[]> r) throws Exception {
        try (KafkaProducer<byte[], byte[]> p = producer(config)) {
            return get(p.send(r));
        }
    }

    /** Sends values a-0, a-1, ... a second apart, the first at the given time. */
    void fill(String topic, int partition, int n, long firstMs) {
        try (KafkaProducer<byte[], byte[]> p = producer(Map.of())) {
            for (int i = 0; i < n; i++) get(p.send(new ProducerRecord<>(topic, partition, firstMs + i * 1000L, bytes("k-" + i), bytes("a-" + i))));
        } catch (Exception e) {
            out.println("fill." + topic + ": " + failure(e));
        }
    }

    KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest", "enable.auto.commit", "false",
            "default.api.timeout.ms", "3000", "request.timeout.ms", "2500", "heartbeat.interval.ms", "200", "session.timeout.ms", "6000"));
        config.putAll(more);
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }
}
