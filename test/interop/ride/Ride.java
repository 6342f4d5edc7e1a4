import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A producer and two members of a consumer group that run while brokers are stopped and killed, with the client's default settings but for what
 * is given. Arguments: bootstrap addresses, topic, number of partitions, group, folder to write to, then key=value for both kinds of client.
 *
 * Lines of standard input are commands. "mark NAME" prints one line about the time since the mark before: acknowledged records, errors, the
 * longest pause between two acknowledgements of one partition, what the group went through. "count" prints how many records were
 * acknowledged since then, of the partition that has the fewest, and how many the group has read. "stop" ends the producer, lets the group read all
 * that was acknowledged and writes two files: acked (partition, offset, number of each record) and read (member, partition, offset, number).
 */
public final class Ride {
    private static final int MEMBERS = 2;

    public static void main(String[] args) throws Exception {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", args[0]));
        for (int i = 5; i < args.length; i++) config.put(args[i].substring(0, args[i].indexOf('=')), args[i].substring(args[i].indexOf('=') + 1));
        Writer writer = new Writer(config, args[1], Integer.parseInt(args[2]));
        List<Member> members = new ArrayList<>();
        for (int i = 0; i < MEMBERS; i++) members.add(new Member(config, args[1], args[3]));
        for (Member m : members) m.start();
        writer.start();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null && !line.equals("stop"); line = in.readLine()) {
            if (line.equals("count")) {
                System.out.println("count " + writer.least() + " " + members.stream().mapToLong(Member::count).sum());
                continue;
            }
            StringBuilder generations = new StringBuilder();
            int rebalances = 0;
            int lost = 0;
            long read = 0;
            for (Member m : members) {
                generations.append(generations.isEmpty() ? "" : ",").append(m.generation());
                rebalances += m.rebalances();
                lost += m.lost();
                read += m.count();
            }
            System.out.println(line + " " + writer.mark() + " read=" + read + " rebalances=" + rebalances + " lost=" + lost + " generations=" + generations);
        }
        writer.finish();
        for (Member m : members) m.finish(writer.ends());
        write(Path.of(args[4], "acked"), writer.acked());
        List<String> read = new ArrayList<>();
        for (int i = 0; i < members.size(); i++) for (String r : members.get(i).read()) read.add(i + " " + r);
        write(Path.of(args[4], "read"), read);
        System.out.println("done");
        System.exit(0);
    }

    private static void write(Path file, List<String> lines) throws Exception {
        try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(file, StandardCharsets.UTF_8))) {
            lines.forEach(out::println);
        }
    }
}
