package api

import (
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/wire"
)

// deleteTopics answers key 20. Version 6 and later name topics by id or name (KIP-516). The answer comes when the topics are gone from the
// metadata of this node; their files go later, after file.delete.delay.ms.
func deleteTopics(a *API, r *Request, q *wire.DeleteTopicsRequest) (*wire.DeleteTopicsResponse, error) {
	ctx, cancel := r.adminContext(q.TimeoutMs)
	defer cancel()
	var topics []controller.Topic
	for _, name := range q.TopicNames {
		topics = append(topics, controller.Topic{Name: name, ByName: true})
	}
	for i := range q.Topics {
		t := controller.Topic{ID: q.Topics[i].TopicID}
		if q.Topics[i].Name != nil {
			t.Name, t.ByName = *q.Topics[i].Name, true
		}
		topics = append(topics, t)
	}
	done, err := a.Controller.DeleteTopics(ctx, topics)
	if err != nil {
		failed := r.failure(a, err)
		for _, t := range topics {
			done = append(done, controller.DeletedTopic{Topic: t, Outcome: failed})
		}
	}
	resp := &wire.DeleteTopicsResponse{Responses: make([]wire.DeleteTopicsResponseTopic, len(done))}
	for i := range done {
		d := &done[i]
		t := wire.DeleteTopicsResponseTopic{TopicID: d.ID, ErrorCode: d.Code, ErrorMessage: text(d.Outcome)}
		if d.ByName || d.Name != "" {
			t.Name = &d.Name
		}
		resp.Responses[i] = t
	}
	return resp, nil
}
