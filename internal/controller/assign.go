package controller

import (
	"maps"
	"slices"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// placeNewTopic finds the replicas of every partition of a new topic: those the request names, or the placer's.
func placeNewTopic(img *metadata.Image, t *CreateTopic, defaults topicDefaults, id model.TopicID) ([][]model.BrokerID, Outcome) {
	if len(t.Assignments) > 0 {
		return assignedByHand(img, t)
	}
	partitions, replicas := t.Partitions, t.ReplicationFactor
	switch {
	case partitions == 0 || partitions < -1:
		return nil, failure(model.InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	case replicas == 0 || replicas < -1:
		return nil, failure(model.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	}
	if partitions == -1 {
		partitions = defaults.partitions
	}
	if replicas == -1 {
		replicas = defaults.replicas
	}
	return place(img, id, 0, int(partitions), int(replicas))
}

func assignedByHand(img *metadata.Image, t *CreateTopic) ([][]model.BrokerID, Outcome) {
	switch {
	case t.ReplicationFactor != -1:
		return nil, failure(model.InvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1.")
	case t.Partitions != -1:
		return nil, failure(model.InvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1.")
	}
	byIndex := map[int32][]model.BrokerID{}
	width := -1
	for _, a := range t.Assignments {
		if _, twice := byIndex[a.Partition]; twice {
			return nil, failure(model.InvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d", a.Partition)
		}
		if bad := checkAssignment(img, a.Brokers, width); !bad.OK() {
			return nil, bad
		}
		if !anyLive(img, a.Brokers) {
			return nil, failure(model.InvalidReplicaAssignment,
				"All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.", a.Partition)
		}
		width = len(a.Brokers)
		byIndex[a.Partition] = a.Brokers
	}
	out := make([][]model.BrokerID, len(byIndex))
	for i := range out {
		replicas, ok := byIndex[int32(i)]
		if !ok {
			return nil, failure(model.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		}
		out[i] = replicas
	}
	return out, Outcome{}
}

// checkAssignment checks the replicas of one partition. width is how many there must be, -1 when any number will do.
func checkAssignment(img *metadata.Image, replicas []model.BrokerID, width int) Outcome {
	if len(replicas) == 0 {
		return failure(model.InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	sorted := slices.Sorted(slices.Values(replicas))
	for i, id := range sorted {
		switch {
		case img.Broker(id) == nil:
			return failure(model.InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		case i > 0 && sorted[i-1] == id:
			return failure(model.InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	if width >= 0 && width != len(replicas) {
		return failure(model.InvalidReplicaAssignment, "The manual partition assignment includes a partition with %d replica(s), "+
			"but this is not consistent with previous partitions, which have %d replica(s).", len(replicas), width)
	}
	return Outcome{}
}

func anyLive(img *metadata.Image, ids []model.BrokerID) bool {
	e := electorate{img: img}
	return slices.ContainsFunc(ids, e.live)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
