package api

import (
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// createPartitions answers key 37: more partitions for topics that exist (KIP-195).
func createPartitions(a *API, r *Request, q *wire.CreatePartitionsRequest) (*wire.CreatePartitionsResponse, error) {
	ctx, cancel := r.adminContext(q.TimeoutMs)
	defer cancel()
	ask := controller.CreatePartitions{ValidateOnly: q.ValidateOnly, Topics: make([]controller.GrowTopic, len(q.Topics))}
	for i := range q.Topics {
		t := &q.Topics[i]
		grow := controller.GrowTopic{Name: t.Name, Count: t.Count, Assigned: t.Assignments != nil}
		for j := range t.Assignments {
			ids := modelIDs(t.Assignments[j].BrokerIDs)
			grow.Assignments = append(grow.Assignments, append([]model.BrokerID{}, ids...))
		}
		ask.Topics[i] = grow
	}
	done, err := a.Controller.CreatePartitions(ctx, ask)
	if err != nil {
		failed := r.failure(a, err)
		for i := range q.Topics {
			done = append(done, controller.NamedOutcome{Name: q.Topics[i].Name, Outcome: failed})
		}
	}
	resp := &wire.CreatePartitionsResponse{Results: make([]wire.CreatePartitionsResponseResult, len(done))}
	for i, d := range done {
		resp.Results[i] = wire.CreatePartitionsResponseResult{Name: d.Name, ErrorCode: d.Code, ErrorMessage: text(d.Outcome)}
	}
	return resp, nil
}
