package interop

import (
	"os"
	"testing"

	"github.com/klamm/klamm/test/kafkaref"
	"github.com/klamm/klamm/test/process"
	"github.com/klamm/klamm/test/toolchain"
)

// target is the broker under test.
type target struct {
	// addr is where clients connect, data its log directory.
	addr, data string
	// kafka is true for Apache Kafka itself, which every test must pass on too.
	kafka bool
}

// startTarget runs a node for the test: Klamm, or Apache Kafka with KLAMM_TEST_TARGET=kafka. Groups start without the delay that waits for
// more members.
func startTarget(t *testing.T, properties ...string) target {
	t.Helper()
	properties = append([]string{"group.initial.rebalance.delay.ms=0"}, properties...)
	if os.Getenv("KLAMM_TEST_TARGET") == "kafka" {
		return startKafka(t, properties...)
	}
	dir := t.TempDir()
	var args []string
	for _, p := range properties {
		args = append(args, "-X", p)
	}
	return target{addr: process.Start(t, dir, "", args...).Kafka, data: dir}
}

// startKafka runs Apache Kafka.
func startKafka(t *testing.T, properties ...string) target {
	t.Helper()
	toolchain.Need(t, "java", "mvn")
	b := kafkaref.Start(t, t.TempDir(), append([]string{"group.initial.rebalance.delay.ms=0"}, properties...)...)
	return target{addr: b.Addr, data: b.Data, kafka: true}
}
