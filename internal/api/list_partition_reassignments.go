package api

import (
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/wire"
)

// listPartitionReassignments answers key 46: which partitions are on the move (KIP-455). Null topics ask for all.
func listPartitionReassignments(_ *API, r *Request, q *wire.ListPartitionReassignmentsRequest) (*wire.ListPartitionReassignmentsResponse, error) {
	var filter []controller.TopicPartitions
	if q.Topics != nil {
		filter = []controller.TopicPartitions{}
	}
	for i := range q.Topics {
		filter = append(filter, controller.TopicPartitions{Topic: q.Topics[i].Name, Partitions: q.Topics[i].PartitionIndexes})
	}
	resp := &wire.ListPartitionReassignmentsResponse{}
	for m := range controller.ListReassignments(r.Image, filter) {
		if n := len(resp.Topics); n == 0 || resp.Topics[n-1].Name != m.Topic {
			resp.Topics = append(resp.Topics, wire.ListPartitionReassignmentsResponseTopic{Name: m.Topic})
		}
		t := &resp.Topics[len(resp.Topics)-1]
		t.Partitions = append(t.Partitions, wire.ListPartitionReassignmentsResponseTopicPartition{
			PartitionIndex: m.Partition, Replicas: brokerIDs(m.Replicas), AddingReplicas: brokerIDs(m.Adding), RemovingReplicas: brokerIDs(m.Removing),
		})
	}
	return resp, nil
}
