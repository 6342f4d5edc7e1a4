// Package clients says which client libraries the interop tests drive, how each is brought to this machine, and how its program is started.
//
// Owns:        All, the list of clients; their manifests and programs stand in the folders beside this one.
// Never:       knows what the programs check (test/interop/cases.go does) or which broker they talk to.
// Concurrency: values only; fetching is safe from several processes (package toolchain).
// Start at:    clients.go.
package clients

import (
	"context"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/klamm/klamm/test/kafkaref"
	"github.com/klamm/klamm/test/toolchain"
)

// Client is one client library with its program.
type Client struct {
	// Name is the client's own, Version the pinned one, Language what it is written for.
	Name, Version, Language string
	// Needs are the programs that the machine must have.
	Needs []string
	// start is the command line of the program, once all it needs is there; environ is added to its environment.
	start func(ctx context.Context) (argv, environ []string, err error)
}

// All is every client, in the order of the documentation.
func All() []Client {
	java := []string{"java", "javac", "mvn"}
	return []Client{
		{Name: "kafka-clients", Version: kafkaref.Version, Language: "Java", Needs: java, start: javaCurrent},
		{Name: "kafka-clients", Version: "3.9.2", Language: "Java", Needs: java, start: javaOld},
		{Name: "confluent-kafka", Version: "2.16.1", Language: "Python", Needs: []string{"python3"}, start: python("requirements.txt", "check_confluent.py")},
		{Name: "confluent-kafka", Version: "2.6.0", Language: "Python", Needs: []string{"python3"}, start: python("requirements-2.6.txt", "check_confluent.py")},
		{Name: "kafka-python", Version: "3.0.12", Language: "Python", Needs: []string{"python3"}, start: python("requirements.txt", "check_kafka_python.py")},
		{Name: "aiokafka", Version: "0.14.0", Language: "Python", Needs: []string{"python3"}, start: python("requirements.txt", "check_aiokafka.py")},
		{Name: "kafkajs", Version: "2.2.4", Language: "JavaScript", Needs: []string{"node", "npm"}, start: node("check_kafkajs.js")},
		{Name: "@confluentinc/kafka-javascript", Version: "1.10.1", Language: "JavaScript", Needs: []string{"node", "npm", "g++", "make"}, start: node("check_confluent.js")},
		{Name: "franz-go", Version: "1.22.2", Language: "Go", Needs: []string{"go"}, start: golang("franz")},
		{Name: "sarama", Version: "1.61.1", Language: "Go", Needs: []string{"go"}, start: golang("sarama")},
		{Name: "segmentio/kafka-go", Version: "0.4.51", Language: "Go", Needs: []string{"go"}, start: golang("kafkago")},
	}
}

// Fetch brings everything the client needs, once.
func (c Client) Fetch(ctx context.Context) error {
	_, _, err := c.start(ctx)
	return err
}

// Command is the client's program with arguments.
func (c Client) Command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	argv, environ, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:], args...)...)
	cmd.Env = append(cmd.Environ(), environ...)
	return cmd, nil
}

// Dir is a folder of test/interop.
func Dir(name string) string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(filepath.Dir(file)), name)
}

// JVM is how a Java program is started: quickly, and quiet but for warnings.
func JVM(classpath, class string) []string {
	return []string{"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classpath, class}
}

// javaOldJars is the last 3.x line of the Java client; what it compiles runs with newer ones too.
func javaOldJars(ctx context.Context) (jars, classes string, err error) {
	pom := filepath.Join(Dir("java"), "pom.xml")
	print, err := toolchain.Fingerprint(pom)
	if err != nil {
		return "", "", err
	}
	if jars, err = toolchain.Jars(ctx, "java-"+print, pom); err != nil {
		return "", "", err
	}
	classes, err = toolchain.Classes(ctx, "java-check", Dir("java"), kafkaref.ClassPath(jars))
	return jars, classes, err
}

func javaOld(ctx context.Context) (argv, environ []string, err error) {
	jars, classes, err := javaOldJars(ctx)
	return JVM(toolchain.ClassPath(classes, kafkaref.ClassPath(jars)), "Check"), nil, err
}

func javaCurrent(ctx context.Context) (argv, environ []string, err error) {
	_, classes, err := javaOldJars(ctx)
	if err != nil {
		return nil, nil, err
	}
	jars, err := kafkaref.Jars(ctx)
	return JVM(toolchain.ClassPath(classes, kafkaref.ClassPath(jars)), "Check"), nil, err
}

func python(requirements, script string) func(context.Context) (argv, environ []string, err error) {
	return func(ctx context.Context) ([]string, []string, error) {
		interpreter, err := toolchain.Python(ctx, "python", filepath.Join(Dir("python"), requirements))
		return []string{interpreter, "-B", filepath.Join(Dir("python"), script)}, nil, err
	}
}

func node(script string) func(context.Context) (argv, environ []string, err error) {
	return func(ctx context.Context) ([]string, []string, error) {
		modules, err := toolchain.NodeModules(ctx, "node", Dir("node"))
		return []string{"node", filepath.Join(Dir("node"), script)}, []string{"NODE_PATH=" + filepath.Join(modules, "node_modules")}, err
	}
}

func golang(command string) func(context.Context) (argv, environ []string, err error) {
	return func(ctx context.Context) ([]string, []string, error) {
		dir, err := toolchain.GoCommands(ctx, "goclients", Dir("goclients"))
		return []string{filepath.Join(dir, command)}, nil, err
	}
}

// Semantics is the program that asks brokers what they answer (semantics), as a command line to append addresses and files to.
func Semantics(ctx context.Context) ([]string, error) {
	jars, err := kafkaref.Jars(ctx)
	if err != nil {
		return nil, err
	}
	classes, err := toolchain.Classes(ctx, "java-semantics", Dir("semantics"), kafkaref.ClassPath(jars))
	return JVM(toolchain.ClassPath(classes, kafkaref.ClassPath(jars)), "Semantics"), err
}

// Ride is the program that works on while brokers fail (ride), as a command line to append its arguments to.
func Ride(ctx context.Context) ([]string, error) {
	jars, err := kafkaref.Jars(ctx)
	if err != nil {
		return nil, err
	}
	classes, err := toolchain.Classes(ctx, "java-ride", Dir("ride"), kafkaref.ClassPath(jars))
	return JVM(toolchain.ClassPath(classes, kafkaref.ClassPath(jars)), "Ride"), err
}

// RideLibrdkafka is the same with confluent-kafka.
func RideLibrdkafka(ctx context.Context) ([]string, error) {
	argv, _, err := python("requirements.txt", "ride_confluent.py")(ctx)
	return argv, err
}

// Streams is the word count (streams), as a command line to append its arguments to.
func Streams(ctx context.Context) ([]string, error) {
	pom := filepath.Join(Dir("streams"), "pom.xml")
	print, err := toolchain.Fingerprint(pom)
	if err != nil {
		return nil, err
	}
	jars, err := toolchain.Jars(ctx, "streams-"+print, pom)
	if err != nil {
		return nil, err
	}
	classes, err := toolchain.Classes(ctx, "java-streams", Dir("streams"), kafkaref.ClassPath(jars))
	return JVM(toolchain.ClassPath(classes, kafkaref.ClassPath(jars)), "WordCount"), err
}

// StreamsVersion is that of Kafka Streams.
const StreamsVersion = "4.3.1"

// Spark is PySpark with its Kafka source: a Python interpreter and the folder of the source's jars.
func Spark(ctx context.Context) (interpreter, jars string, err error) {
	pom := filepath.Join(Dir("spark"), "pom.xml")
	print, err := toolchain.Fingerprint(pom)
	if err != nil {
		return "", "", err
	}
	if jars, err = toolchain.Jars(ctx, "spark-"+print, pom); err != nil {
		return "", "", err
	}
	interpreter, err = toolchain.Python(ctx, "pyspark", filepath.Join(Dir("spark"), "requirements.txt"))
	return interpreter, jars, err
}

// SparkVersion is PySpark's.
const SparkVersion = "4.0.0"
