package workload

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/sim/history"
)

// bookmark commits an offset once for one group after the other, none of which has members. Where members commit all the time, a commit that was
// acknowledged and lost is soon covered by the next: these are asked for at the end. The offset is 0, behind which no record can have been skipped.
type bookmark struct {
	body
	made   int
	groups []string // whose commit was acknowledged
}

func (b *bookmark) run(ctx context.Context) {
	cl, err := b.w.client(ctx, b.rng)
	if err != nil {
		return
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	keys := b.w.Keys()
	for b.rest(ctx, b.w.o.Pace.Commit) {
		b.made++
		group := fmt.Sprintf("bookmark-%d-%d", b.id, b.made)
		if b.commitOnce(ctx, adm, group, keys[b.rng.IntN(len(keys))]) == nil {
			b.groups = append(b.groups, group)
		}
	}
}

func (b *bookmark) commitOnce(ctx context.Context, adm *kadm.Client, group string, k history.Key) error {
	ctx, cancel := context.WithTimeout(ctx, b.w.o.Pace.Timeout)
	defer cancel()
	call := b.w.rec.Begin(history.Op{
		Process: b.process, F: history.Commit, Group: &history.Membership{Group: group, Generation: -1}, Mops: []history.Mop{{Key: k}},
	})
	var at kadm.Offsets
	at.AddOffset(k.Topic, k.Partition, 0, -1)
	done, err := adm.CommitOffsets(ctx, group, at)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		call.Info(err)
		return err
	}
	call.OK()
	return nil
}
