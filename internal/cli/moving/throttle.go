package moving

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

// The keys of throttles: rates of brokers, and the replicas of topics they count for.
const (
	leaderRate     = "leader.replication.throttled.rate"
	followerRate   = "follower.replication.throttled.rate"
	leaderLimits   = "leader.replication.throttled.replicas"
	followerLimits = "follower.replication.throttled.replicas"
)

// Throttle bounds what a plan may take, in bytes per second and broker: of the brokers that have the replicas, and of those that get them.
func Throttle(ctx context.Context, adm *connect.Cluster, plan []moves.Move, rate int64) error {
	sending, taking := map[string][]string{}, map[string][]string{}
	brokers := map[int32]bool{}
	for i := range plan {
		m := &plan[i]
		adding := m.Adding()
		for _, id := range adding {
			taking[m.Topic] = append(taking[m.Topic], fmt.Sprintf("%d:%d", m.Partition, id))
			brokers[id] = true
		}
		if len(adding) == 0 {
			continue
		}
		for _, id := range m.From {
			sending[m.Topic] = append(sending[m.Topic], fmt.Sprintf("%d:%d", m.Partition, id))
			brokers[id] = true
		}
	}
	for topic := range taking {
		var ops []kadm.AlterConfig
		for name, list := range map[string][]string{leaderLimits: sending[topic], followerLimits: taking[topic]} {
			v := strings.Join(list, ",")
			ops = append(ops, kadm.AlterConfig{Op: kadm.AppendConfig, Name: name, Value: &v})
		}
		resp, err := adm.AlterTopicConfigs(ctx, ops, topic)
		if err := refused(resp, err); err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	v := strconv.FormatInt(rate, 10)
	for _, id := range slices.Sorted(maps.Keys(brokers)) {
		err := alterBroker(ctx, adm, id, kadm.AlterConfig{Op: kadm.SetConfig, Name: leaderRate, Value: &v}, kadm.AlterConfig{Op: kadm.SetConfig, Name: followerRate, Value: &v})
		if err != nil {
			return err
		}
	}
	return nil
}

func alterBroker(ctx context.Context, adm *connect.Cluster, id int32, ops ...kadm.AlterConfig) error {
	resp, err := adm.AlterBrokerConfigs(ctx, ops, id)
	if err := refused(resp, err); err != nil {
		return fmt.Errorf("broker %d: %w", id, err)
	}
	return nil
}

func refused(resp kadm.AlterConfigsResponses, err error) error {
	for _, r := range resp {
		if r.Err != nil {
			err = errors.Join(err, fmt.Errorf("%w %s", r.Err, r.ErrMessage))
		}
	}
	return err
}

// Unthrottle takes every throttle away, of all brokers that live and of all topics, and reports whether there was one.
func Unthrottle(ctx context.Context, adm *connect.Cluster) (removed bool, err error) {
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return false, err
	}
	topics, err := adm.ListTopicsWithInternal(ctx)
	if err != nil {
		return false, err
	}
	for _, id := range brokers.NodeIDs() {
		set, err := adm.DescribeBrokerConfigs(ctx, id)
		if err != nil {
			return removed, fmt.Errorf("broker %d: %w", id, err)
		}
		if ops := ends(set); len(ops) > 0 {
			removed = true
			if err := alterBroker(ctx, adm, id, ops...); err != nil {
				return removed, err
			}
		}
	}
	set, err := adm.DescribeTopicConfigs(ctx, topics.Names()...)
	if err != nil {
		return removed, err
	}
	for _, r := range set {
		if ops := ends(kadm.ResourceConfigs{r}); len(ops) > 0 {
			removed = true
			resp, err := adm.AlterTopicConfigs(ctx, ops, r.Name)
			if err := refused(resp, err); err != nil {
				return removed, fmt.Errorf("topic %s: %w", r.Name, err)
			}
		}
	}
	return removed, nil
}

// ends are the operations that take throttles away.
func ends(set kadm.ResourceConfigs) (ops []kadm.AlterConfig) {
	for _, r := range set {
		for _, c := range r.Configs {
			dynamic := c.Source == kmsg.ConfigSourceDynamicTopicConfig || c.Source == kmsg.ConfigSourceDynamicBrokerConfig
			if dynamic && slices.Contains([]string{leaderRate, followerRate, leaderLimits, followerLimits}, c.Key) {
				ops = append(ops, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: c.Key})
			}
		}
	}
	return ops
}
