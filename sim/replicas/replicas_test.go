package replicas_test

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
	"github.com/klamm/klamm/klammtest"
	"github.com/klamm/klamm/sim/history"
	"github.com/klamm/klamm/sim/replicas"
	"github.com/klamm/klamm/sim/workload"
)

// one is a batch of n records whose values are text.
func one(base int64, n int, text string) replicas.Batch {
	b := batch.NewBuilder(batch.PlainBatch())
	for range n {
		b.Add(batch.Record{Value: []byte(text)})
	}
	bytes := append([]byte(nil), b.Bytes()...)
	batch.SetOffset(bytes, model.Offset(base), 1)
	return replicas.Batch{Base: base, Last: base + int64(n) - 1, Bytes: bytes}
}

func replica(name string, start, hw int64, batches ...replicas.Batch) replicas.Reader {
	return replicas.Reader{Name: name, LogStart: start, HighWatermark: hw, Batches: seq(batches, nil)}
}

func seq(batches []replicas.Batch, err error) iter.Seq2[replicas.Batch, error] {
	return func(yield func(replicas.Batch, error) bool) {
		for _, b := range batches {
			if !yield(b, nil) {
				return
			}
		}
		if err != nil {
			yield(replicas.Batch{}, err)
		}
	}
}

func TestFirstDifference(t *testing.T) {
	a0, a2, a3 := one(0, 2, "a"), one(2, 1, "b"), one(3, 4, "c")
	flipped := one(2, 1, "b")
	flipped.Bytes = append([]byte(nil), flipped.Bytes...)
	flipped.Bytes[len(flipped.Bytes)-1] ^= 1
	for _, tc := range []struct {
		name   string
		other  replicas.Reader
		offset int64
		says   string // "" for no difference
	}{
		{"the same", replica("b", 0, 7, a0, a2, a3), 0, ""},
		{"shorter above the high watermark", replica("b", 0, 3, a0, a2), 0, ""},
		{"other bytes above the high watermark", replica("b", 0, 3, a0, a2, one(3, 2, "x")), 0, ""},
		{"begins later", replica("b", 2, 7, a2, a3), 0, ""},
		{"old batches below the log start", replica("b", 2, 7, one(0, 1, "z"), a2, a3), 0, ""},
		{"other bytes", replica("b", 0, 7, a0, one(2, 1, "B"), a3), 2, "first that differs"},
		{"a flipped bit", replica("b", 0, 7, a0, flipped, a3), 2, "second is damaged"},
		{"other batches", replica("b", 0, 7, a0, a2, one(3, 2, "c"), one(5, 2, "c")), 3, "3..6 here, 3..4 there"},
		{"a hole", replica("b", 0, 7, a0, a3), 2, "2..2 here, 3..6 there"},
		{"short", replica("b", 0, 7, a0, a2), 3, "end of the log there"},
	} {
		d, same, err := replicas.First([]replicas.Reader{replica("a", 0, 7, a0, a2, a3), tc.other})
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if tc.says == "" {
			if d != nil || same == 0 {
				t.Errorf("%s: %v after %d bytes", tc.name, d, same)
			}
		} else if d == nil || d.Offset != tc.offset || !strings.Contains(d.Text, tc.says) {
			t.Errorf("%s: %v, want %q at %d", tc.name, d, tc.says, tc.offset)
		}
	}
	broken := replicas.Reader{Name: "b", HighWatermark: 7, Batches: seq([]replicas.Batch{a0}, errors.New("unreadable"))}
	if _, _, err := replicas.First([]replicas.Reader{replica("a", 0, 7, a0, a2, a3), broken}); err == nil || !strings.Contains(err.Error(), "b: unreadable") {
		t.Errorf("unreadable: %v", err)
	}
	if d, _, err := replicas.First([]replicas.Reader{replica("a", 0, 9, a0), replica("b", 0, 9, a0)}); d == nil || d.Offset != 2 || err != nil {
		t.Errorf("all short: %v %v", d, err)
	}
}

// TestReplicasOfARealClusterAreTheSame writes through the death of a broker, stops all in order and compares their directories; then it flips a
// bit in one of them, which must be found.
func TestReplicasOfARealClusterAreTheSame(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := klammtest.NewCluster(t)
	begin := time.Now()
	w, err := workload.New(workload.Options{
		Seeds: c.Addrs(), Rand: rand.New(rand.NewPCG(uint64(begin.UnixNano()), 0)), Recorder: history.NewRecorder(func() int64 { return int64(time.Since(begin)) }),
		Load: workload.Load{Producers: 3}, Configs: map[string]string{"min.insync.replicas": "2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Create(ctx); err != nil {
		t.Fatal(err)
	}
	w.Start(ctx)
	wait(ctx, t, time.Second)
	c.Brokers[1].Kill()
	wait(ctx, t, time.Second)
	c.Start()
	wait(ctx, t, time.Second)
	if err := w.Final(ctx); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var nodes []replicas.Node
	for _, b := range c.Brokers {
		nodes = append(nodes, replicas.Node{Name: filepath.Base(b.DataDir()), FS: vfs.OS(), Dirs: []string{b.DataDir()}})
	}
	c.Stop()
	report, err := replicas.Compare(nodes, replicas.Options{Replicas: 3})
	if err != nil || len(report.Differences) > 0 || report.Partitions != 8 || report.Bytes < 20_000 {
		t.Fatalf("%+v: %v", report, err)
	}
	t.Logf("%d partitions, %d bytes of each replica", report.Partitions, report.Bytes)
	flip(t, filepath.Join(c.Brokers[2].DataDir(), "work-3"))
	report, err = replicas.Compare(nodes, replicas.Options{Replicas: 3})
	if err != nil || len(report.Differences) != 1 || !strings.Contains(report.Differences[0], "is damaged") {
		t.Fatalf("%+v: %v", report, err)
	}
}

func wait(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
}
