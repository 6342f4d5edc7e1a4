import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Asks a broker everything that a user can see, and writes one line per question: "NAME: RESULT". Run on two brokers at once, its transcripts
 * show where they differ. Arguments: pairs of bootstrap address and file to write.
 */
public final class Semantics {
    public static void main(String[] args) throws Exception {
        List<Thread> runs = new ArrayList<>();
        for (int i = 0; i < args.length; i += 2) {
            String bootstrap = args[i];
            PrintStream out = new PrintStream(Files.newOutputStream(Path.of(args[i + 1])), true, StandardCharsets.UTF_8);
            Thread run = new Thread(() -> ask(bootstrap, out), bootstrap);
            run.start();
            runs.add(run);
        }
        for (Thread run : runs) run.join();
        System.exit(0);
    }

    private static void ask(String bootstrap, PrintStream out) {
        Asked asked = new Asked(bootstrap, out);
        new TopicCases(asked).run();
        new ConfigCases(asked).run();
        new ProducerCases(asked).run();
        new ConsumerCases(asked).run();
        new GroupCases(asked).run();
        new ClusterCases(asked).run();
        out.close();
    }
}
