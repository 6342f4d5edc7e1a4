package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/sim/history"
)

// Final stops the load, once all faults are over, and asks with fresh clients for everything that must be there: each key from its start past
// its highest acknowledged offset, what groups have committed, the ends of the partitions, the topics that admins left. An error says what the
// cluster did not give until ctx ended; then the history must be checked with Final all the same.
func (w *Workload) Final(ctx context.Context) error {
	w.stopFor(ctx)
	return errors.Join(w.readAll(ctx), w.askGroups(ctx), w.askEnds(ctx), w.askTopics(ctx))
}

// stopFor gives what is open a part of the time.
func (w *Workload) stopFor(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*w.o.Pace.Timeout)
	defer cancel()
	w.Stop(ctx)
}

// highest is, of each key, the highest offset that h has an acknowledgement of or that somebody read; -1 for none.
func (w *Workload) highest(h history.History) []int64 {
	top := slices.Repeat([]int64{history.None}, int(w.o.Partitions))
	for i := range h {
		op := &h[i]
		if op.F != history.Send && op.F != history.Poll || op.Type == history.Invoke {
			continue
		}
		for _, m := range op.Mops {
			if m.Key.Topic == w.o.Topic && int(m.Key.Partition) < len(top) && (op.F == history.Poll || op.Type == history.OK) {
				top[m.Key.Partition] = max(top[m.Key.Partition], m.Offset)
			}
		}
	}
	return top
}

// readAll polls every key until it was read past its highest known offset.
func (w *Workload) readAll(ctx context.Context) error {
	top := w.highest(w.rec.History())
	at := slices.Repeat([]int64{history.None}, len(top))
	b := &body{w: w, process: finalProcess, rng: rand.New(rand.NewPCG(w.own.Uint64(), w.own.Uint64()))}
	behind := func() (keys []string) {
		for p := range top {
			if at[p] < top[p] {
				keys = append(keys, fmt.Sprintf("%s-%d read to %d of %d", w.o.Topic, p, at[p], top[p]))
			}
		}
		return keys
	}
	for {
		err := w.readOnce(ctx, b, func(got []history.Mop) bool {
			for _, m := range got {
				at[m.Key.Partition] = m.Offset
			}
			return len(behind()) == 0
		})
		if err == nil {
			return nil
		}
		b.die()
		if !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("final read: %s: %w", strings.Join(behind(), ", "), err)
		}
	}
}

// readOnce reads with one client until enough says so.
func (w *Workload) readOnce(ctx context.Context, b *body, enough func(got []history.Mop) bool) error {
	cl, err := w.reader(ctx, b)
	if err != nil {
		return err
	}
	defer cl.Close()
	for ctx.Err() == nil {
		got, err := b.poll(ctx, cl, nil)
		if err != nil {
			return err
		}
		if enough(got) {
			return nil
		}
	}
	return ctx.Err()
}

// insist asks again until it is answered.
func (w *Workload) insist(ctx context.Context, what string, ask func(b *body, adm *kadm.Client) error) error {
	b := &body{w: w, process: finalProcess + 1, rng: rand.New(rand.NewPCG(w.own.Uint64(), w.own.Uint64()))}
	cl, err := w.client(ctx, b.rng)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for {
		err := ask(b, adm)
		if err == nil {
			return nil
		}
		if !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

func (w *Workload) askGroups(ctx context.Context) error {
	var all error
	for _, g := range w.groups {
		all = errors.Join(all, w.insist(ctx, "committed offsets of "+g, func(b *body, adm *kadm.Client) error { return b.fetch(ctx, adm, g) }))
	}
	return all
}

func (w *Workload) askEnds(ctx context.Context) error {
	var all error
	for _, at := range []history.Probe{history.LogStart, history.LastStable, history.HighWatermark} {
		all = errors.Join(all, w.insist(ctx, "ends of partitions", func(b *body, adm *kadm.Client) error { return b.probe(ctx, adm, at) }))
	}
	return all
}

// settling is how long metadata may lag behind an acknowledged change.
const settling = 5 * time.Second

// askTopics describes every topic of the admins until it is as it must be. What it is after settling is what the history has to say.
func (w *Workload) askTopics(ctx context.Context) error {
	var all error
	for _, a := range w.admins {
		for _, want := range a.topics {
			begin := time.Now()
			all = errors.Join(all, w.insist(ctx, "describe "+want.Topic, func(b *body, adm *kadm.Client) error {
				found, err := b.describe(ctx, adm, want)
				if err == nil && time.Since(begin) < settling && (found.Exists != want.Exists || found.Partitions < want.Partitions || found.Value != want.Value) {
					err = fmt.Errorf("%s is %+v, not %+v", want.Topic, found, want)
				}
				return err
			}))
		}
	}
	return all
}

// describe asks what a topic is.
func (b *body) describe(ctx context.Context, adm *kadm.Client, want history.Change) (history.Change, error) {
	found := history.Change{Verb: history.Describe, Topic: want.Topic}
	call := b.w.rec.Begin(history.Op{Process: b.process, F: history.Admin, Change: &found})
	m, err := adm.Metadata(ctx, want.Topic)
	if err != nil {
		call.Info(err)
		return found, err
	}
	t := m.Topics[want.Topic]
	if errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
		call.Describe(found).OK()
		return found, nil
	}
	if t.Err != nil {
		call.Info(t.Err)
		return found, t.Err
	}
	found.Exists, found.Partitions = true, int32(len(t.Partitions))
	if want.Config != "" {
		rc, err := adm.DescribeTopicConfigs(ctx, want.Topic)
		if err == nil && len(rc) == 1 {
			err = rc[0].Err
		}
		if err != nil {
			call.Info(err)
			return found, err
		}
		for _, c := range rc[0].Configs {
			if c.Key == want.Config {
				found.Config, found.Value = c.Key, c.MaybeValue()
			}
		}
	}
	call.Describe(found).OK()
	return found, nil
}

// Check checks everything recorded so far; o says what the run was. Final must say whether Final was called.
func (w *Workload) Check(o history.Options) []history.Anomaly { return history.Check(w.rec.History(), o) }
