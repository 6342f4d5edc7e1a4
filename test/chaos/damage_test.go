package chaos

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/test/process"
)

// damageConfigs make many small segments, so that every kind of file exists.
func damageConfigs() map[string]*string {
	segment, interval := "1048576", "1024"
	return map[string]*string{"segment.bytes": &segment, "index.interval.bytes": &interval}
}

// fill writes records with keys, timestamps and one idempotent producer, and returns the values by partition and offset.
func fill(ctx context.Context, t *testing.T, addr, topic string, partitions int32, n int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, damageConfigs(), topic); err != nil {
		t.Fatal(err)
	}
	pad := strings.Repeat("x", 2000)
	for i := range n {
		r := &kgo.Record{Key: fmt.Appendf(nil, "k%d", i%7), Value: fmt.Appendf(nil, "%06d %s", i, pad), Timestamp: time.UnixMilli(1_700_000_000_000 + int64(i)*1000)}
		cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
		if i%50 == 0 {
			if err := cl.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// answers is what a client can find out about a topic: every record, offsets by time, bounds, and its committed offset.
func answers(ctx context.Context, t *testing.T, addr, topic string) string {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	byPartition := map[int32]*strings.Builder{}
	var left int64
	ends.Each(func(o kadm.ListedOffset) {
		left += o.Offset
		byPartition[o.Partition] = &strings.Builder{}
		fmt.Fprintf(byPartition[o.Partition], "end %d epoch-known %t\n", o.Offset, o.LeaderEpoch >= 0)
	})
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d records to go: %v", left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			fmt.Fprintf(byPartition[r.Partition], "%d %s %s %d\n", r.Offset, r.Key, r.Value[:6], r.Timestamp.UnixMilli())
		})
	}
	var out strings.Builder
	for p := range int32(len(byPartition)) {
		fmt.Fprintf(&out, "partition %d\n%s", p, byPartition[p])
	}
	for _, at := range []int64{0, 1_700_000_000_000 + 333_000, 1_700_000_000_000 + 999_000} {
		found, err := admin.ListOffsetsAfterMilli(ctx, at, topic)
		if err != nil {
			t.Fatal(err)
		}
		for p := range int32(len(byPartition)) {
			o, _ := found.Lookup(topic, p)
			fmt.Fprintf(&out, "time %d partition %d: %d\n", at, p, o.Offset)
		}
	}
	return out.String()
}

// derived lists the files below dir that hold nothing which cannot be worked out again.
func derived(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			// The metadata log is the truth itself, and kept once on a single node.
			if e.Name() == "klamm-metadata" {
				return filepath.SkipDir
			}
			return nil
		}
		switch name := e.Name(); {
		case strings.HasSuffix(name, ".log"), name == "meta.properties", name == "partition.metadata", name == ".lock":
		default:
			out = append(out, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestDamagedDerivedFilesChangeNoAnswer: indexes, snapshots and checkpoints can be worked out again; deleting or flipping bits in any of them,
// after a clean end and after a kill, costs time and nothing else (invariant S3).
func TestDamagedDerivedFilesChangeNoAnswer(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	dir := t.TempDir()
	node := process.Start(t, dir, "")
	addr := node.Kafka
	const topic = "damaged"
	fill(ctx, t, addr, topic, 2, 3000)
	want := answers(ctx, t, addr, topic)
	if n := strings.Count(want, "\n"); n < 3000 {
		t.Fatalf("%d lines of answers", n)
	}
	kinds := map[string]int{}
	for round := range 12 {
		if round%2 == 0 {
			if err := node.Terminate(20 * time.Second); err != nil {
				t.Fatal(err)
			}
		} else {
			node.Kill()
		}
		files := derived(t, dir)
		if len(files) < 8 {
			t.Fatalf("found only %v", files)
		}
		for range 1 + rng.IntN(len(files)) {
			f := files[rng.IntN(len(files))]
			kinds[filepath.Ext(f)]++
			damage(t, rng, f)
		}
		var err error
		if node, err = process.TryStart(process.Binary(t), dir, addr); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got := answers(ctx, t, addr, topic); got != want {
			t.Fatalf("round %d: answers changed\n%s", round, firstDifference(want, got))
		}
	}
	node.Kill()
	t.Logf("damaged by kind: %v", kinds)
}

// damage deletes, empties, cuts or flips a bit of a file.
func damage(t *testing.T, rng *rand.Rand, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return // deleted earlier in this round
	}
	if err == nil {
		switch k := rng.IntN(4); {
		case k == 0 || len(b) == 0:
			err = os.Remove(file)
		case k == 1:
			err = os.Truncate(file, int64(rng.IntN(len(b))))
		default:
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			err = os.WriteFile(file, b, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d: want %q, got %q", i, w[i], g[i])
		}
	}
	return fmt.Sprintf("want %d lines, got %d", len(w), len(g))
}

// TestFlippedBitInASegmentIsFoundAndNotServed: data that was safe on disk and changed there must be reported and never reach a consumer, while
// everything around it still does (invariant L7).
func TestFlippedBitInASegmentIsFoundAndNotServed(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	dir := t.TempDir()
	node := process.Start(t, dir, "")
	const topic = "flipped"
	fill(ctx, t, node.Kafka, topic, 1, 2000)
	if err := node.Terminate(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, topic+"-0", "*.log"))
	if err != nil || len(segments) < 3 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	// In the second half of the first segment, so that there is something before and behind it.
	at := len(b)/2 + rng.IntN(len(b)/4)
	b[at] ^= 1 << rng.IntN(8)
	if err := os.WriteFile(segments[0], b, 0o644); err != nil {
		t.Fatal(err)
	}
	node = process.Start(t, dir, "")
	cl, err := kgo.NewClient(kgo.SeedBrokers(node.Kafka), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepRetryableFetchErrors())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	next, served := int64(0), 0
	for served == 0 || next >= 0 {
		fetches := cl.PollFetches(ctx)
		fetches.EachRecord(func(r *kgo.Record) {
			if want := fmt.Sprintf("%06d", r.Offset); string(r.Value[:6]) != want || strings.Trim(string(r.Value[7:]), "x") != "" {
				t.Fatalf("offset %d holds %.10q, want %s: a damaged record was served", r.Offset, r.Value, want)
			}
			next, served = r.Offset+1, served+1
		})
		if ctx.Err() != nil {
			t.Fatalf("no error after %d records", served)
		}
		if err := fetches.Err(); err != nil {
			t.Logf("at offset %d: %v", next, err)
			if !strings.Contains(err.Error(), kerr.CorruptMessage.Message) && !strings.Contains(err.Error(), kerr.KafkaStorageError.Message) {
				t.Fatalf("unexpected error %v", err)
			}
			break
		}
	}
	if served == 0 {
		t.Error("nothing before the damage was served")
	}
	// Behind the damaged batch reading goes on.
	after, err := kgo.NewClient(kgo.SeedBrokers(node.Kafka), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(1990)}}))
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if fetches := after.PollFetches(ctx); fetches.Err() != nil || fetches.NumRecords() == 0 {
		t.Errorf("behind the damage: %d records, %v", fetches.NumRecords(), fetches.Err())
	}
	resp, err := http.Get("http://" + node.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(b), `klamm_log_events_total{kind="corrupt"}`) {
		t.Errorf("/metrics does not count the corruption: %v", err)
	}
	if !strings.Contains(node.Log(), "corrupt") {
		t.Error("the log does not mention the corruption")
	}
}
