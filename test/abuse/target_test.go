package abuse

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/test/process"
)

// target is the broker under attack.
type target struct {
	addr string
	node *process.Node // nil when the broker is somebody else's
}

// attack starts a broker for one test, or takes the one that ABUSE_BROKER names.
func attack(t *testing.T, args ...string) *target {
	t.Helper()
	if addr := os.Getenv("ABUSE_BROKER"); addr != "" {
		return &target{addr: addr}
	}
	n := process.Start(t, t.TempDir(), "", args...)
	return &target{addr: n.Kafka, node: n}
}

// ownProcess skips what cannot be seen from outside.
func (tg *target) ownProcess(t *testing.T) {
	t.Helper()
	if tg.node == nil {
		t.Skip("needs the broker's process: unset ABUSE_BROKER")
	}
}

// checkAlive wants the process to be there, without a panic in its log, and to serve a client that has just come.
func (tg *target) checkAlive(t *testing.T) {
	t.Helper()
	if tg.node != nil {
		select {
		case <-tg.node.Done():
			t.Fatalf("the broker is gone:\n%s", tg.node.Log())
		default:
		}
		if log := tg.node.Log(); strings.Contains(log, "panic") {
			t.Errorf("the broker panicked:\n%s", log)
		}
	}
	topic := fmt.Sprintf("alive-%d", time.Now().UnixNano())
	tg.createTopic(t, topic, 1, nil)
	cl := tg.client(t, kgo.DefaultProduceTopic(topic), kgo.ConsumeTopics(topic))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := cl.ProduceSync(ctx, kgo.StringRecord("alive")).FirstErr(); err != nil {
		t.Fatalf("a new client cannot produce: %v", err)
	}
	if f := cl.PollFetches(ctx); f.Err() != nil || f.NumRecords() != 1 {
		t.Fatalf("a new client cannot consume: %d records, %v", f.NumRecords(), f.Err())
	}
}

// client is a kgo client that closes with the test.
func (tg *target) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(tg.addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func (tg *target) createTopic(t *testing.T, topic string, partitions int32, configs map[string]*string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	adm := kadm.NewClient(tg.client(t))
	r, err := adm.CreateTopic(ctx, partitions, 1, configs, topic)
	if err == nil {
		err = r.Err
	}
	if err != nil {
		t.Fatalf("create %s: %v", topic, err)
	}
}

// endOffset is where a partition ends.
func (tg *target) endOffset(t *testing.T, topic string, partition int32) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ends, err := kadm.NewClient(tg.client(t)).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := ends.Lookup(topic, partition)
	if !ok || o.Err != nil {
		t.Fatalf("end of %s-%d: %+v", topic, partition, o)
	}
	return o.Offset
}

// fresh is a topic name that no earlier run used, for brokers that live longer than a test.
func fresh(t *testing.T) string {
	name := strings.NewReplacer("/", "-", " ", "-", ",", "", "^", "", "(", "", ")", "").Replace(t.Name())
	return fmt.Sprintf("%s-%d", name, time.Now().UnixNano())
}

// newRand gives an attack its randomness and prints how to have the same again.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("ABUSE_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("ABUSE_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("replay with ABUSE_SEED=%d go test -run '^%s$' ./test/abuse", seed, t.Name())
	return rand.New(rand.NewPCG(seed, 1))
}

const mib = 1 << 20

// memory is what the kernel says the process occupies, in bytes: now, and at most since resetPeak.
func (tg *target) memory(t *testing.T) (now, peak int) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", tg.node.PID()))
	if err != nil {
		t.Skipf("no memory to read on this system: %v", err)
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		name, value, _ := strings.Cut(in.Text(), ":")
		kb, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch name {
		case "VmRSS":
			now = kb << 10
		case "VmHWM":
			peak = kb << 10
		}
	}
	return now, peak
}

// resetPeak makes the kernel forget the most the process ever occupied.
func (tg *target) resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", tg.node.PID()), []byte("5"), 0); err != nil {
		t.Logf("the peak stays what it was: %v", err)
	}
}

// watchMemory wants the process to grow by no more than limit bytes until the function it returns is called.
func (tg *target) watchMemory(t *testing.T, limit int) (check func()) {
	t.Helper()
	if tg.node == nil {
		return func() {}
	}
	tg.resetPeak(t)
	before, _ := tg.memory(t)
	return func() {
		t.Helper()
		now, peak := tg.memory(t)
		t.Logf("memory before %d MiB, at most %d MiB, after %d MiB", before/mib, peak/mib, now/mib)
		if grown := peak - before; grown > limit {
			t.Errorf("memory grew by %d MiB under attack, limit %d MiB", grown/mib, limit/mib)
		}
	}
}
