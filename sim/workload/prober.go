package workload

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/sim/history"
)

// prober asks where the partitions begin and end.
type prober struct{ body }

func (p *prober) run(ctx context.Context) {
	cl, err := p.w.client(ctx, p.rng)
	if err != nil {
		return
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for p.rest(ctx, p.w.o.Pace.Probe) {
		for _, at := range []history.Probe{history.LogStart, history.LastStable, history.HighWatermark} {
			_ = p.probe(ctx, adm, at)
		}
	}
}

// probe asks for one end of every key; keys without an answer are left out of the history.
func (b *body) probe(ctx context.Context, adm *kadm.Client, at history.Probe) error {
	ask := adm.ListEndOffsets
	switch at {
	case history.LogStart:
		ask = adm.ListStartOffsets
	case history.LastStable:
		ask = adm.ListCommittedOffsets
	}
	op := history.Op{Process: b.process, F: history.ListOffsets}
	for _, k := range b.w.Keys() {
		op.Mops = append(op.Mops, history.Mop{Key: k, Offset: history.None, Probe: at})
	}
	call := b.w.rec.Begin(op)
	found, err := ask(ctx, b.w.o.Topic)
	var got []history.Mop
	for _, k := range b.w.Keys() {
		switch l, ok := found.Lookup(k.Topic, k.Partition); {
		case ok && l.Err == nil:
			got = append(got, history.Mop{Key: k, Offset: l.Offset, Epoch: l.LeaderEpoch, Probe: at})
		case ok:
			err = errors.Join(err, fmt.Errorf("%s: %w", k, l.Err))
		default:
			err = errors.Join(err, fmt.Errorf("%s: no answer", k))
		}
	}
	if len(got) == 0 {
		call.Info(err)
		return err
	}
	call.OK(got...)
	return err
}
