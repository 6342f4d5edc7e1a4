import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Sends numbered records to all partitions in turn, one to each every two milliseconds, and keeps what was acknowledged. */
final class Writer extends Thread {
    private static final long EVERY_NANOS = 2_000_000;

    private final KafkaProducer<byte[], byte[]> producer;
    private final String topic;
    private final int partitions;
    private volatile boolean over;

    // Guarded by this.
    private final List<String> acked = new ArrayList<>();
    private final long[] lastAck;
    private final long[] ends;
    private long longestPause;
    private long slowest;
    private final long[] since;
    private int errors;
    private String firstError = "";

    Writer(Map<String, Object> config, String topic, int partitions) {
        super("writer");
        this.producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
        this.topic = topic;
        this.partitions = partitions;
        this.lastAck = new long[partitions];
        this.ends = new long[partitions];
        this.since = new long[partitions];
    }

    @Override
    public void run() {
        long next = System.nanoTime();
        for (long number = 0; !over; number++) {
            int partition = (int) (number % partitions);
            if (partition == 0) {
                LockSupport.parkNanos(next - System.nanoTime());
                next = Math.max(next + EVERY_NANOS, System.nanoTime() - 10 * EVERY_NANOS);
            }
            send(partition, number);
        }
        producer.flush();
    }

    private void send(int partition, long number) {
        long begun = System.nanoTime();
        byte[] value = ByteBuffer.allocate(100).putLong(number).array();
        producer.send(new ProducerRecord<>(topic, partition, null, value), (r, e) -> answered(partition, number, begun, r, e));
    }

    private synchronized void answered(int partition, long number, long begun, RecordMetadata r, Exception e) {
        long now = System.nanoTime();
        if (e != null) {
            if (errors++ == 0) firstError = e.toString().replaceAll("\\s+", "_");
            return;
        }
        pause(partition, now);
        slowest = Math.max(slowest, now - begun);
        lastAck[partition] = now;
        ends[partition] = Math.max(ends[partition], r.offset() + 1);
        acked.add(partition + " " + r.offset() + " " + number);
        since[partition]++;
    }

    private void pause(int partition, long now) {
        if (lastAck[partition] != 0) longestPause = Math.max(longestPause, now - lastAck[partition]);
    }

    /** What happened since the mark before. A pause that goes on counts as long as it is now. */
    synchronized String mark() {
        for (int p = 0; p < partitions; p++) pause(p, System.nanoTime());
        String said = "acked=" + Arrays.stream(since).sum() + " errors=" + errors + " pause=" + Duration.ofNanos(longestPause).toMillis() + " slowest=" + Duration.ofNanos(slowest).toMillis()
            + (firstError.isEmpty() ? "" : " error=" + firstError);
        Arrays.fill(since, 0);
        longestPause = 0;
        slowest = 0;
        return said;
    }

    /** How many records of each partition were acknowledged since the mark, at least. */
    synchronized long least() { return Arrays.stream(since).min().orElse(0); }

    /** Sends no more, and waits until everything is answered. */
    void finish() throws InterruptedException {
        over = true;
        join();
        producer.close();
    }

    synchronized List<String> acked() { return acked; }

    /** The offset behind the last acknowledged record of each partition. */
    synchronized long[] ends() { return Arrays.copyOf(ends, ends.length); }
}
