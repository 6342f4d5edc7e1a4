import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a classic group, which commits what it has read. */
final class Member extends Thread implements ConsumerRebalanceListener {
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final String topic;

    private volatile long[] goal;
    // Guarded by this.
    private final List<String> read = new ArrayList<>();
    private int generation = -1;
    private int rebalances;
    private int lost;

    Member(Map<String, Object> config, String topic, String group) {
        super("member");
        Map<String, Object> own = new HashMap<>(Map.of("group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", "false"));
        own.putAll(config);
        this.consumer = new KafkaConsumer<>(own, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        this.topic = topic;
    }

    @Override
    public void run() {
        consumer.subscribe(List.of(topic), this);
        while (!arrived()) {
            Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
            for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(100))) {
                note(r);
                next.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
            }
            if (!next.isEmpty()) commit(next);
            remember();
        }
        consumer.close();
    }

    /** A rebalance may come between the poll and the commit: then who owns the partitions now reads these records again. */
    private void commit(Map<TopicPartition, OffsetAndMetadata> next) {
        try {
            consumer.commitSync(next);
        } catch (org.apache.kafka.clients.consumer.CommitFailedException | org.apache.kafka.common.errors.RebalanceInProgressException e) {
            System.err.println("commit: " + e);
        }
    }

    private synchronized void note(ConsumerRecord<byte[], byte[]> r) { read.add(r.partition() + " " + r.offset() + " " + ByteBuffer.wrap(r.value()).getLong()); }

    private synchronized void remember() { generation = consumer.groupMetadata().generationId(); }

    /** Whether the group has committed all that was acknowledged: then it does not matter any more who owns what. */
    private boolean arrived() {
        if (goal == null) return false;
        Set<TopicPartition> all = new java.util.HashSet<>();
        for (int p = 0; p < goal.length; p++) all.add(new TopicPartition(topic, p));
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(all);
        for (TopicPartition p : all) if (committed.get(p) == null || committed.get(p).offset() < goal[p.partition()]) return false;
        return true;
    }

    @Override
    public synchronized void onPartitionsRevoked(Collection<TopicPartition> partitions) { rebalances++; }

    @Override
    public synchronized void onPartitionsAssigned(Collection<TopicPartition> partitions) { }

    @Override
    public synchronized void onPartitionsLost(Collection<TopicPartition> partitions) { lost++; }

    synchronized int generation() { return generation; }

    synchronized int rebalances() { return rebalances; }

    synchronized int lost() { return lost; }

    synchronized int count() { return read.size(); }

    synchronized List<String> read() { return read; }

    /** Reads on until the group has committed up to the given offsets. */
    void finish(long[] ends) throws InterruptedException {
        goal = ends;
        join();
    }
}
