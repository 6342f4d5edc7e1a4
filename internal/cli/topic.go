package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/internal/cli/connect"
)

func (a *app) topicCommand() *cobra.Command {
	return noun("topic", "list, create, describe, alter and delete topics",
		a.topicList(), a.topicCreate(), a.topicDescribe(), a.topicAlter(), a.topicDelete())
}

type topicSummary struct {
	Name              string `json:"name"`
	ID                string `json:"id"`
	Partitions        int    `json:"partitions"`
	ReplicationFactor int    `json:"replication_factor"`
	Internal          bool   `json:"internal"`
}

func (a *app) topicList() *cobra.Command {
	var internal bool
	c := &cobra.Command{
		Use: "list", Short: "list topics", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				topics, err := adm.ListTopicsWithInternal(c.Context())
				if err != nil {
					return err
				}
				list := []topicSummary{}
				t := &table{columns: columns("NAME", ">PARTITIONS", ">REPLICAS", "+ID", "+INTERNAL")}
				for _, d := range topics.Sorted() {
					if d.IsInternal && !internal {
						continue
					}
					s := topicSummary{d.Topic, kafkaID(d.ID), len(d.Partitions), d.Partitions.NumReplicas(), d.IsInternal}
					list = append(list, s)
					t.add(s.Name, s.Partitions, s.ReplicationFactor, s.ID, s.Internal)
				}
				return a.show(list, "", t, "")
			})
		},
	}
	c.Flags().BoolVar(&internal, "internal", false, "with the cluster's own topics")
	return c
}

func (a *app) topicCreate() *cobra.Command {
	var partitions int32
	var replicas int16
	var configs []string
	var ifNotExists, dryRun bool
	c := &cobra.Command{
		Use: "create NAME...", Short: "create topics", Args: cobra.MinimumNArgs(1),
		Example: "  klamm topic create orders --partitions 3\n  klamm topic create users -c cleanup.policy=compact --dry-run",
		RunE: func(c *cobra.Command, names []string) error {
			values, err := keyValues(configs)
			if err != nil {
				return err
			}
			return a.withAdmin(func(adm *connect.Cluster) error {
				create := adm.CreateTopics
				if dryRun {
					create = adm.ValidateCreateTopics
				}
				responses, err := create(c.Context(), partitions, replicas, values, names...)
				if err != nil {
					return err
				}
				var errs []error
				for _, name := range names {
					r := responses[name]
					switch {
					case r.Err == nil && dryRun:
						a.printf("would create topic %s\n", r.Topic)
					case r.Err == nil:
						a.printf("created topic %s (%s, %s)\n", r.Topic, plural(int(r.NumPartitions), "partition"), plural(int(r.ReplicationFactor), "replica"))
					case ifNotExists && errors.Is(r.Err, kerr.TopicAlreadyExists):
						a.printf("topic %s exists\n", r.Topic)
					default:
						errs = append(errs, a.failed(len(names), "topic "+r.Topic, r.Err, r.ErrMessage))
					}
				}
				return outcome("create topics", len(names), errs)
			})
		},
	}
	f := c.Flags()
	f.Int32VarP(&partitions, "partitions", "p", -1, "number of partitions; -1 is the broker's default")
	f.Int16VarP(&replicas, "replication-factor", "r", -1, "replicas of each partition; -1 is the broker's default")
	f.StringArrayVarP(&configs, "config", "c", nil, "key=value for the new topic; may be repeated")
	f.BoolVar(&ifNotExists, "if-not-exists", false, "an existing topic is no error")
	f.BoolVar(&dryRun, "dry-run", false, "check only, change nothing")
	return c
}

// failed reports one of several failures where it happened and returns it for the end.
func (a *app) failed(asked int, what string, err error, message string) error {
	f := &fault{what: what, why: withMessage(err, message)}
	if asked > 1 {
		fmt.Fprint(a.env.Stderr, explain(f, a.bootstrap()).text(a.colorErr()))
	}
	return f
}

// keyValues reads key=value arguments.
func keyValues(list []string) (map[string]*string, error) {
	out := make(map[string]*string, len(list))
	for _, s := range list {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, usage("%s: expected key=value", s)
		}
		out[k] = &v
	}
	return out, nil
}

func (a *app) topicAlter() *cobra.Command {
	var partitions int
	var sets, unsets []string
	var dryRun bool
	c := &cobra.Command{
		Use: "alter NAME", Short: "add partitions, change configuration", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeTopics,
		RunE: func(c *cobra.Command, args []string) error {
			if partitions == 0 && len(sets) == 0 && len(unsets) == 0 {
				return usage("nothing to change: give --partitions, --config or --unset")
			}
			return a.withAdmin(func(adm *connect.Cluster) error {
				if partitions > 0 {
					if err := a.setPartitions(c.Context(), adm, args[0], partitions, dryRun); err != nil {
						return err
					}
				}
				if len(sets)+len(unsets) == 0 {
					return nil
				}
				return a.alterConfig(c.Context(), adm, change{target: "topic/" + args[0], set: sets, unset: unsets, dryRun: dryRun})
			})
		},
	}
	f := c.Flags()
	f.IntVarP(&partitions, "partitions", "p", 0, "the new number of partitions, more than before")
	f.StringArrayVarP(&sets, "config", "c", nil, "key=value; may be repeated")
	f.StringArrayVar(&unsets, "unset", nil, "a key to set back to what the broker says; may be repeated")
	f.BoolVar(&dryRun, "dry-run", false, "check only, change nothing")
	return c
}

func (a *app) setPartitions(ctx context.Context, adm *connect.Cluster, topic string, n int, dryRun bool) error {
	update := adm.UpdatePartitions
	if dryRun {
		update = adm.ValidateUpdatePartitions
	}
	responses, err := update(ctx, n, topic)
	if err != nil {
		return err
	}
	for _, r := range responses.Sorted() {
		if r.Err != nil {
			return a.failed(1, "topic "+r.Topic, r.Err, r.ErrMessage)
		}
		if dryRun {
			a.printf("would have topic %s have %s\n", r.Topic, plural(n, "partition"))
		} else {
			a.printf("topic %s has %s now; keys may go to other partitions than before\n", r.Topic, plural(n, "partition"))
		}
	}
	return nil
}

func (a *app) topicDelete() *cobra.Command {
	var yes, dryRun, ifExists bool
	c := &cobra.Command{
		Use: "delete NAME...", Short: "delete topics with all their records", Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeTopics,
		RunE: func(c *cobra.Command, names []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				details, err := adm.ListTopicsWithInternal(c.Context())
				if err != nil {
					return err
				}
				var present []string
				var errs []error
				for _, n := range names {
					switch {
					case details.Has(n):
						present = append(present, n)
					case !ifExists:
						errs = append(errs, a.failed(len(names), "topic "+n, kerr.UnknownTopicOrPartition, ""))
					}
				}
				if dryRun {
					for _, n := range present {
						a.printf("would delete topic %s (%s)\n", n, plural(len(details[n].Partitions), "partition"))
					}
					return outcome("delete topics", len(names), errs)
				}
				if len(present) == 0 {
					return outcome("delete topics", len(names), errs)
				}
				if err := a.confirm(yes, "Delete "+strings.Join(present, ", ")+" with all records?"); err != nil {
					return err
				}
				responses, err := adm.DeleteTopics(c.Context(), present...)
				if err != nil {
					return err
				}
				for _, name := range present {
					r := responses[name]
					if r.Err != nil {
						errs = append(errs, a.failed(len(names), "topic "+r.Topic, r.Err, r.ErrMessage))
						continue
					}
					a.printf("deleted topic %s\n", r.Topic)
				}
				return outcome("delete topics", len(names), errs)
			})
		},
	}
	f := c.Flags()
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&dryRun, "dry-run", false, "say what would go, change nothing")
	f.BoolVar(&ifExists, "if-exists", false, "a missing topic is no error")
	return c
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
