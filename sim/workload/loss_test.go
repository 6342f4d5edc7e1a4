package workload_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klamm/klamm/klammtest"
	"github.com/klamm/klamm/sim/history"
	"github.com/klamm/klamm/sim/workload"
)

// TestLossIsSeen is the test of the test: half of one partition is cut off behind the backs of all three brokers while they are dead, as if none
// of them had synced it. Clients that go on writing and reading must show it.
func TestLossIsSeen(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	begin := time.Now()
	rec := history.NewRecorder(func() int64 { return time.Since(begin).Nanoseconds() })
	w, err := workload.New(workload.Options{
		Seeds: c.Addrs(), Rand: rand.New(rand.NewPCG(uint64(begin.UnixNano()), 0)), Recorder: rec, Partitions: 2,
		Load: workload.Load{Producers: 3, Consumers: 1, Probers: 1}, Configs: map[string]string{"min.insync.replicas": "2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Create(ctx); err != nil {
		t.Fatal(err)
	}
	w.Start(ctx)
	run(ctx, t, time.Second)
	for _, b := range c.Brokers {
		b.Kill()
	}
	for _, b := range c.Brokers {
		halve(t, filepath.Join(b.DataDir(), "work-1", "00000000000000000000.log"))
	}
	c.Start()
	run(ctx, t, time.Second)
	limited, done := context.WithTimeout(ctx, 5*time.Second)
	defer done()
	failed := w.Final(limited) // it may well miss what it looks for
	save(t, rec.History())
	kinds := map[history.Kind]int{}
	for _, a := range w.Check(history.Options{Final: true}) {
		if kinds[a.Kind]++; kinds[a.Kind] == 1 {
			t.Logf("%s", history.Trace(rec.History(), a))
		}
		if a.Key.Topic != "" && a.Key.Partition != 1 {
			t.Errorf("nothing was done to %s: %s", a.Key, a)
		}
	}
	t.Logf("%v; final reads: %v", kinds, failed)
	if !slices.ContainsFunc([]history.Kind{history.LostWrite, history.Unseen, history.InconsistentOffsets, history.OffsetRealtime},
		func(k history.Kind) bool { return kinds[k] > 0 }) {
		t.Fatal("the loss was not seen")
	}
}

func halve(t *testing.T, name string) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, info.Size()/2); err != nil {
		t.Fatal(err)
	}
}
