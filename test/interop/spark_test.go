package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/test/interop/clients"
	"github.com/klamm/klamm/test/toolchain"
)

// sparkCases is what spark/cases.py prints, with what it shows.
func sparkCases() []Case {
	return []Case{
		{"batch.read", "ok rows=100 key=k-0 value=v-0-0 header=a", "batch read with keys and headers"},
		{"batch.read-offsets", "ok rows=60 first=10", "from offsets to offsets"},
		{"batch.read-timestamp", "ok first=29", "from a timestamp"},
		{"batch.read-pattern", "ok rows=100", "topics by pattern"},
		{"batch.write", "ok rows=200 keys=200", "batch write"},
		{"stream.read", "ok rows=100 distinct=100", "streaming read"},
		{"stream.restart", "ok rows=150 distinct=150", "restart from its checkpoint, nothing lost or twice"},
		{"stream.restart-nothing-new", "ok rows=150 distinct=150", "restart with nothing new"},
		{"stream.limited", "ok rows=150 distinct=150 batches=4", "limited micro-batches"},
		{"stream.write-back", "ok rows=200 keys=200", "streaming write back"},
		{"stream.continuing", "ok rows=230", "a query that goes on while records come"},
		{"gaps.batch", "ok fewer=true keys=10 last=399", "batch read of a compacted topic, whose offsets have gaps"},
		{"gaps.stream", "ok same=true", "streaming read of it, with failOnDataLoss"},
		{"lost.read", "ok rows=20", ""},
		{"lost.detected", "error KAFKA_DATA_LOSS", "deleted records are noticed with failOnDataLoss"},
		{"lost.accepted", "ok rows=30", "and passed over without"},
		{"unknown.topic", "error UnknownTopicOrPartition", "an unknown topic"},
		{"too-large", "error RecordTooLarge", "a record that is too large"},
		{"through.started", "ok rows=100 distinct=100", ""},
		{"through.went-on", "ok rows=300 distinct=300", "a query that goes on while a broker is killed"},
		{"through.restarted", "ok rows=500 distinct=500", "restart from its checkpoint while another is dead, nothing lost or twice"},
	}
}

// TestSpark is Structured Streaming of Spark 4, all cases in one JVM.
func TestSpark(t *testing.T) {
	toolchain.Need(t, "java", "mvn", "python3")
	interpreter, jars, err := clients.Spark(t.Context())
	if err != nil {
		toolchain.Unavailable(t, "cannot be fetched: "+err.Error())
	}
	// Topics are not created by asking for them, so that an unknown one is an error; the cleaner looks again and again.
	node := startTarget(t, "auto.create.topics.enable=false", "log.cleaner.backoff.ms=100")
	const prefix = "spark"
	for _, topic := range []string{"in", "out", "back", "lost", "live"} {
		makeTopic(t, node.addr, prefix+"-"+topic, 2, map[string]string{"retention.ms": "-1"})
	}
	fillForSpark(t, node.addr, prefix+"-in")
	makeGaps(t, node.addr, prefix+"-gaps")
	got := runSpark(t, node, prefix, interpreter, jars)
	for _, wrong := range got.Check(sparkCases()) {
		t.Error(wrong)
	}
	if t.Failed() {
		return
	}
	ran.Lock()
	defer ran.Unlock()
	for _, c := range sparkCases() {
		if c.Text != "" {
			ran.Spark = append(ran.Spark, Line{Program: "PySpark " + clients.SparkVersion + ", spark-sql-kafka-0-10", What: c.Text})
		}
	}
}

// runSpark runs the program to its end. While it streams it loses a broker of the cluster, and another when it starts again.
func runSpark(t *testing.T, node target, prefix, interpreter, jars string) Transcript {
	t.Helper()
	t.Setenv("SPARK_LOCAL_IP", "127.0.0.1")
	live := prefix + "-live"
	writeLive(t, node.addr, live, 100)
	p := startProgram(t, interpreter, "-B", filepath.Join(clients.Dir("spark"), "cases.py"), node.addr, t.TempDir(), prefix, jars)
	var said bytes.Buffer
	for line := range p.lines {
		fmt.Fprintln(&said, line)
		var lost int
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "through.started":
			lost = 0
		case "through.went-on":
			lost = 1
		default:
			continue
		}
		if node.machines != nil {
			if lost > 0 {
				if err := node.machines.Start(lost - 1); err != nil {
					t.Fatal(err)
				}
				inSync(t, node, live)
			}
			node.machines.Kill(lost)
		}
		writeLive(t, node.addr, live, 200)
		if _, err := io.WriteString(p.in, "go on\n"); err != nil {
			t.Error(err)
		}
	}
	got, err := ParseTranscript(said.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// inSync waits until all replicas of a topic are.
func inSync(t *testing.T, node target, topic string) {
	t.Helper()
	cl := client(t, node.addr, kgo.MetadataMinAge(20*time.Millisecond))
	p := &patient{target: node, t: t, cl: cl, adm: kadm.NewClient(cl)}
	p.healed(topic)
}

// writeLive writes n records to the topic that the last stream reads.
func writeLive(t *testing.T, addr, topic string, n int) {
	t.Helper()
	cl := client(t, addr)
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k-%d", i), Value: []byte("live")})
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// fillForSpark writes fifty records to each of two partitions, a second apart from the start of 2020.
func fillForSpark(t *testing.T, addr, topic string) {
	t.Helper()
	cl := client(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	first := time.Date(2020, 1, 1, 0, 0, 1, 0, time.UTC)
	var records []*kgo.Record
	for i := range 100 {
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(i % 2), Key: fmt.Appendf(nil, "k-%d", i/2), Value: fmt.Appendf(nil, "v-%d-%d", i%2, i/2),
			Timestamp: first.Add(time.Duration(i/2) * time.Second), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("a")}}})
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// makeGaps writes 400 records of ten keys to a compacted topic and waits until some of them are gone.
func makeGaps(t *testing.T, addr, topic string) {
	t.Helper()
	makeTopic(t, addr, topic, 1, map[string]string{"cleanup.policy": "compact", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01"})
	// Uncompressed and in small batches, so that segments fill up and roll.
	cl := client(t, addr, kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(50_000))
	value := strings.Repeat("x", 10_000)
	for i := range 400 {
		cl.Produce(t.Context(), &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k-%d", i%10), Value: []byte(value)}, nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if countRecords(t, addr, topic, 399) < 300 {
			return
		}
	}
	t.Fatal("the topic has not been compacted within a minute")
}

// countRecords reads partition 0 from its beginning to the given last offset.
func countRecords(t *testing.T, addr, topic string, last int64) int {
	t.Helper()
	cl, err := kgo.NewClient(seeds(addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(0)}}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	found, at := 0, int64(-1)
	for at < last && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			found++
			at = r.Offset
		})
	}
	return found
}

// client is a franz-go client that ends with the test.
func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{seeds(addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}
