package kafkatools

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
)

// described is a topic with what --describe prints of it.
type described struct {
	name, id   string
	partitions []kmsg.DescribeTopicPartitionsResponseTopicPartition
	configs    []string // name=value, where it is not the default
	minISR     int
}

func (t *tool) describeTopics(ctx context.Context, c *connect.Cluster) error {
	names, err := t.describable(ctx, c)
	if err != nil {
		return err
	}
	byName, err := partitionsOf(ctx, c, names, t.opt.int("partition-size-limit-per-response"))
	if err != nil {
		return err
	}
	configs, err := describeConfigs(ctx, c, kmsg.ConfigResourceTypeTopic, names)
	if err != nil {
		return err
	}
	reassigning, err := t.reassigning(ctx, c)
	if err != nil {
		return err
	}
	for _, name := range hashOrder(names, max(1, len(names))) {
		d, ok := byName[name]
		if !ok {
			continue
		}
		d.configs, d.minISR = notDefault(configs[name])
		t.printTopic(d, reassigning[name])
	}
	return nil
}

// describable are the topics meant by --topic or --topic-id.
func (t *tool) describable(ctx context.Context, c *connect.Cluster) ([]string, error) {
	if !t.opt.has("topic-id") {
		names, err := t.matching(ctx, c, t.opt.has("exclude-internal"))
		if err == nil {
			err = t.found(names)
		}
		return names, err
	}
	want := strings.TrimSpace(t.opt.value("topic-id"))
	all, err := c.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, err
	}
	for name, d := range all {
		if base64.RawURLEncoding.EncodeToString(d.ID[:]) == want {
			return []string{name}, nil
		}
	}
	if t.opt.has("if-exists") {
		return nil, nil
	}
	return nil, fmt.Errorf("TopicId '%s' does not exist as expected", want)
}

// partitionsOf asks DescribeTopicPartitions (KIP-966), which knows the ELR, page by page.
func partitionsOf(ctx context.Context, c *connect.Cluster, names []string, limit int64) (map[string]described, error) {
	out := map[string]described{}
	if len(names) == 0 {
		return out, nil
	}
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 2000
	if limit > 0 {
		req.ResponsePartitionLimit = int32(limit)
	}
	for _, n := range slices.Sorted(slices.Values(names)) {
		req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: n})
	}
	for {
		resp, err := req.RequestWith(ctx, c.Raw)
		if err != nil {
			return nil, err
		}
		for _, topic := range resp.Topics {
			err := kerr.ErrorForCode(topic.ErrorCode)
			if errors.Is(err, kerr.UnknownTopicOrPartition) {
				continue // deleted since it was listed
			}
			if err != nil {
				return nil, err
			}
			d := out[text(topic.Topic)]
			d.name, d.id = text(topic.Topic), base64.RawURLEncoding.EncodeToString(topic.TopicID[:])
			d.partitions = append(d.partitions, topic.Partitions...)
			out[d.name] = d
		}
		if resp.NextCursor == nil {
			return out, nil
		}
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
	}
}

// notDefault are the settings that are not defaults, in the order Java's map of them has.
func notDefault(entries []kmsg.DescribeConfigsResponseResourceConfig) (out []string, minISR int) {
	byName := map[string]string{}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name)
		if e.Name == "min.insync.replicas" {
			minISR, _ = strconv.Atoi(text(e.Value))
		}
		if e.Source != kmsg.ConfigSourceDefaultConfig {
			byName[e.Name] = text(e.Value)
		}
	}
	for _, n := range hashOrder(names, 0) {
		if v, ok := byName[n]; ok {
			out = append(out, n+"="+v)
		}
	}
	return out, minISR
}

// reassigning are the partitions that are moving: for them the target's number of replicas counts.
func (t *tool) reassigning(ctx context.Context, c *connect.Cluster) (map[string]map[int32]kmsg.ListPartitionReassignmentsResponseTopicPartition, error) {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.TimeoutMillis = 60000
	resp, err := req.RequestWith(ctx, c.Raw)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		if errors.Is(err, kerr.ClusterAuthorizationFailed) || errors.Is(err, kerr.UnsupportedVersion) {
			return nil, nil
		}
		return nil, withMessage(err, text(resp.ErrorMessage))
	}
	out := map[string]map[int32]kmsg.ListPartitionReassignmentsResponseTopicPartition{}
	for _, topic := range resp.Topics {
		out[topic.Topic] = map[int32]kmsg.ListPartitionReassignmentsResponseTopicPartition{}
		for _, p := range topic.Partitions {
			out[topic.Topic][p.Partition] = p
		}
	}
	return out, nil
}

func (t *tool) printTopic(d described, moving map[int32]kmsg.ListPartitionReassignmentsResponseTopicPartition) {
	partitionsOnly := t.opt.count("under-replicated-partitions", "unavailable-partitions", "under-min-isr-partitions", "at-min-isr-partitions") > 0
	slices.SortFunc(d.partitions, func(a, b kmsg.DescribeTopicPartitionsResponseTopicPartition) int {
		return int(a.Partition - b.Partition)
	})
	if !partitionsOnly {
		if t.opt.has("topics-with-overrides") && len(d.configs) == 0 {
			return
		}
		factor := 0
		if len(d.partitions) > 0 {
			factor = replicas(d.partitions[0], moving)
		}
		t.printf("Topic: %s\tTopicId: %s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s\n", d.name, d.id, len(d.partitions), factor, strings.Join(d.configs, ","))
		if t.opt.has("topics-with-overrides") {
			return
		}
	}
	for _, p := range d.partitions {
		if partitionsOnly && !t.wanted(d, p, moving) {
			continue
		}
		leader := "none"
		if p.LeaderID >= 0 {
			leader = strconv.Itoa(int(p.LeaderID))
		}
		t.printf("\tTopic: %s\tPartition: %d\tLeader: %s\tReplicas: %s\tIsr: %s", d.name, p.Partition, leader, ids(p.Replicas), ids(p.ISR))
		if m, ok := moving[p.Partition]; ok {
			t.printf("\tAdding Replicas: %s\tRemoving Replicas: %s", ids(m.AddingReplicas), ids(m.RemovingReplicas))
		}
		t.printf("\tElr: %s\tLastKnownElr: %s\n", ids(p.EligibleLeaderReplicas), ids(p.LastKnownELR))
	}
}

func replicas(p kmsg.DescribeTopicPartitionsResponseTopicPartition, moving map[int32]kmsg.ListPartitionReassignmentsResponseTopicPartition) int {
	if m, ok := moving[p.Partition]; ok {
		return len(m.Replicas) - len(m.AddingReplicas)
	}
	return len(p.Replicas)
}

func (t *tool) wanted(d described, p kmsg.DescribeTopicPartitionsResponseTopicPartition, moving map[int32]kmsg.ListPartitionReassignmentsResponseTopicPartition) bool {
	return t.opt.has("under-replicated-partitions") && len(p.ISR) < replicas(p, moving) ||
		t.opt.has("unavailable-partitions") && p.LeaderID < 0 ||
		t.opt.has("under-min-isr-partitions") && len(p.ISR) < d.minISR ||
		t.opt.has("at-min-isr-partitions") && len(p.ISR) == d.minISR
}

func ids(list []int32) string {
	s := make([]string, len(list))
	for i, id := range list {
		s[i] = strconv.Itoa(int(id))
	}
	return strings.Join(s, ",")
}
