import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.InvalidStateStoreException;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.QueryableStoreTypes;

/**
 * Counts words with Kafka Streams: a repartition topic, a state store and its changelog, at least once. Arguments: bootstrap addresses, topic to
 * read, topic to write, application id, folder for the state. "counts" on standard input prints the state and the store, "stop" ends.
 */
public final class WordCount {
    public static void main(String[] args) throws Exception {
        Properties config = new Properties();
        config.putAll(Map.of(
            StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0], StreamsConfig.APPLICATION_ID_CONFIG, args[3], StreamsConfig.STATE_DIR_CONFIG, args[4],
            StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE, StreamsConfig.REPLICATION_FACTOR_CONFIG, 3, StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2,
            StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100, StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest", StreamsConfig.consumerPrefix("session.timeout.ms"), 6_000));
        StreamsBuilder b = new StreamsBuilder();
        b.stream(args[1], Consumed.with(Serdes.String(), Serdes.String()))
            .flatMapValues(line -> List.of(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with("words", Serdes.String(), Serdes.String()))
            .count(Materialized.as("counts"))
            .toStream().to(args[2], Produced.with(Serdes.String(), Serdes.Long()));
        KafkaStreams streams = new KafkaStreams(b.build(), config);
        streams.setUncaughtExceptionHandler(e -> {
            System.out.println("failed " + e);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null && !line.equals("stop"); line = in.readLine()) {
            System.out.println(streams.state() + " " + counts(streams));
        }
        streams.close(Duration.ofSeconds(30));
        System.out.println("stopped");
        System.exit(0);
    }

    /** The store's content as word=count, with a blank behind each; nothing while it is being restored. */
    private static String counts(KafkaStreams streams) {
        Map<String, Long> found = new TreeMap<>();
        try (KeyValueIterator<Object, Object> all = streams.store(StoreQueryParameters.fromNameAndType("counts", QueryableStoreTypes.keyValueStore())).all()) {
            all.forEachRemaining(e -> found.put((String) e.key, (Long) e.value));
        } catch (InvalidStateStoreException e) {
            return "";
        }
        StringBuilder said = new StringBuilder();
        found.forEach((word, n) -> said.append(word).append('=').append(n).append(' '));
        return said.toString();
    }
}
