package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/moves"
)

// Kafka's throttles of replicas on the move (KIP-73): rates of brokers, and the replicas of topics they count for. They are Kafka's own, so that
// kafka-reassign-partitions may take over what was begun here.
const (
	leaderRate     = "leader.replication.throttled.rate"
	followerRate   = "follower.replication.throttled.rate"
	leaderLimits   = "leader.replication.throttled.replicas"
	followerLimits = "follower.replication.throttled.replicas"
)

// throttle bounds what a plan may take, in bytes per second and broker: of the brokers that have the replicas, and of those that get them.
func throttle(ctx context.Context, adm *connect.Cluster, plan []moves.Move, rate int64) error {
	sending, taking := map[string][]string{}, map[string][]string{}
	brokers := map[int32]bool{}
	for i := range plan {
		m := &plan[i]
		for _, id := range m.Adding() {
			taking[m.Topic] = append(taking[m.Topic], fmt.Sprintf("%d:%d", m.Partition, id))
			brokers[id] = true
		}
		if len(m.Adding()) == 0 {
			continue
		}
		for _, id := range m.From {
			sending[m.Topic] = append(sending[m.Topic], fmt.Sprintf("%d:%d", m.Partition, id))
			brokers[id] = true
		}
	}
	for topic := range taking {
		if err := addToLists(ctx, adm, topic, sending[topic], taking[topic]); err != nil {
			return err
		}
	}
	v := strconv.FormatInt(rate, 10)
	return alterBrokers(ctx, adm, brokers, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: leaderRate, Value: &v}, {Op: kadm.SetConfig, Name: followerRate, Value: &v}})
}

// addToLists adds replicas to those a topic's throttles count for.
func addToLists(ctx context.Context, adm *connect.Cluster, topic string, sending, taking []string) error {
	var ops []kadm.AlterConfig
	for name, list := range map[string][]string{leaderLimits: sending, followerLimits: taking} {
		v := strings.Join(list, ",")
		ops = append(ops, kadm.AlterConfig{Op: kadm.AppendConfig, Name: name, Value: &v})
	}
	resp, err := adm.AlterTopicConfigs(ctx, ops, topic)
	return configError(resp, err)
}

func alterBrokers(ctx context.Context, adm *connect.Cluster, brokers map[int32]bool, ops []kadm.AlterConfig) error {
	for _, id := range slices.Sorted(maps.Keys(brokers)) {
		resp, err := adm.AlterBrokerConfigs(ctx, ops, id)
		if err := configError(resp, err); err != nil {
			return fmt.Errorf("broker %d: %w", id, err)
		}
	}
	return nil
}

func configError(resp kadm.AlterConfigsResponses, err error) error {
	for _, r := range resp {
		if r.Err != nil {
			err = errors.Join(err, fmt.Errorf("%w %s", r.Err, r.ErrMessage))
		}
	}
	return err
}

// unthrottle takes every throttle away: of all brokers, and of the topics.
func unthrottle(ctx context.Context, adm *connect.Cluster, topics []string) (removed bool, err error) {
	list, err := adm.ListBrokers(ctx)
	if err != nil {
		return false, err
	}
	var names []string
	for _, id := range list.NodeIDs() {
		names = append(names, strconv.Itoa(int(id)))
	}
	for _, r := range append(resources("broker", names...), resources("topic", topics...)...) {
		set, err := describeConfigs(ctx, adm, []resource{r})
		if err != nil {
			return removed, err
		}
		var ops []kadm.AlterConfig
		for _, entries := range set {
			for _, e := range entries {
				if slices.Contains([]string{leaderRate, followerRate, leaderLimits, followerLimits}, e.Name) && strings.HasPrefix(e.Source, "DYNAMIC_") {
					ops = append(ops, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: e.Name})
				}
			}
		}
		if len(ops) == 0 {
			continue
		}
		removed = true
		var resp kadm.AlterConfigsResponses
		if id, numErr := strconv.Atoi(r.name); numErr == nil && r.kind == kmsg.ConfigResourceTypeBroker {
			resp, err = adm.AlterBrokerConfigs(ctx, ops, int32(id))
		} else {
			resp, err = adm.AlterTopicConfigs(ctx, ops, r.name)
		}
		if err := configError(resp, err); err != nil {
			return removed, err
		}
	}
	return removed, nil
}
