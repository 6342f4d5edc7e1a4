package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/connect"
)

// movement is a partition on the move, and how far it is.
type movement struct {
	partitionState
	// Bytes are what the new replicas have to have together, Copied what they have, by the sizes of the logs.
	Bytes  int64 `json:"bytes"`
	Copied int64 `json:"copied_bytes"`
	Left   int64 `json:"left_bytes"`
	// Rate is what came in the time between two looks, and Seconds how long it takes to the end at that rate; -1 when nothing came.
	Rate    int64 `json:"bytes_per_second"`
	Seconds int64 `json:"seconds_left"`
}

func (a *app) partitionStatus() *cobra.Command {
	look := time.Second
	c := &cobra.Command{
		Use: "status [TOPIC[:PARTITION,...]...]", Short: "partitions on the move, how far they are and how long they take", ValidArgsFunction: a.completeTopics,
		RunE: func(c *cobra.Command, args []string) error {
			sel, err := parseSelection(args)
			if err != nil {
				return err
			}
			return a.withAdmin(func(adm *connect.Cluster) error {
				list, err := progress(c.Context(), adm, sel, look)
				if err != nil {
					return err
				}
				return a.show(list, "", progressTable(list), "")
			})
		},
	}
	c.Flags().DurationVar(&look, "sample", look, "how long to watch for the rate; 0 not at all")
	return c
}

// progress looks at what moves, twice when there is something.
func progress(ctx context.Context, adm *connect.Cluster, sel selection, look time.Duration) ([]movement, error) {
	all, err := partitions(ctx, adm, sel)
	if err != nil {
		return nil, err
	}
	list := []movement{}
	for i := range all {
		if len(all[i].Adding)+len(all[i].Removing) > 0 {
			list = append(list, movement{partitionState: all[i], Seconds: -1})
		}
	}
	if len(list) == 0 {
		return list, nil
	}
	before, err := copied(ctx, adm, list)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if look > 0 {
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if _, err := copied(ctx, adm, list); err != nil {
			return nil, err
		}
	}
	took := time.Since(begin).Seconds()
	for i := range list {
		m := &list[i]
		m.Left = max(m.Bytes-m.Copied, 0)
		if m.Rate = int64(float64(m.Copied-before[i]) / took); look > 0 && m.Rate > 0 {
			m.Seconds = m.Left / m.Rate
		} else {
			m.Rate = 0
		}
	}
	return list, nil
}

// copied fills in the sizes as they are now. A broker that does not answer has copied nothing that is known.
func copied(ctx context.Context, adm *connect.Cluster, list []movement) ([]int64, error) {
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return nil, err
	}
	size := map[string]int64{}
	for _, id := range brokers.NodeIDs() {
		dirs, err := adm.DescribeBrokerLogDirs(ctx, id, nil)
		if err != nil {
			continue
		}
		for _, d := range dirs {
			for _, p := range d.Topics.Sorted() {
				if !p.IsFuture {
					size[fmt.Sprintf("%s-%d on %d", p.Topic, p.Partition, id)] = p.Size
				}
			}
		}
	}
	out := make([]int64, len(list))
	for i := range list {
		m := &list[i]
		of := func(id int32) int64 { return size[fmt.Sprintf("%s on %d", m.name(), id)] }
		m.Bytes, m.Copied = 0, 0
		whole := int64(0)
		for _, id := range m.ISR {
			whole = max(whole, of(id))
		}
		for _, id := range m.Adding {
			m.Bytes += whole
			if slices.Contains(m.ISR, id) {
				m.Copied += whole // sizes differ a little where segments do
			} else {
				m.Copied += min(of(id), whole)
			}
		}
		out[i] = m.Copied
	}
	return out, nil
}

func progressTable(list []movement) *table {
	t := &table{columns: columns("TOPIC", ">PARTITION", ">LEADER", "REPLICAS", "ISR", "ADDING", "REMOVING", ">COPIED", ">OF", ">PER SECOND", ">LEFT FOR")}
	for i := range list {
		m := &list[i]
		left := "-"
		if m.Seconds >= 0 {
			left = (time.Duration(m.Seconds) * time.Second).String()
		}
		t.add(m.Topic, m.Partition, m.Leader, ids(m.Replicas), ids(m.ISR), dash(ids(m.Adding)), dash(ids(m.Removing)), size(m.Copied), size(m.Bytes), size(m.Rate), left)
	}
	return t
}
