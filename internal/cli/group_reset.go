package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/reset"
)

// resetFlags are the ways to say where offsets go, one at a time.
type resetFlags struct {
	earliest, latest, current bool
	offset, shift             int64
	datetime, duration, file  string
	topics                    []string
	allTopics, yes, dryRun    bool
}

func (a *app) groupReset() *cobra.Command {
	var r resetFlags
	c := &cobra.Command{
		Use: "reset NAME", Short: "move a group's offsets", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeGroups,
		Example: "  klamm group reset billing --topic orders --to-earliest --dry-run\n  klamm group reset billing --all-topics --shift-by -100 --yes\n" +
			"  klamm group reset billing --topic orders:0,1 --to-datetime 2026-11-24T08:00:00Z",
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := r.spec(c)
			if err != nil {
				return err
			}
			return a.withAdmin(func(adm *connect.Cluster) error { return a.resetGroup(c.Context(), adm, args[0], r, spec) })
		},
	}
	f := c.Flags()
	f.BoolVar(&r.earliest, "to-earliest", false, "to the first record there is")
	f.BoolVar(&r.latest, "to-latest", false, "behind the last record")
	f.BoolVar(&r.current, "to-current", false, "to what is committed, or the end where nothing is")
	f.Int64Var(&r.offset, "to-offset", 0, "to this offset")
	f.Int64Var(&r.shift, "shift-by", 0, "by so many records, negative to go back")
	f.StringVar(&r.datetime, "to-datetime", "", "to the first record since, YYYY-MM-DDThh:mm:ss[.sss][Z]")
	f.StringVar(&r.duration, "by-duration", "", "to the first record of the last PnDTnHnMnS, or 1h30m")
	f.StringVar(&r.file, "from-file", "", "to what a file of topic,partition,offset lines says")
	f.StringArrayVarP(&r.topics, "topic", "t", nil, "topic, or topic:0,1 for some partitions; may be repeated")
	f.BoolVar(&r.allTopics, "all-topics", false, "all topics the group has offsets for")
	f.BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&r.dryRun, "dry-run", false, "show the plan, change nothing")
	c.MarkFlagsMutuallyExclusive("to-earliest", "to-latest", "to-current", "to-offset", "shift-by", "to-datetime", "by-duration", "from-file")
	c.MarkFlagsMutuallyExclusive("topic", "all-topics")
	return c
}

func (r resetFlags) spec(c *cobra.Command) (reset.Spec, error) {
	changed := c.Flags().Changed
	if len(r.topics) == 0 && !r.allTopics && r.file == "" {
		return reset.Spec{}, usage("say which topics: --topic NAME or --all-topics")
	}
	switch {
	case r.earliest:
		return reset.Spec{Kind: reset.ToEarliest}, nil
	case r.latest:
		return reset.Spec{Kind: reset.ToLatest}, nil
	case r.current:
		return reset.Spec{Kind: reset.ToCurrent}, nil
	case changed("to-offset"):
		return reset.Spec{Kind: reset.ToOffset, Offset: r.offset}, nil
	case changed("shift-by"):
		return reset.Spec{Kind: reset.ShiftBy, Offset: r.shift}, nil
	case r.datetime != "":
		t, err := reset.ParseTime(r.datetime)
		if err != nil {
			return reset.Spec{}, usage("--to-datetime %s: %v", r.datetime, err)
		}
		return reset.Spec{Kind: reset.ToTime, Time: t}, nil
	case r.duration != "":
		d, err := reset.ParseDuration(r.duration)
		if err != nil {
			return reset.Spec{}, usage("--by-duration: %v", err)
		}
		return reset.Spec{Kind: reset.ToTime, Time: time.Now().Add(-d)}, nil
	case r.file != "":
		in, err := os.Open(r.file)
		if err != nil {
			return reset.Spec{}, err
		}
		defer in.Close()
		groups, err := reset.ParseCSV(in)
		if err != nil {
			return reset.Spec{}, usage("%s: %v", r.file, err)
		}
		return reset.Spec{Kind: reset.ToGiven, Given: groups[""]}, nil
	}
	return reset.Spec{}, usage("say where to: --to-earliest, --to-latest, --to-current, --to-offset, --shift-by, --to-datetime, --by-duration or --from-file")
}

type resetMove struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      *int64 `json:"from"` // null: nothing was committed
	To        int64  `json:"to"`
}

func (a *app) resetGroup(ctx context.Context, adm *connect.Cluster, group string, r resetFlags, spec reset.Spec) error {
	described, err := adm.DescribeGroups(ctx, group)
	if err != nil {
		return err
	}
	if g := described[group]; len(g.Members) > 0 {
		return &fault{what: fmt.Sprintf("group %s is in use by %s", group, plural(len(g.Members), "consumer")), code: ExitError,
			next: "stop its consumers first; see them: klamm group describe " + group}
	}
	var partitions []reset.Partition
	switch {
	case spec.Kind == reset.ToGiven:
		for p := range spec.Given {
			partitions = append(partitions, p)
		}
	case r.allTopics:
		partitions, err = reset.Committed(ctx, adm, group)
	default:
		partitions, err = reset.ParseTopics(ctx, adm, r.topics)
	}
	if err != nil {
		return err
	}
	moves, err := reset.Plan(ctx, adm, group, partitions, spec)
	if err != nil {
		return err
	}
	if len(moves) == 0 {
		return &fault{what: "group " + group + " has no offsets to move", next: "name topics with --topic", code: ExitError}
	}
	list := []resetMove{}
	t := &table{columns: columns("TOPIC", ">PARTITION", ">FROM", ">TO")}
	for _, m := range moves {
		rm := resetMove{Topic: m.Topic, Partition: m.Partition.Partition, To: m.To}
		if m.From >= 0 {
			rm.From = &m.From
		}
		list = append(list, rm)
		t.add(m.Topic, m.Partition.Partition, number(rm.From), m.To)
	}
	if err := a.show(list, "", t, ""); err != nil {
		return err
	}
	if r.dryRun {
		return nil
	}
	if err := a.confirm(r.yes, "Move the offsets of group "+group+"?"); err != nil {
		return err
	}
	if err := reset.Commit(ctx, adm, group, moves); err != nil {
		return err
	}
	a.note("moved the offsets of group %s", group)
	return nil
}

// partitionSet reads "topic" and "topic:0,1" for requests that take a set.
func partitionSet(ctx context.Context, adm *connect.Cluster, topics []string) (kadm.TopicsSet, error) {
	list, err := reset.ParseTopics(ctx, adm, topics)
	if err != nil {
		return nil, err
	}
	set := kadm.TopicsSet{}
	for _, p := range list {
		set.Add(p.Topic, p.Partition)
	}
	return set, nil
}
