package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/moving"
)

// movement is a partition on the move, and how far it is.
type movement struct {
	partitionState
	moving.Progress
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
				all, err := partitions(c.Context(), adm, sel)
				if err != nil {
					return err
				}
				list, parts := []movement{}, []moving.Partition{}
				for i := range all {
					if s := &all[i]; len(s.Adding)+len(s.Removing) > 0 {
						list = append(list, movement{partitionState: *s})
						parts = append(parts, moving.Partition{Topic: s.Topic, Partition: s.Partition, ISR: s.ISR, Adding: s.Adding})
					}
				}
				how, err := moving.Look(c.Context(), adm, parts, look)
				if err != nil {
					return err
				}
				for i := range list {
					list[i].Progress = how[i]
				}
				return a.show(list, "", progressTable(list), "")
			})
		},
	}
	c.Flags().DurationVar(&look, "sample", look, "how long to watch for the rate; 0 not at all")
	return c
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
