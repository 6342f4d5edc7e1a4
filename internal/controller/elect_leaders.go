package controller

import (
	"context"
	"slices"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// ElectLeaders elects leaders on order (KIP-460). Without partitions it elects wherever that changes something and answers only there.
func (c *Controller) ElectLeaders(ctx context.Context, q ElectLeaders) ([]PartitionOutcome, error) {
	return run(ctx, c, func(img *metadata.Image) ([]metadata.Record, []PartitionOutcome) {
		c.because("order", "ordered by an administrator")
		return electLeaders(c.electorate(img), &q)
	})
}

func electLeaders(e *electorate, q *ElectLeaders) (records []metadata.Record, reply []PartitionOutcome) {
	one := func(t *metadata.Topic, index int32) Outcome {
		rec, out := electOne(e, q.Type, t, index)
		if rec != nil {
			records = append(records, rec)
		}
		return out
	}
	if q.Partitions == nil {
		for t := range e.img.Topics() {
			for i := range t.Partitions {
				if out := one(t, int32(i)); out.Code != model.ElectionNotNeeded {
					reply = append(reply, PartitionOutcome{model.TopicPartition{Topic: t.Name, Partition: int32(i)}, out})
				}
			}
		}
		return records, reply
	}
	seen := map[model.TopicPartition]Outcome{}
	for _, tp := range partitionsOf(q.Partitions) {
		out, twice := seen[tp]
		if !twice {
			switch t := e.img.Topic(tp.Topic); {
			case t == nil:
				out = failure(model.UnknownTopicOrPartition, "No such topic as %s", tp.Topic)
			case tp.Partition < 0 || int(tp.Partition) >= len(t.Partitions):
				out = failure(model.UnknownTopicOrPartition, "No such partition as %s", tp)
			default:
				out = one(t, tp.Partition)
			}
			seen[tp] = out
		}
		reply = append(reply, PartitionOutcome{tp, out})
	}
	return records, reply
}

func partitionsOf(topics []TopicPartitions) []model.TopicPartition {
	var out []model.TopicPartition
	for i := range topics {
		for _, p := range topics[i].Partitions {
			out = append(out, model.TopicPartition{Topic: topics[i].Topic, Partition: p})
		}
	}
	return out
}

// electOne is one election. The record is nil unless it changes something.
func electOne(e *electorate, kind ElectionType, t *metadata.Topic, index int32) (metadata.Record, Outcome) {
	p := &t.Partitions[index]
	c := changeOf(t, index)
	if kind == ElectUnclean {
		if p.Leader != model.NoBroker {
			return nil, Outcome{model.ElectionNotNeeded, textNotNeeded}
		}
		if e.elect(c); c.next.Leader == model.NoBroker {
			id, ok := e.first(p.Replicas, e.hosted(p, p.Replicas))
			if !ok {
				return nil, Outcome{model.EligibleLeadersNotAvailable, textNoEligible}
			}
			e.enthrone(c, id, nil)
		}
		return c.record(), Outcome{}
	}
	switch {
	case p.Leader == p.PreferredLeader():
		return nil, Outcome{model.ElectionNotNeeded, textNotNeeded}
	case !e.prefer(c):
		return nil, Outcome{model.PreferredLeaderNotAvailable, textNoPreferred}
	}
	return c.record(), Outcome{}
}

// prefer makes the preferred replica the leader if it may lead.
func (e *electorate) prefer(c *change) bool {
	id := c.old.PreferredLeader()
	if !e.live(id) || !slices.Contains(c.old.ISR, id) {
		return false
	}
	c.next.Leader = id
	return true
}
