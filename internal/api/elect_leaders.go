package api

import (
	"fmt"

	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// electLeaders answers key 43: preferred and, since version 1, unclean elections on order (KIP-183, KIP-460). Null partitions ask for all
// that need one.
func electLeaders(a *API, r *Request, q *wire.ElectLeadersRequest) (*wire.ElectLeadersResponse, error) {
	ctx, cancel := r.adminContext(q.TimeoutMs)
	defer cancel()
	ask := controller.ElectLeaders{Type: controller.ElectionType(q.ElectionType)}
	if q.TopicPartitions != nil {
		ask.Partitions = []controller.TopicPartitions{}
	}
	for i := range q.TopicPartitions {
		ask.Partitions = append(ask.Partitions, controller.TopicPartitions{Topic: q.TopicPartitions[i].Topic, Partitions: q.TopicPartitions[i].Partitions})
	}
	if ask.Type != controller.ElectPreferred && ask.Type != controller.ElectUnclean {
		return refuseElection(q, controller.Outcome{Code: model.InvalidRequest, Message: fmt.Sprintf("Unknown election type %d", q.ElectionType)}), nil
	}
	done, err := a.Controller.ElectLeaders(ctx, ask)
	if err != nil {
		return refuseElection(q, r.failure(a, err)), nil
	}
	resp := &wire.ElectLeadersResponse{}
	if q.TopicPartitions == nil { // Kafka names every topic, and of each what had to be elected
		for t := range r.Image.Topics() {
			resp.ReplicaElectionResults = append(resp.ReplicaElectionResults, wire.ElectLeadersResponseTopic{Topic: t.Name})
		}
	}
	for i := range q.TopicPartitions {
		resp.ReplicaElectionResults = append(resp.ReplicaElectionResults, wire.ElectLeadersResponseTopic{Topic: q.TopicPartitions[i].Topic})
	}
	// Outcomes come topic by topic in this very order; a topic may have none.
	at := 0
	for _, d := range done {
		for at < len(resp.ReplicaElectionResults) && resp.ReplicaElectionResults[at].Topic != d.Topic {
			at++
		}
		if at == len(resp.ReplicaElectionResults) {
			resp.ReplicaElectionResults = append(resp.ReplicaElectionResults, wire.ElectLeadersResponseTopic{Topic: d.Topic})
		}
		t := &resp.ReplicaElectionResults[at]
		t.PartitionResult = append(t.PartitionResult, wire.ElectLeadersResponseTopicPartition{PartitionID: d.Partition, ErrorCode: d.Code, ErrorMessage: text(d.Outcome)})
	}
	return resp, nil
}

// refuseElection says the same of the request and of every partition it names.
func refuseElection(q *wire.ElectLeadersRequest, o controller.Outcome) *wire.ElectLeadersResponse {
	resp := &wire.ElectLeadersResponse{ErrorCode: o.Code}
	for i := range q.TopicPartitions {
		t := wire.ElectLeadersResponseTopic{Topic: q.TopicPartitions[i].Topic}
		for _, p := range q.TopicPartitions[i].Partitions {
			t.PartitionResult = append(t.PartitionResult, wire.ElectLeadersResponseTopicPartition{PartitionID: p, ErrorCode: o.Code, ErrorMessage: text(o)})
		}
		resp.ReplicaElectionResults = append(resp.ReplicaElectionResults, t)
	}
	return resp
}
