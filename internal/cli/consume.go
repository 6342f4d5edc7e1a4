package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/connect"
)

// consumeFlags say what to read and how to print it.
type consumeFlags struct {
	format, offset, group, isolation string
	fromBeginning, exit, regex       bool
	partitions                       []int32
	count                            int
}

func (a *app) consumeCommand() *cobra.Command {
	var f consumeFlags
	c := &cobra.Command{
		Use: "consume TOPIC...", Short: "read records", Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeTopics,
		Long: "Read records as they come, until Ctrl-C, --count or --exit. Without --group from the end; --from-beginning or --offset say otherwise.\n" +
			"A group goes on where it has committed, and begins with the first record where it has not.\n\nFormats (-f):\n" + formatHelp,
		Example: "  klamm consume orders --from-beginning --exit -f '%p/%o %k = %s\\n'\n  klamm consume orders --offset -5 --exit\n" +
			"  klamm consume orders --offset @2026-11-24T08:00:00Z\n  klamm consume orders --group billing",
		RunE: func(c *cobra.Command, topics []string) error { return a.consume(c.Context(), topics, f) },
	}
	fl := c.Flags()
	fl.StringVarP(&f.format, "format", "f", "", "how to print a record; without it -o text prints values, -o json everything")
	fl.BoolVar(&f.fromBeginning, "from-beginning", false, "start with the first record there is")
	fl.StringVar(&f.offset, "offset", "", "beginning, end, N, -N (from the end), or @ and a time in ms or as YYYY-MM-DDThh:mm:ssZ")
	fl.StringVarP(&f.group, "group", "g", "", "read as a member of a consumer group and commit what was read")
	fl.Int32SliceVarP(&f.partitions, "partition", "p", nil, "only these partitions")
	fl.IntVarP(&f.count, "count", "n", 0, "stop after so many records")
	fl.BoolVarP(&f.exit, "exit", "e", false, "stop at what is the end when the command starts")
	fl.BoolVar(&f.regex, "regex", false, "the topics are regular expressions")
	fl.StringVar(&f.isolation, "isolation", "", "read_uncommitted or read_committed")
	c.MarkFlagsMutuallyExclusive("group", "partition")
	c.MarkFlagsMutuallyExclusive("group", "offset")
	c.MarkFlagsMutuallyExclusive("from-beginning", "offset")
	return c
}

// printer is how -f and -o say records look.
func (a *app) printer(format string) (printer, error) {
	if format != "" {
		p, err := parseFormat(format)
		if err != nil {
			return nil, usage("-f %v", err)
		}
		return p, nil
	}
	f, err := a.format()
	if err != nil {
		return nil, err
	}
	switch f {
	case "json":
		return jsonPrinter, nil
	case "yaml":
		return nil, usage("-o yaml: records are printed as text, wide or json")
	case "wide":
		return widePrinter, nil
	}
	return textPrinter, nil
}

func (a *app) consume(ctx context.Context, topics []string, f consumeFlags) error {
	show, err := a.printer(f.format)
	if err != nil {
		return err
	}
	s, err := a.settings()
	if err != nil {
		return err
	}
	if f.isolation != "" {
		s.Properties["isolation.level"] = f.isolation
	}
	if f.group != "" {
		a.note("joining group %s; a group without members begins after group.initial.rebalance.delay.ms", f.group)
	}
	run := &consumption{app: a, show: show, count: f.count, exit: f.exit, group: f.group}
	opts, err := a.consumeFrom(ctx, topics, f, run, s)
	if err != nil {
		return err
	}
	if run.finished() {
		return nil
	}
	cl, err := s.Client(append(opts, kgo.KeepControlRecords(), kgo.WithHooks(&run.fetches))...)
	if err != nil {
		return err
	}
	if err := cl.Ping(ctx); err != nil {
		cl.CloseAllowingRebalance()
		return err // the consumer would try for ever
	}
	err = run.loop(ctx, cl)
	if f.group != "" && err == nil {
		err = a.leave(cl)
	}
	cl.CloseAllowingRebalance()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // Ctrl-C is how this command ends
	}
	return err
}

// leave commits what was printed and leaves the group, also after Ctrl-C.
func (a *app) leave(cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), a.flags.timeout)
	defer cancel()
	a.flush()
	err := cl.CommitMarkedOffsets(ctx)
	cl.LeaveGroup()
	return err
}

// consumeFrom says where to begin, and for --exit where to end.
func (a *app) consumeFrom(ctx context.Context, topics []string, f consumeFlags, run *consumption, s connect.Settings) ([]kgo.Opt, error) {
	start, err := f.start()
	if err != nil {
		return nil, err
	}
	if f.group != "" {
		run.atEnd = s.Properties["auto.offset.reset"] == "latest"
		fresh := kgo.NewOffset().AtStart()
		if run.atEnd {
			fresh = kgo.NewOffset().AtEnd()
		}
		opts := []kgo.Opt{kgo.ConsumerGroup(f.group), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(fresh), kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll(),
			kgo.OnPartitionsAssigned(run.assigned), kgo.OnPartitionsRevoked(run.revoked)}
		if _, set := s.Properties["partition.assignment.strategy"]; !set {
			opts = append(opts, kgo.Balancers(kgo.CooperativeStickyBalancer(), kgo.RangeBalancer()))
		}
		if f.regex {
			opts = append(opts, kgo.ConsumeRegex())
		}
		return opts, nil
	}
	if f.regex && !f.exit && len(f.partitions) == 0 {
		return []kgo.Opt{kgo.ConsumeTopics(topics...), kgo.ConsumeRegex(), kgo.ConsumeResetOffset(start.offset())}, nil
	}
	var partitions map[string]map[int32]kgo.Offset
	err = a.withAdmin(func(adm *connect.Cluster) error {
		var err error
		partitions, err = run.plan(ctx, adm, topics, f, start)
		return err
	})
	return []kgo.Opt{kgo.ConsumePartitions(partitions)}, err
}
