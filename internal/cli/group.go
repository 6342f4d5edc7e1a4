package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/internal/cli/connect"
)

func (a *app) groupCommand() *cobra.Command {
	return noun("group", "list, describe, reset and delete consumer groups", a.groupList(), a.groupDescribe(), a.groupReset(), a.groupDelete())
}

type groupSummary struct {
	Name        string `json:"name"`
	State       string `json:"state"`
	Type        string `json:"type"`
	Protocol    string `json:"protocol"`
	Coordinator int32  `json:"coordinator"`
}

func (a *app) groupList() *cobra.Command {
	var states []string
	c := &cobra.Command{
		Use: "list", Short: "list groups", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				groups, err := adm.Groups(c.Context(), states, nil)
				if err != nil {
					return err
				}
				slices.SortFunc(groups, func(x, y connect.Group) int { return strings.Compare(x.Name, y.Name) })
				list := []groupSummary{}
				t := &table{columns: columns("NAME", "STATE", "+TYPE", "+PROTOCOL", "+>COORDINATOR")}
				for _, g := range groups {
					s := groupSummary{g.Name, g.State, strings.ToLower(g.Type), g.Protocol, g.Coordinator}
					list = append(list, s)
					t.add(s.Name, dash(s.State), dash(s.Type), dash(s.Protocol), s.Coordinator)
				}
				return a.show(list, "", t, "")
			})
		},
	}
	c.Flags().StringSliceVar(&states, "state", nil, "only groups in these states (Stable, Empty, PreparingRebalance, CompletingRebalance, Dead)")
	return c
}

type groupDetail struct {
	groupSummary
	Assignor   string           `json:"assignor"`
	Lag        int64            `json:"lag"` // over all partitions where it is known
	Members    []memberDetail   `json:"members"`
	Partitions []groupPartition `json:"partitions"`
}

type memberDetail struct {
	ID         string             `json:"id"`
	InstanceID string             `json:"instance_id,omitempty"`
	ClientID   string             `json:"client_id"`
	Host       string             `json:"host"`
	Assigned   map[string][]int32 `json:"assigned"`
}

type groupPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"` // null: nothing is
	End       int64  `json:"log_end_offset"`
	Lag       *int64 `json:"lag"` // null: not known
	Member    string `json:"member,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	Host      string `json:"host,omitempty"`
	Error     string `json:"error,omitempty"`
}

func (a *app) groupDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe NAME...", Short: "members, offsets and lag of groups", Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeGroups,
		RunE: func(c *cobra.Command, names []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				details := []groupDetail{}
				var errs []error
				for _, name := range names {
					d, err := describeGroup(c.Context(), adm, name)
					if err != nil {
						errs = append(errs, a.failed(len(names), "group "+name, err, ""))
						continue
					}
					details = append(details, d)
				}
				f, err := a.format()
				if err != nil {
					return err
				}
				if f == "json" || f == "yaml" {
					err = a.show(details, "", nil, "")
				} else {
					for i, d := range details {
						if err = a.showGroup(d, i > 0); err != nil {
							break
						}
					}
				}
				if err != nil {
					return err
				}
				return outcome("describe groups", len(names), errs)
			})
		},
	}
}

func describeGroup(ctx context.Context, adm *connect.Cluster, name string) (groupDetail, error) {
	lags, err := adm.Lag(ctx, name)
	if err != nil {
		return groupDetail{}, err
	}
	l, ok := lags[name]
	switch {
	case !ok:
		return groupDetail{}, kerr.GroupIDNotFound
	case l.DescribeErr != nil:
		return groupDetail{}, l.DescribeErr
	case l.FetchErr != nil:
		return groupDetail{}, l.FetchErr
	}
	// Old brokers answer for a group that never was as for one that is dead and empty.
	if l.State == "Dead" && len(l.Members) == 0 && len(l.Lag) == 0 {
		return groupDetail{}, kerr.GroupIDNotFound
	}
	d := groupDetail{groupSummary: groupSummary{name, l.State, "classic", l.ProtocolType, l.Coordinator.NodeID}, Assignor: l.Protocol, Members: []memberDetail{}, Partitions: []groupPartition{}}
	for _, m := range l.Members {
		md := memberDetail{ID: m.MemberID, ClientID: m.ClientID, Host: strings.TrimPrefix(m.ClientHost, "/"), Assigned: map[string][]int32{}}
		if m.InstanceID != nil {
			md.InstanceID = *m.InstanceID
		}
		if as, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range as.Topics {
				md.Assigned[t.Topic] = slices.Sorted(slices.Values(t.Partitions))
			}
		}
		d.Members = append(d.Members, md)
	}
	for _, p := range l.Lag.Sorted() {
		d.Partitions = append(d.Partitions, partitionOf(p, &d.Lag))
	}
	return d, nil
}

func partitionOf(p kadm.GroupMemberLag, total *int64) groupPartition {
	gp := groupPartition{Topic: p.Topic, Partition: p.Partition, End: p.End.Offset}
	if p.Commit.At >= 0 {
		gp.Committed = &p.Commit.At
	}
	if p.Err != nil {
		gp.Error = p.Err.Error()
	} else if p.Lag >= 0 {
		gp.Lag = &p.Lag
		*total += p.Lag
	}
	if p.Member != nil {
		gp.Member, gp.ClientID, gp.Host = p.Member.MemberID, p.Member.ClientID, strings.TrimPrefix(p.Member.ClientHost, "/")
	}
	return gp
}

func (a *app) showGroup(d groupDetail, gap bool) error {
	var head strings.Builder
	if gap {
		head.WriteByte('\n')
	}
	fmt.Fprintf(&head, "%s   %s, %s, lag %d, coordinator %d", d.Name, d.State, plural(len(d.Members), "member"), d.Lag, d.Coordinator)
	if d.Assignor != "" {
		fmt.Fprintf(&head, ", assignor %s", d.Assignor)
	}
	head.WriteByte('\n')
	if len(d.Partitions) == 0 {
		return a.show(nil, head.String()+"no offsets are committed\n", nil, "")
	}
	t := &table{columns: columns("TOPIC", ">PARTITION", ">COMMITTED", ">END", ">LAG", "CLIENT", "+HOST", "+MEMBER", "+ERROR")}
	for _, p := range d.Partitions {
		t.add(p.Topic, p.Partition, number(p.Committed), p.End, number(p.Lag), dash(p.ClientID), dash(p.Host), dash(p.Member), dash(p.Error))
	}
	return a.show(nil, head.String(), t, "")
}

func number(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func (a *app) groupDelete() *cobra.Command {
	var yes, dryRun bool
	var topics []string
	c := &cobra.Command{
		Use: "delete NAME...", Short: "delete groups with their offsets, or with --topic the offsets of some topics", Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeGroups,
		RunE: func(c *cobra.Command, names []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				what := "Delete " + strings.Join(names, ", ") + " with all offsets?"
				if len(topics) > 0 {
					what = "Delete the offsets of " + strings.Join(topics, ", ") + " in " + strings.Join(names, ", ") + "?"
				}
				if !dryRun {
					if err := a.confirm(yes, what); err != nil {
						return err
					}
				}
				var errs []error
				for _, name := range names {
					var err error
					switch {
					case dryRun:
						err = a.wouldDelete(c.Context(), adm, name)
					case len(topics) > 0:
						err = a.deleteOffsets(c.Context(), adm, name, topics)
					default:
						if _, err = adm.DeleteGroup(c.Context(), name); err == nil {
							a.printf("deleted group %s\n", name)
						}
					}
					if err != nil {
						errs = append(errs, a.failed(len(names), "group "+name, err, ""))
					}
				}
				return outcome("delete groups", len(names), errs)
			})
		},
	}
	f := c.Flags()
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&dryRun, "dry-run", false, "say what would go, change nothing")
	f.StringArrayVarP(&topics, "topic", "t", nil, "delete only the offsets of this topic, or topic:0,1; may be repeated")
	return c
}

func (a *app) wouldDelete(ctx context.Context, adm *connect.Cluster, name string) error {
	d, err := describeGroup(ctx, adm, name)
	switch {
	case err != nil:
		return err
	case len(d.Members) > 0:
		return kerr.NonEmptyGroup
	}
	a.printf("would delete group %s (offsets of %s)\n", name, plural(len(d.Partitions), "partition"))
	return nil
}

func (a *app) deleteOffsets(ctx context.Context, adm *connect.Cluster, name string, topics []string) error {
	set, err := partitionSet(ctx, adm, topics)
	if err != nil {
		return err
	}
	responses, err := adm.DeleteOffsets(ctx, name, set)
	if err != nil {
		return err
	}
	var failures []error
	n := 0
	responses.EachError(func(topic string, partition int32, err error) {
		failures = append(failures, fmt.Errorf("%s-%d: %w", topic, partition, err))
	})
	for _, ps := range set {
		n += len(ps)
	}
	if len(failures) > 0 {
		return errors.Join(failures...)
	}
	a.printf("deleted the offsets of %s in group %s\n", plural(n, "partition"), name)
	return nil
}
