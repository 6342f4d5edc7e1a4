package controller

import (
	"context"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// DeleteTopics deletes topics named by name or id. Each succeeds or fails on its own.
func (c *Controller) DeleteTopics(ctx context.Context, topics []Topic) ([]DeletedTopic, error) {
	return run(ctx, c, func(img *metadata.Image) ([]metadata.Record, []DeletedTopic) {
		if !c.o.Resolver.Broker(img).Bool("delete.topic.enable") {
			return nil, refuseDeletion(topics)
		}
		return deleteTopics(img, topics)
	})
}

func refuseDeletion(topics []Topic) []DeletedTopic {
	reply := make([]DeletedTopic, len(topics))
	for i, t := range topics {
		reply[i] = DeletedTopic{t, failure(model.TopicDeletionDisabled, "Topic deletion is disabled.")}
	}
	return reply
}

func deleteTopics(img *metadata.Image, topics []Topic) ([]metadata.Record, []DeletedTopic) {
	names, ids := map[string]int{}, map[model.TopicID]int{}
	for _, t := range topics {
		if t.ByName {
			names[t.Name]++
		} else {
			ids[t.ID]++
		}
	}
	var records []metadata.Record
	reply := make([]DeletedTopic, 0, len(topics))
	for _, t := range topics {
		if t.ByName && names[t.Name] == 0 || !t.ByName && !t.ID.IsZero() && ids[t.ID] == 0 {
			continue // answered with an earlier mention
		}
		out, found := deletable(img, t, names, ids)
		if found != nil && out.OK() {
			records = append(records, &metadata.RemoveTopic{TopicID: found.ID})
		}
		if found != nil {
			t.Name, t.ID = found.Name, found.ID
		}
		reply = append(reply, DeletedTopic{t, out})
	}
	return records, reply
}

// deletable finds the topic and refuses what is named twice, in one form or in both. names and ids count the mentions; it sets to 0 what needs
// no other answer.
func deletable(img *metadata.Image, t Topic, names map[string]int, ids map[model.TopicID]int) (Outcome, *metadata.Topic) {
	switch {
	case t.ByName && !t.ID.IsZero():
		return failure(model.InvalidRequest, "You may not specify both topic name and topic id."), nil
	case !t.ByName && t.ID.IsZero():
		return failure(model.InvalidRequest, "Neither topic name nor id were specified."), nil
	case t.ByName && names[t.Name] > 1:
		names[t.Name] = 0
		return failure(model.InvalidRequest, "Duplicate topic name."), nil
	case !t.ByName && ids[t.ID] > 1:
		ids[t.ID] = 0
		return failure(model.InvalidRequest, "Duplicate topic id."), nil
	}
	var found *metadata.Topic
	if t.ByName {
		found = img.Topic(t.Name)
	} else {
		found = img.TopicByID(t.ID)
	}
	switch {
	case found == nil && t.ByName:
		return unknownTopic(), nil
	case found == nil:
		return Outcome{model.UnknownTopicID, textUnknownTopicID}, nil
	case t.ByName && ids[found.ID] > 0 || !t.ByName && names[found.Name] > 0:
		names[found.Name], ids[found.ID] = 0, 0
		return failure(model.InvalidRequest, "The provided topic name maps to an ID that was already supplied."), found
	}
	return Outcome{}, found
}
