package controller

import (
	"context"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// CreatePartitions grows topics. Each succeeds or fails on its own; a topic named twice fails once.
func (c *Controller) CreatePartitions(ctx context.Context, q CreatePartitions) ([]NamedOutcome, error) {
	return run(ctx, c, func(img *metadata.Image) ([]metadata.Record, []NamedOutcome) {
		records, reply := createPartitions(img, q.Topics)
		if q.ValidateOnly {
			records = nil
		}
		return records, reply
	})
}

func createPartitions(img *metadata.Image, topics []GrowTopic) ([]metadata.Record, []NamedOutcome) {
	count := map[string]int{}
	total := int64(0)
	for i := range topics {
		t := &topics[i]
		count[t.Name]++
		if found := img.Topic(t.Name); found != nil {
			total += max(int64(t.Count)-int64(len(found.Partitions)), 0)
		}
	}
	var records []metadata.Record
	reply := make([]NamedOutcome, 0, len(topics))
	for i := range topics {
		t := &topics[i]
		var out Outcome
		switch n := count[t.Name]; {
		case n == 0:
			continue
		case n > 1:
			count[t.Name] = 0
			out = failure(model.InvalidRequest, "Duplicate topic name.")
		case total > maxPartitionsPerRequest:
			out = failure(model.PolicyViolation, "Excessively large number of partitions per request.")
		default:
			var made []metadata.Record
			made, out = growTopic(img, t)
			records = append(records, made...)
		}
		reply = append(reply, NamedOutcome{t.Name, out})
	}
	return records, reply
}

func growTopic(img *metadata.Image, t *GrowTopic) ([]metadata.Record, Outcome) {
	topic := img.Topic(t.Name)
	if topic == nil {
		return nil, Outcome{Code: model.UnknownTopicOrPartition}
	}
	have := len(topic.Partitions)
	more := int(t.Count) - have
	switch {
	case more == 0:
		return nil, failure(model.InvalidPartitions, "Topic already has %d partition(s).", have)
	case more < 0:
		return nil, failure(model.InvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", t.Name, have, t.Count)
	case t.Assigned && len(t.Assignments) != more:
		return nil, failure(model.InvalidReplicaAssignment, "Attempted to add %d additional partition(s), but only %d assignment(s) were specified.",
			more, len(t.Assignments))
	}
	width := len(topic.Partitions[0].Replicas)
	placement, bad := t.Assignments, Outcome{}
	if t.Assigned {
		bad = checkGrowth(img, t, width)
	} else {
		placement, bad = place(img, topic.ID, have, more, width)
	}
	if !bad.OK() {
		return nil, bad
	}
	records := make([]metadata.Record, more)
	for i, replicas := range placement {
		records[i] = newPartition(img, topic.ID, int32(have+i), replicas)
	}
	return records, Outcome{}
}

func checkGrowth(img *metadata.Image, t *GrowTopic, width int) Outcome {
	for i, replicas := range t.Assignments {
		if bad := checkAssignment(img, replicas, width); !bad.OK() {
			return bad
		}
		if !anyLive(img, replicas) {
			return failure(model.InvalidReplicaAssignment, "All brokers specified in the manual partition assignment for partition %d are fenced or in "+
				"controlled shutdown.", int(t.Count)-len(t.Assignments)+i)
		}
	}
	return Outcome{}
}
