import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command line tools one after another in one JVM. Each line of standard input asks for one:
 * {"class": "...", "args": [...], "stdin": "...", "timeoutMs": n}; each is answered by a line {"exit": n, "out": "...", "err": "..."}.
 * A tool gets class loaders of its own, since some keep counters and latches in static fields.
 */
public final class Shell {
    /**
     * Thrown in place of System.exit, to leave the tool. A tool that catches it and goes on is not heard any more: the first status counts
     * and later output is dropped, as if the process were gone.
     */
    static final class Exited extends Error {
        Exited() { super("exit", null, false, false); }
    }

    /** What a tool prints, until it exits. */
    static final class Output extends ByteArrayOutputStream {
        private final Run run;
        Output(Run run) { this.run = run; }

        @Override
        public synchronized void write(byte[] b, int off, int len) { if (run.status == null) super.write(b, off, len); }

        @Override
        public synchronized void write(int b) { if (run.status == null) super.write(b); }

        PrintStream stream() { return new PrintStream(this, true, StandardCharsets.UTF_8); }

        String text() { return toString(StandardCharsets.UTF_8); }
    }

    /** One run of a tool. */
    static final class Run {
        final Output out = new Output(this);
        final Output err = new Output(this);
        volatile Integer status;

        private final AtomicBoolean exiting = new AtomicBoolean();

        /** What a process does at its end: run the shutdown hooks, which close producers and consumers, then be silent. */
        void exit(int s) {
            if (exiting.getAndSet(true)) return;
            Thread hooks = new Thread(() -> List.copyOf(HOOKS).forEach(Runnable::run), "hooks");
            hooks.setDaemon(true);
            hooks.start();
            try {
                hooks.join(10_000);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            System.out.flush();
            System.err.flush();
            status = s;
        }
    }

    /** Loads the classes of the tools afresh, and everything else from the JVM's own class path. */
    static final class ToolLoader extends URLClassLoader {
        ToolLoader(URL[] jars, ClassLoader parent) { super(jars, parent); }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            synchronized (getClassLoadingLock(name)) {
                if (!name.startsWith("org.apache.kafka.tools.") && !name.startsWith("kafka.")) return super.loadClass(name, resolve);
                Class<?> loaded = findLoadedClass(name);
                try {
                    return loaded != null ? loaded : findClass(name);
                } catch (ClassNotFoundException e) {
                    return super.loadClass(name, resolve);
                }
            }
        }
    }

    private static final PrintStream REAL_OUT = System.out;
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final List<Runnable> HOOKS = new CopyOnWriteArrayList<>();
    private static volatile Run current;

    public static void main(String[] unused) throws Exception {
        Exit.Procedure leave = (status, message) -> { current.exit(status); throw new Exited(); };
        Exit.setExitProcedure(leave);
        Exit.setHaltProcedure(leave);
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            REAL_OUT.println(JSON.writeValueAsString(answer(JSON.readValue(line, Map.class))));
            REAL_OUT.flush();
        }
        System.exit(0);
    }

    private static Map<String, Object> answer(Map<?, ?> request) throws Exception {
        Run run = new Run();
        current = run;
        System.setIn(new ByteArrayInputStream(((String) request.get("stdin")).getBytes(StandardCharsets.UTF_8)));
        System.setOut(run.out.stream());
        System.setErr(run.err.stream());
        HOOKS.clear();
        Thread tool = new Thread(() -> call(run, (String) request.get("class"), (List<?>) request.get("args")), "tool");
        tool.setDaemon(true);
        tool.start();
        tool.join(((Number) request.get("timeoutMs")).longValue());
        boolean late = tool.isAlive();
        // What SIGTERM would do: a consumer that waits for more is closed by its hook.
        run.exit(-1);
        tool.join(5_000);
        return Map.of("exit", late ? -1 : run.status, "out", run.out.text(), "err", run.err.text());
    }

    /** Calls the tool's main and notes how it ended. */
    private static void call(Run run, String name, List<?> args) {
        List<URL> jars = new ArrayList<>();
        try {
            for (String entry : System.getProperty("java.class.path").split(":")) {
                String file = Path.of(entry).getFileName().toString();
                if (file.startsWith("kafka-tools-4") || file.startsWith("kafka_")) jars.add(Path.of(entry).toUri().toURL());
            }
            try (ToolLoader loader = new ToolLoader(jars.toArray(new URL[0]), Shell.class.getClassLoader())) {
                Thread.currentThread().setContextClassLoader(loader);
                Class<?> tool = Class.forName(name, true, loader);
                tool.getMethod("main", String[].class).invoke(null, (Object) args.toArray(new String[0]));
                run.exit(0);
            }
        } catch (InvocationTargetException e) {
            e.getCause().printStackTrace();
            run.exit(1);
        } catch (Exception e) {
            System.err.println("Shell: " + e);
            run.exit(1);
        }
    }
}
