package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// createTopics makes topics of one partition in one request, and returns when all have leaders.
func (b *broker) createTopics(ctx context.Context, n int) error {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("created-", i))
	}
	resp, err := b.admin.CreateTopics(ctx, 1, int16(len(b.nodes)), nil, names...)
	if err != nil {
		return err
	}
	for _, r := range resp {
		if r.Err != nil {
			return r.Err
		}
	}
	for {
		ends, err := b.admin.ListEndOffsets(ctx, names...)
		if err == nil && ends.Error() == nil && len(ends) == n {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
}

// reassign gives a topic's partitions other replicas, and waits until they are these and in sync.
func (b *broker) reassign(ctx context.Context, topic string, replicas [][]int32) error {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 30000
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = topic
	for p, ids := range replicas {
		rp := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		rp.Partition, rp.Replicas = int32(p), ids
		t.Partitions = append(t.Partitions, rp)
	}
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, b.kgo)
	if err != nil {
		return err
	}
	for _, p := range resp.Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return err
		}
	}
	for {
		m, err := b.admin.Metadata(ctx, topic)
		if err == nil && !slices.ContainsFunc(m.Topics[topic].Partitions.Sorted(), func(p kadm.PartitionDetail) bool {
			return !slices.Equal(p.Replicas, replicas[p.Partition]) || len(p.ISR) < len(p.Replicas)
		}) {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
}

// electPreferred makes the first replica of every partition its leader, and returns when the metadata says so.
func (b *broker) electPreferred(ctx context.Context, topic string, partitions int) error {
	set := kadm.TopicsSet{}
	for p := range partitions {
		set.Add(topic, int32(p))
	}
	got, err := b.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, set)
	if err != nil {
		return err
	}
	for _, r := range got[topic] {
		if r.Err != nil && !errors.Is(r.Err, kerr.ElectionNotNeeded) {
			return r.Err
		}
	}
	for {
		m, err := b.admin.Metadata(ctx, topic)
		if err == nil {
			left := 0
			for _, p := range m.Topics[topic].Partitions {
				if p.Leader != p.Replicas[0] {
					left++
				}
			}
			if left == 0 {
				return nil
			}
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
}

// members are the consumers of one group, with what each has now.
type members struct {
	mu      sync.Mutex
	has     map[int]int // partitions by member
	changed chan struct{}
	clients []*kgo.Client
}

// groupGrows is B16: ten more members join a group of ten on 900 partitions.
func (s *session) groupGrows(c *klammCluster) ([]result, error) {
	const partitions = 900
	if _, err := c.topic("grown", partitions, nil); err != nil {
		return nil, err
	}
	m := &members{has: map[int]int{}, changed: make(chan struct{}, 1)}
	defer func() {
		for _, cl := range m.clients {
			cl.Close()
		}
	}()
	var took []float64
	for _, count := range []int{10, 20} {
		begun := time.Now()
		if err := m.grow(c.broker, "grown", count); err != nil {
			return nil, err
		}
		if err := m.await(count, partitions); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun).Seconds())
	}
	return []result{limited("x3 group on 900 partitions", "10 -> 20 members", "s", 0, took[1])}, nil
}

func (m *members) grow(b *broker, topic string, count int) error {
	for len(m.clients) < count {
		i := len(m.clients)
		note := func(by int) func(context.Context, *kgo.Client, map[string][]int32) {
			return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
				m.mu.Lock()
				m.has[i] += by * len(parts[topic])
				m.mu.Unlock()
				select {
				case m.changed <- struct{}{}:
				default:
				}
			}
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(b.addr), kgo.ConsumerGroup("grown"), kgo.ConsumeTopics(topic), kgo.HeartbeatInterval(500*time.Millisecond),
			kgo.OnPartitionsAssigned(note(1)), kgo.OnPartitionsRevoked(note(-1)), kgo.OnPartitionsLost(note(-1)))
		if err != nil {
			return err
		}
		m.clients = append(m.clients, cl)
	}
	return nil
}

// await returns when every member has its share and nobody more.
func (m *members) await(count, partitions int) error {
	limit := time.After(time.Minute)
	for {
		m.mu.Lock()
		var shares []int
		for _, n := range m.has {
			shares = append(shares, n)
		}
		m.mu.Unlock()
		if len(shares) == count && slices.Min(shares) == partitions/count && slices.Max(shares) == partitions/count {
			return nil
		}
		select {
		case <-m.changed:
		case <-limit:
			return fmt.Errorf("%d members have %v", count, shares)
		}
	}
}
