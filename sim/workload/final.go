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
	return errors.Join(w.askAll(ctx), w.readAll(ctx)) // the reads last: records that are lost take all the time there is
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
	b := &body{w: w, process: finalProcess, rng: w.lateChild()}
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
	w.rec.Note(history.Op{Process: b.process, F: history.Final, Type: history.OK})
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

// asker is the client that asks everything but the records.
type asker struct {
	body
	adm *kadm.Client
}

// askAll asks for all that is not a record, with one client.
func (w *Workload) askAll(ctx context.Context) error {
	a := &asker{body: body{w: w, process: finalProcess + 1, rng: w.lateChild()}}
	cl, err := w.client(ctx, a.rng)
	if err != nil {
		return err
	}
	defer cl.Close()
	a.adm = kadm.NewClient(cl)
	groups := w.groups
	for _, b := range w.bookmarks {
		groups = append(groups, b.groups...)
	}
	for _, g := range groups {
		err = errors.Join(err, insist(ctx, "committed offsets of "+g, func() error { return a.fetch(ctx, a.adm, g) }))
	}
	for _, at := range []history.Probe{history.LogStart, history.LastStable, history.HighWatermark} {
		err = errors.Join(err, insist(ctx, "ends of partitions", func() error { return a.probe(ctx, a.adm, at) }))
	}
	return errors.Join(err, a.askTopics(ctx))
}

// lateChild is a generator for the final clients: of the workload's own, since Options.Rand is read only by New.
func (w *Workload) lateChild() *rand.Rand {
	return rand.New(rand.NewPCG(w.own.Uint64(), w.own.Uint64()))
}

// insist asks until it is answered.
func insist(ctx context.Context, what string, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// settling is how long metadata may lag behind an acknowledged change.
const settling = 5 * time.Second

// askTopics describes every topic of the admins until it is as it must be. What it is after settling is what the history has to say.
func (a *asker) askTopics(ctx context.Context) error {
	var all error
	for _, made := range a.w.admins {
		for _, want := range made.topics {
			begin := time.Now()
			all = errors.Join(all, insist(ctx, "describe "+want.Topic, func() error {
				found, err := a.describe(ctx, want)
				if err == nil && time.Since(begin) < settling && !as(found, want) {
					err = fmt.Errorf("%s is %+v, not %+v", want.Topic, found, want)
				}
				return err
			}))
		}
	}
	return all
}

// as reports whether a topic is as it must be.
func as(found, want history.Change) bool {
	if !found.Exists || !want.Exists {
		return found.Exists == want.Exists
	}
	return found.Partitions >= want.Partitions && found.Value == want.Value
}

// describe asks what a topic is.
func (a *asker) describe(ctx context.Context, want history.Change) (history.Change, error) {
	found := history.Change{Verb: history.Describe, Topic: want.Topic}
	asked := found
	call := a.w.rec.Begin(history.Op{Process: a.process, F: history.Admin, Change: &asked})
	m, err := a.adm.Metadata(ctx, want.Topic)
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
		rc, err := a.adm.DescribeTopicConfigs(ctx, want.Topic)
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
func (w *Workload) Check(o history.Options) []history.Anomaly {
	return history.Check(w.rec.History(), o)
}
