package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
)

type topicDetail struct {
	topicSummary
	Config     map[string]string `json:"config"` // what is set on the topic itself
	Partitions []partitionDetail `json:"partition_list"`
}

type partitionDetail struct {
	Partition   int32   `json:"partition"`
	Leader      int32   `json:"leader"`
	LeaderEpoch int32   `json:"leader_epoch"`
	Replicas    []int32 `json:"replicas"`
	ISR         []int32 `json:"isr"`
	Offline     []int32 `json:"offline"`
	Start       int64   `json:"log_start_offset"`
	End         int64   `json:"log_end_offset"`
	Error       string  `json:"error,omitempty"`
}

func (a *app) topicDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe NAME...", Short: "partitions, replicas, offsets and configuration of topics", Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeTopics,
		RunE: func(c *cobra.Command, names []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				details, errs, err := describeTopics(c.Context(), adm, a, names)
				if err != nil {
					return err
				}
				f, err := a.format()
				if err != nil {
					return err
				}
				if f == "json" || f == "yaml" {
					if err := a.show(details, "", nil, ""); err != nil {
						return err
					}
				} else {
					for i, d := range details {
						if err := a.showTopic(d, i > 0); err != nil {
							return err
						}
					}
				}
				return outcome("describe topics", len(names), errs)
			})
		},
	}
}

func describeTopics(ctx context.Context, adm *connect.Cluster, a *app, names []string) ([]topicDetail, []error, error) {
	topics, err := adm.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, nil, err
	}
	out := []topicDetail{}
	var errs []error
	var found []string
	for _, n := range names {
		t, ok := topics[n]
		switch {
		case !ok:
			errs = append(errs, a.failed(len(names), "topic "+n, kerr.UnknownTopicOrPartition, ""))
		case t.Err != nil:
			errs = append(errs, a.failed(len(names), "topic "+n, t.Err, ""))
		default:
			found = append(found, n)
		}
	}
	if len(found) == 0 {
		return out, errs, nil
	}
	starts, err := adm.ListStartOffsets(ctx, found...)
	if err != nil {
		return nil, nil, err
	}
	ends, err := adm.ListEndOffsets(ctx, found...)
	if err != nil {
		return nil, nil, err
	}
	configs, err := describeConfigs(ctx, adm, resources("topic", found...))
	if err != nil {
		return nil, nil, err
	}
	for _, n := range found {
		out = append(out, detailOf(topics[n], starts, ends, configs["topic/"+n]))
	}
	return out, errs, nil
}

// listed makes an empty list of none, so that JSON has [] where scripts loop.
func listed(ids []int32) []int32 { return append([]int32{}, ids...) }

func detailOf(t kadm.TopicDetail, starts, ends kadm.ListedOffsets, entries []entry) topicDetail {
	d := topicDetail{
		topicSummary: topicSummary{t.Topic, kafkaID(t.ID), len(t.Partitions), t.Partitions.NumReplicas(), t.IsInternal},
		Config:       map[string]string{},
	}
	for _, e := range entries {
		if e.Source == kmsg.ConfigSourceDynamicTopicConfig.String() {
			d.Config[e.Name] = e.text()
		}
	}
	for _, p := range t.Partitions.Sorted() {
		pd := partitionDetail{Partition: p.Partition, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, Start: -1, End: -1}
		pd.Replicas, pd.ISR, pd.Offline = listed(p.Replicas), listed(p.ISR), listed(p.OfflineReplicas)
		if p.Err != nil {
			pd.Error = p.Err.Error()
		}
		if o, ok := starts.Lookup(t.Topic, p.Partition); ok && o.Err == nil {
			pd.Start = o.Offset
		}
		if o, ok := ends.Lookup(t.Topic, p.Partition); ok && o.Err == nil {
			pd.End = o.Offset
		}
		d.Partitions = append(d.Partitions, pd)
	}
	return d
}

func (a *app) showTopic(d topicDetail, gap bool) error {
	var head strings.Builder
	if gap {
		head.WriteByte('\n')
	}
	fmt.Fprintf(&head, "%s   %s, %s, id %s\n", d.Name, plural(len(d.Partitions), "partition"), plural(d.ReplicationFactor, "replica"), d.ID)
	for _, k := range sortedKeys(d.Config) {
		fmt.Fprintf(&head, "  %s=%s\n", k, d.Config[k])
	}
	t := &table{columns: columns(">PARTITION", ">LEADER", "REPLICAS", "ISR", ">START", ">END", ">RECORDS", "+>EPOCH", "+OFFLINE", "+ERROR")}
	for _, p := range d.Partitions {
		t.add(p.Partition, p.Leader, joinInts(p.Replicas), joinInts(p.ISR), p.Start, p.End, p.End-p.Start, p.LeaderEpoch, dash(joinInts(p.Offline)), dash(p.Error))
	}
	return a.show(nil, head.String(), t, "")
}

// kafkaID prints a topic id as Kafka's tools do.
func kafkaID(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
