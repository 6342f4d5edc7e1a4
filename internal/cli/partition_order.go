package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/moves"
	"github.com/klamm/klamm/internal/cli/moving"
)

func (a *app) partitionRebalance() *cobra.Command {
	var f moveFlags
	c := &cobra.Command{
		Use: "rebalance [TOPIC...]", Short: "spread replicas and preferred leaders evenly, moving as few as it takes", ValidArgsFunction: a.completeTopics,
		RunE: func(c *cobra.Command, args []string) error {
			sel, err := parseSelection(args)
			if err != nil {
				return err
			}
			return a.withAdmin(func(adm *connect.Cluster) error {
				parts, brokers, err := placement(c.Context(), adm, sel)
				if err != nil {
					return err
				}
				return a.carryOut(c.Context(), adm, moves.Rebalance(parts, brokers), &f)
			})
		},
	}
	return f.register(c)
}

// placement is what plans are made from. It refuses while something moves: a plan on top of another moves replicas twice.
func placement(ctx context.Context, adm *connect.Cluster, sel selection) ([]moves.Partition, []moves.Broker, error) {
	now, err := partitions(ctx, adm, sel)
	if err != nil {
		return nil, nil, err
	}
	var parts []moves.Partition
	for i := range now {
		if now[i].health() == "moving" {
			return nil, nil, &fault{what: now[i].name() + " is on the move", next: "wait for klamm partition status to be empty, or klamm partition cancel", code: ExitError}
		}
		parts = append(parts, now[i].place())
	}
	brokers, err := takers(ctx, adm)
	return parts, brokers, err
}

// takers are the brokers that live, and whether they may take replicas.
func takers(ctx context.Context, adm *connect.Cluster) ([]moves.Broker, error) {
	list, err := adm.ListBrokers(ctx)
	if err != nil {
		return nil, err
	}
	var brokers []moves.Broker
	for _, b := range list {
		rack := ""
		if b.Rack != nil {
			rack = *b.Rack
		}
		closed, err := moving.Cordoned(ctx, adm, b.NodeID)
		if err != nil {
			return nil, err
		}
		brokers = append(brokers, moves.Broker{ID: b.NodeID, Rack: rack, Cordoned: closed})
	}
	return brokers, nil
}

func (a *app) partitionElect() *cobra.Command {
	var unclean, yes bool
	c := &cobra.Command{
		Use: "elect [TOPIC[:PARTITION,...]...]", Short: "give leadership back to preferred replicas; all partitions when none is named",
		Long: "Give leadership back to the preferred replica of each partition, where it is in sync.\n\n" +
			"With --unclean, elect any live replica where nobody leads, even one that lacks records: what it lacks is lost.",
		ValidArgsFunction: a.completeTopics,
		RunE: func(c *cobra.Command, args []string) error {
			sel, err := parseSelection(args)
			if err != nil {
				return err
			}
			if unclean && len(sel) == 0 {
				return usage("name the partitions for --unclean")
			}
			return a.withAdmin(func(adm *connect.Cluster) error {
				if unclean {
					if err := a.confirm(yes, "Elect leaders that may lack acknowledged records, which are then lost?"); err != nil {
						return err
					}
				}
				return a.elect(c.Context(), adm, sel, unclean)
			})
		},
	}
	c.Flags().BoolVar(&unclean, "unclean", false, "elect where nobody leads, at the price of records")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) elect(ctx context.Context, adm *connect.Cluster, sel selection, unclean bool) error {
	now, err := partitions(ctx, adm, sel)
	if err != nil {
		return err
	}
	how, set := kadm.ElectPreferredReplica, kadm.TopicsSet{}
	if unclean {
		how = kadm.ElectLiveReplica
	}
	for i := range now {
		set.Add(now[i].Topic, now[i].Partition)
	}
	results, err := adm.ElectLeaders(ctx, how, set)
	if err != nil {
		return err
	}
	var errs []error
	elected := 0
	for i := range now {
		r := results[now[i].Topic][now[i].Partition]
		switch {
		case errors.Is(r.Err, kerr.ElectionNotNeeded):
		case r.Err != nil:
			errs = append(errs, a.failed(len(now), now[i].name(), r.Err, r.ErrMessage))
		default:
			elected++
		}
	}
	a.printf("elected %s, %d needed none\n", plural(elected, "leader"), len(now)-elected-len(errs))
	return outcome("elect leaders", len(now), errs)
}

func (a *app) partitionCancel() *cobra.Command {
	var yes, dryRun bool
	c := &cobra.Command{
		Use: "cancel [TOPIC[:PARTITION,...]...]", Short: "take moves back that are under way; all when none is named", ValidArgsFunction: a.completeTopics,
		RunE: func(c *cobra.Command, args []string) error {
			sel, err := parseSelection(args)
			if err != nil {
				return err
			}
			return a.withAdmin(func(adm *connect.Cluster) error {
				list, err := partitions(c.Context(), adm, sel)
				if err != nil {
					return err
				}
				list = slices.DeleteFunc(list, func(s partitionState) bool { return s.health() != "moving" })
				if err := a.show(list, "", partitionTable(list), ""); err != nil || dryRun || len(list) == 0 {
					return err
				}
				if err := a.confirm(yes, "Take back "+plural(len(list), "move")+"?"); err != nil {
					return err
				}
				var req kadm.AlterPartitionAssignmentsReq
				for i := range list {
					req.CancelAssign(list[i].Topic, list[i].Partition)
				}
				return a.alterAssignments(c.Context(), adm, req, len(list), "cancel")
			})
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be taken back, change nothing")
	return c
}

func (a *app) partitionVerify() *cobra.Command {
	var file string
	var keep bool
	c := &cobra.Command{
		Use: "verify [TOPIC[:PARTITION,...]...]", Short: "check that nothing moves and all replicas are in sync, and where a file says so; then end throttles", ValidArgsFunction: a.completeTopics,
		RunE: func(c *cobra.Command, args []string) error {
			sel, err := parseSelection(args)
			if err != nil {
				return err
			}
			want := map[string][]int32{}
			if file != "" {
				parts, err := readPlan(file)
				if err != nil {
					return err
				}
				for _, p := range parts {
					sel[p.Topic] = append(sel[p.Topic], p.Partition)
					want[fmt.Sprintf("%s-%d", p.Topic, p.Partition)] = p.Replicas
				}
			}
			return a.withAdmin(func(adm *connect.Cluster) error {
				if err := a.verify(c.Context(), adm, sel, want); err != nil || keep {
					return err
				}
				return a.endThrottles(c.Context(), adm)
			})
		},
	}
	c.Flags().BoolVar(&keep, "preserve-throttles", false, "leave throttles as they are when everything is done")
	c.Flags().StringVar(&file, "file", "", "Kafka's reassignment JSON")
	return c
}

func (a *app) verify(ctx context.Context, adm *connect.Cluster, sel selection, want map[string][]int32) error {
	list, err := partitions(ctx, adm, sel)
	if err != nil {
		return err
	}
	asked := len(list)
	list = slices.DeleteFunc(list, func(s partitionState) bool {
		w, told := want[s.name()]
		return (s.health() == "ok" || s.health() == "not preferred") && (!told || slices.Equal(w, s.Replicas))
	})
	if err := a.show(list, "", partitionTable(list), ""); err != nil || len(list) == 0 {
		return err
	}
	return partial("partitions as they should be", asked-len(list), asked)
}

// endThrottles takes throttles away when nothing in the cluster moves any more.
func (a *app) endThrottles(ctx context.Context, adm *connect.Cluster) error {
	on, err := onTheMove(ctx, adm)
	if err != nil || len(on) > 0 {
		return err
	}
	removed, err := moving.Unthrottle(ctx, adm)
	if removed && err == nil {
		a.note("the throttles of moves are gone")
	}
	return err
}
