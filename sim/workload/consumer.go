package workload

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/sim/history"
)

// consumer reads all keys by assignment, from their beginning. Its process ends with its client, so each life begins there anew.
type consumer struct{ body }

func (c *consumer) run(ctx context.Context) {
	for !c.done(ctx) {
		c.live(ctx)
		c.die()
	}
}

func (c *consumer) live(ctx context.Context) {
	cl, err := c.w.reader(ctx, &c.body)
	if err != nil {
		c.rest(ctx, c.w.o.Pace.Poll)
		return
	}
	defer cl.Close()
	end := time.NewTimer(c.around(c.w.o.Pace.Life))
	defer end.Stop()
	for !c.done(ctx) {
		if _, err := c.poll(ctx, cl, nil); err != nil {
			c.rest(ctx, c.w.o.Pace.Poll)
			return
		}
		select {
		case <-end.C:
			return
		default:
		}
	}
}

// reader is a client that has all keys from their beginning, and says so in the history.
func (w *Workload) reader(ctx context.Context, b *body) (*kgo.Client, error) {
	from := map[int32]kgo.Offset{}
	op := history.Op{Process: b.process, F: history.Assign, Type: history.OK}
	for _, k := range w.Keys() {
		from[k.Partition] = kgo.NewOffset().AtStart()
		op.Mops = append(op.Mops, history.Mop{Key: k, Offset: 0})
	}
	// No place to go when the cluster says that an offset is out of range: then the poll says so, and the checker knows what to think of it.
	cl, err := w.client(ctx, b.rng, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{w.o.Topic: from}), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(w.o.Pace.Poll), kgo.FetchMaxPartitionBytes(int32(4<<10+b.rng.IntN(256<<10))), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, err
	}
	w.rec.Note(op)
	return cl, nil
}

// poll is one poll of a client, recorded; an error means that the client is of no more use.
func (b *body) poll(ctx context.Context, cl *kgo.Client, group *history.Membership) ([]history.Mop, error) {
	ctx, cancel := context.WithTimeout(ctx, b.w.o.Pace.Poll)
	defer cancel()
	call := b.w.rec.Begin(history.Op{Process: b.process, F: history.Poll, Group: group})
	fetches := cl.PollFetches(ctx)
	var got []history.Mop
	fetches.EachRecord(func(r *kgo.Record) { got = append(got, seen(r)) })
	var failed error
	fetches.EachError(func(_ string, _ int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			failed = err
		}
	})
	if failed != nil {
		call.Info(failed, got...)
		return got, failed
	}
	call.OK(got...)
	return got, nil
}
