package api

import (
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// alterPartitionReassignments answers key 45: other replicas for partitions, or an end of a move under way (KIP-455). Since version 1 a
// request can insist on the number of replicas staying as it is (KIP-860).
func alterPartitionReassignments(a *API, r *Request, q *wire.AlterPartitionReassignmentsRequest) (*wire.AlterPartitionReassignmentsResponse, error) {
	ctx, cancel := r.adminContext(q.TimeoutMs)
	defer cancel()
	ask := controller.Reassignments{KeepReplicationFactor: !q.AllowReplicationFactorChange}
	for i := range q.Topics {
		for j := range q.Topics[i].Partitions {
			p := &q.Topics[i].Partitions[j]
			ask.Partitions = append(ask.Partitions, controller.Reassign{
				TopicPartition: model.TopicPartition{Topic: q.Topics[i].Name, Partition: p.PartitionIndex},
				Replicas:       modelIDs(p.Replicas), Cancel: p.Replicas == nil,
			})
		}
	}
	done, err := a.Controller.AlterPartitionReassignments(ctx, ask)
	resp := wire.NewAlterPartitionReassignmentsResponse()
	resp.AllowReplicationFactorChange = q.AllowReplicationFactorChange
	if err != nil {
		failed := r.failure(a, err)
		resp.ErrorCode, resp.ErrorMessage = failed.Code, text(failed)
		return &resp, nil
	}
	// Outcomes are in the order of the request, one for each partition.
	for i := range q.Topics {
		n := len(q.Topics[i].Partitions)
		t := wire.AlterPartitionReassignmentsResponseTopic{Name: q.Topics[i].Name}
		for _, d := range done[:n] {
			t.Partitions = append(t.Partitions, wire.AlterPartitionReassignmentsResponseTopicPartition{
				PartitionIndex: d.Partition, ErrorCode: d.Code, ErrorMessage: text(d.Outcome),
			})
		}
		done = done[n:]
		resp.Responses = append(resp.Responses, t)
	}
	return &resp, nil
}
