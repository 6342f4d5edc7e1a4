package interop

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/test/kafkaref"
	"github.com/klamm/klamm/test/process"
	"github.com/klamm/klamm/test/toolchain"
)

// target is what is under test: a cluster, or one node.
type target struct {
	// addr is where clients begin: every broker, joined by commas. data are the brokers' log directories.
	addr string
	data []string
	// brokers is how many there are, and on how many every partition stands.
	brokers int
	// kafka is true for Apache Kafka itself, which every test must pass on too.
	kafka bool
	// machines are the processes of several brokers; klamm is the same when they are Klamm's.
	machines machines
	klamm    *process.Cluster
}

// seeds makes a client of the tests themselves begin at the addresses.
func seeds(addr string) kgo.Opt { return kgo.SeedBrokers(strings.Split(addr, ",")...) }

// clusterSize is how many brokers the tests run on: three, or KLAMM_TEST_BROKERS.
func clusterSize(t *testing.T) int {
	t.Helper()
	v := os.Getenv("KLAMM_TEST_BROKERS")
	if v == "" {
		return 3
	}
	n, err := strconv.Atoi(v)
	if err != nil || n != 1 && n != 3 {
		t.Fatalf("KLAMM_TEST_BROKERS=%s: 1 or 3", v)
	}
	return n
}

// startTarget runs brokers for the test: three of Klamm, where every partition stands three times and acks=all needs two of them; Apache Kafka's
// with KLAMM_TEST_TARGET=kafka; one alone with KLAMM_TEST_BROKERS=1. Groups start without the delay that waits for more members.
func startTarget(t *testing.T, properties ...string) target {
	t.Helper()
	return startBrokers(t, clusterSize(t), properties...)
}

// startBrokers is startTarget for a number of brokers.
func startBrokers(t *testing.T, n int, properties ...string) target {
	t.Helper()
	properties = append(replicated(n), properties...)
	if os.Getenv("KLAMM_TEST_TARGET") == "kafka" {
		return startKafka(t, n, properties...)
	}
	var args []string
	for _, p := range properties {
		args = append(args, "-X", p)
	}
	if n == 1 { // as it starts for who just starts it: nothing to join
		dir := t.TempDir()
		return target{addr: process.Start(t, dir, "", args...).Kafka, data: []string{dir}, brokers: 1}
	}
	c := process.StartCluster(t, n, args...)
	return target{addr: strings.Join(c.Kafka, ","), data: c.Data, brokers: n, machines: klammMachines{c}, klamm: c}
}

// replicated are the properties of a cluster that keeps every partition on all of its n brokers.
func replicated(n int) []string {
	properties := []string{"group.initial.rebalance.delay.ms=0"}
	if n > 1 {
		properties = append(properties, "default.replication.factor="+strconv.Itoa(n), "min.insync.replicas=2")
	}
	return properties
}

// startKafka runs Apache Kafka.
func startKafka(t *testing.T, n int, properties ...string) target {
	t.Helper()
	toolchain.Need(t, "java", "mvn")
	if n == 1 {
		b := kafkaref.Start(t, t.TempDir(), properties...)
		return target{addr: b.Addr, data: []string{b.Data}, brokers: 1, kafka: true}
	}
	o := kafkaref.ClusterOptions{
		JVM:    []string{"-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"},
		Around: func(start func() error) error { return start() },
	}
	nodes, err := o.TryStart(t.Context(), t.TempDir(), n, properties...)
	if err != nil {
		t.Fatal(err)
	}
	got := target{brokers: n, kafka: true, machines: kafkaMachines{t.Context(), nodes}}
	var addrs []string
	for _, b := range nodes {
		t.Cleanup(b.Kill)
		addrs, got.data = append(addrs, b.Addr), append(got.data, b.Data)
	}
	got.addr = strings.Join(addrs, ",")
	return got
}
