package workload_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/klamm/klamm/klammtest"
	"github.com/klamm/klamm/sim/history"
	"github.com/klamm/klamm/sim/workload"
)

// patience bounds the whole test.
const patience = 2 * time.Minute

// TestWorkloadSeesNothingWrongWhenABrokerDies runs every kind of client against three brokers, of which one or two are killed and come back: the
// history has much of everything, and no anomaly.
func TestWorkloadSeesNothingWrongWhenABrokerDies(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rounds(t))*patience)
	defer cancel()
	before := goleak.IgnoreCurrent()
	c := klammtest.NewCluster(t, klammtest.Set("offsets.topic.num.partitions", "4"), klammtest.Set("group.min.session.timeout.ms", "1000"))
	begin := time.Now()
	rec := history.NewRecorder(func() int64 { return time.Since(begin).Nanoseconds() })
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w, err := workload.New(workload.Options{
		Seeds: c.Addrs(), Rand: rand.New(rand.NewPCG(seed, 0)), Recorder: rec, Load: workload.Small(),
		Configs: map[string]string{"min.insync.replicas": "2"}, Pace: workload.Pace{Life: 3 * time.Second, Session: 1500 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Create(ctx); err != nil {
		t.Fatal(err)
	}
	w.Start(ctx)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range rounds(t) {
		run(ctx, t, time.Second+time.Duration(rng.Int64N(int64(2*time.Second))))
		first := rng.IntN(len(c.Brokers))
		c.Brokers[first].Kill()
		if rng.IntN(3) == 0 {
			c.Brokers[(first+1)%len(c.Brokers)].Kill()
		}
		run(ctx, t, time.Second+time.Duration(rng.Int64N(int64(3*time.Second))))
		c.Start()
	}
	healed := rec.Len()
	run(ctx, t, 3*time.Second)
	if err := w.Final(ctx); err != nil {
		t.Error(err)
	}
	w.Close()
	h := rec.History()
	save(t, h)
	o := history.Options{Healed: h[healed].TimeNs, Final: true, ZombieReads: true, Windows: []history.Window{{ToNs: h[len(h)-1].TimeNs, F: history.Send}}}
	for _, a := range w.Check(o) {
		t.Error(history.Trace(h, a))
	}
	enough(t, h)
	c.Stop()
	goleak.VerifyNone(t, before)
}

// rounds is how many times brokers die: KLAMM_WORKLOAD_ROUNDS, or once.
func rounds(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("KLAMM_WORKLOAD_ROUNDS"), "1"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestWorkloadOnARunningCluster holds a cluster that somebody else runs (and perhaps breaks meanwhile), Apache Kafka among others, to the same
// rules: whatever Kafka itself does under kill -9 must not be an anomaly.
func TestWorkloadOnARunningCluster(t *testing.T) {
	seeds := os.Getenv("KLAMM_WORKLOAD_ON")
	if seeds == "" {
		t.Skip("KLAMM_WORKLOAD_ON names no brokers (host:port,...)")
	}
	d, err := time.ParseDuration(cmp.Or(os.Getenv("KLAMM_WORKLOAD_FOR"), "20s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d+patience)
	defer cancel()
	begin := time.Now()
	rec := history.NewRecorder(func() int64 { return time.Since(begin).Nanoseconds() })
	w, err := workload.New(workload.Options{
		Seeds: strings.Split(seeds, ","), Rand: rand.New(rand.NewPCG(uint64(begin.UnixNano()), 0)), Recorder: rec, Load: workload.Small(),
		Topic: fmt.Sprintf("work-%x", begin.UnixNano()), Configs: map[string]string{"min.insync.replicas": "2"}, Pace: workload.Pace{Life: 8 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Create(ctx); err != nil {
		t.Fatal(err)
	}
	w.Start(ctx)
	run(ctx, t, d)
	healed := time.Since(begin).Nanoseconds()
	if err := w.Final(ctx); err != nil {
		t.Error(err)
	}
	h := rec.History()
	save(t, h)
	for _, a := range w.Check(history.Options{Healed: healed, Final: true, ZombieReads: true}) {
		t.Error(history.Trace(h, a))
	}
	enough(t, h)
}

// run lets the clients work.
func run(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
}

// save keeps the history in the folder that KLAMM_HISTORY names, for those who look for what went wrong.
func save(t *testing.T, h history.History) {
	t.Helper()
	dir := os.Getenv("KLAMM_HISTORY")
	if dir == "" {
		return
	}
	f, err := os.CreateTemp(dir, "history-*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := history.Write(f, h); err != nil {
		t.Fatal(err)
	}
	t.Logf("history: %s", f.Name())
}

// enough checks that the history is not empty of what the test is about.
func enough(t *testing.T, h history.History) {
	t.Helper()
	counts := map[string]int{}
	read, generations := 0, map[int32]bool{}
	for i := range h {
		op := &h[i]
		counts[string(op.F)+" "+string(op.Type)]++
		if op.F == history.Poll {
			read += len(op.Mops)
		}
		if op.F == history.Assign && op.Group != nil {
			generations[op.Group.Generation] = true
		}
	}
	t.Logf("%v, %d records read, %d generations", counts, read, len(generations))
	for _, least := range []struct {
		what string
		n    int
	}{
		{"send ok", 300}, {"producer-id ok", 3}, {"poll ok", 50}, {"assign ok", 6}, {"commit ok", 10}, {"committed ok", 3}, {"list-offsets ok", 20}, {"admin ok", 8}, {"crash info", 5},
	} {
		if counts[least.what] < least.n {
			t.Errorf("%d of %q, wanted %d at least", counts[least.what], least.what, least.n)
		}
	}
	if read < 1000 || len(generations) == 0 {
		t.Errorf("%d records read, %d generations", read, len(generations))
	}
}
