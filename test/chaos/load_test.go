package chaos

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/klamm/klamm/sim/history"
	"github.com/klamm/klamm/sim/workload"
)

// recording is the load of a campaign and what its clients saw: idempotent producers, consumers by assignment and in a group, a prober of
// offsets and an admin. They run here and not on a machine: no fault is theirs.
type recording struct {
	*workload.Workload
	rec   *history.Recorder
	begun time.Time

	mu   sync.Mutex
	read int     // ops looked at
	acks []int64 // when each record was acknowledged, in nanoseconds since begun
}

// startLoad creates the topic and lets the clients work.
func (c *campaign) startLoad() error {
	r := &recording{begun: time.Now()}
	r.rec = history.NewRecorder(func() int64 { return time.Since(r.begun).Nanoseconds() })
	var err error
	r.Workload, err = workload.New(workload.Options{
		Seeds: c.f.addrs(), Rand: rand.New(rand.NewPCG(c.seed, 6)), Recorder: r.rec, Topic: loadTopic, Partitions: loadPartitions, Replicas: replicas, Fewest: 2,
		Configs: map[string]string{"min.insync.replicas": "2", "segment.bytes": "1048576"},
		Load:    workload.Load{Producers: 4, Consumers: 2, Groups: 1, Members: 3, Probers: 1, Admins: 1},
		Pace:    workload.Pace{Send: 10 * time.Millisecond, Life: 15 * time.Second, Timeout: 2 * time.Second},
	})
	if err != nil {
		return err
	}
	c.t.Cleanup(func() {
		r.Close()
		if c.t.Failed() {
			c.save(r.rec.History())
		}
	})
	c.load = r
	if err := r.Create(c.ctx); err != nil {
		return err
	}
	r.Start(c.ctx)
	return nil
}

// look reads on in the history.
func (r *recording) look() {
	for _, op := range r.rec.Since(r.read) {
		r.read++
		if op.F == history.Send && op.Type == history.OK {
			r.acks = append(r.acks, op.TimeNs)
		}
	}
}

// acked is how many records were acknowledged so far.
func (r *recording) acked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look()
	return len(r.acks)
}

// gap is the longest time without an acknowledgement since from.
func (r *recording) gap(from time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look()
	last, longest := from.Sub(r.begun), time.Duration(0)
	i, _ := slices.BinarySearch(r.acks, int64(last))
	for _, at := range r.acks[i:] {
		longest, last = max(longest, time.Duration(at)-last), time.Duration(at)
	}
	return max(longest, time.Since(r.begun)-last)
}

// save keeps the history of a failed run.
func (c *campaign) save(h history.History) {
	name := filepath.Join(c.f.lab.Dir(), "history.jsonl")
	out, err := os.Create(name)
	if err == nil {
		err = history.Write(out, h)
		if e := out.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		c.t.Log(err)
		return
	}
	keep(c.t, name, "history.jsonl")
}

// judge stops the load, lets fresh clients read everything, and holds all that was seen against what a cluster may show.
func (c *campaign) judge(healed int64) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, time.Minute)
	defer cancel()
	if err := c.load.Final(ctx); err != nil {
		c.t.Errorf("final reads: %v", err)
	}
	c.load.Close()
	h := c.load.rec.History()
	for _, a := range history.Check(h, history.Options{Healed: healed, Final: true, ZombieReads: true, Limit: 5}) {
		c.t.Error(a)
	}
	counts := map[history.Func]int{}
	for i := range h {
		if h[i].Type == history.OK {
			counts[h[i].F]++
		}
	}
	c.t.Logf("history: %d ops, successful by kind %v", len(h), counts)
	for _, want := range []history.Func{history.Send, history.Poll, history.Commit, history.ListOffsets, history.Admin} {
		if counts[want] < 20 && c.whole {
			c.t.Errorf("only %d ops of kind %s succeeded: this run shows little", counts[want], want)
		}
	}
}
