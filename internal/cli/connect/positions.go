package connect

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CommitStarts commits where a group member begins in partitions nobody has committed for, at the end or else at the start of each, as
// Java's consumer does: without it a partition from which no record comes would never show up in the group's lag.
func CommitStarts(ctx context.Context, cl *kgo.Client, group string, got map[string][]int32, atEnd bool) error {
	if len(got) == 0 {
		return nil
	}
	adm := kadm.NewClient(cl)
	committed, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	topics := make([]string, 0, len(got))
	for topic := range got {
		topics = append(topics, topic)
	}
	slices.Sort(topics)
	list := adm.ListStartOffsets
	if atEnd {
		list = adm.ListEndOffsets
	}
	starts, err := list(ctx, topics...)
	if err != nil {
		return err
	}
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for topic, partitions := range got {
		for _, p := range partitions {
			if o, ok := committed.Lookup(topic, p); ok && o.At >= 0 {
				continue
			}
			if o, ok := starts.Lookup(topic, p); ok && o.Err == nil {
				if offsets[topic] == nil {
					offsets[topic] = map[int32]kgo.EpochOffset{}
				}
				offsets[topic][p] = kgo.EpochOffset{Epoch: -1, Offset: o.Offset}
			}
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	var failed error
	cl.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
		failed = err
	})
	return failed
}
