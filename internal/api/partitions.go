package api

import (
	"slices"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
)

// partition resolves a partition named as old clients do.
func (a *API) partition(img *metadata.Image, topic string, index int32) (*replication.Partition, model.ErrorCode) {
	t := img.Topic(topic)
	if t == nil {
		return nil, model.UnknownTopicOrPartition
	}
	return a.replica(t, index)
}

// partitionByID resolves a partition named by its topic's id: a re-created topic is another one (KIP-516).
func (a *API) partitionByID(img *metadata.Image, id model.TopicID, index int32) (*replication.Partition, model.ErrorCode) {
	t := img.TopicByID(id)
	if t == nil {
		return nil, model.UnknownTopicID
	}
	return a.replica(t, index)
}

func (a *API) replica(t *metadata.Topic, index int32) (*replication.Partition, model.ErrorCode) {
	if index < 0 || int(index) >= len(t.Partitions) {
		return nil, model.UnknownTopicOrPartition
	}
	if p := a.Partitions.Get(model.TopicIDPartition{ID: t.ID, Partition: index}); p != nil {
		return p, model.None
	}
	if slices.Contains(t.Partitions[index].Replicas, a.Me) {
		// The metadata gives this node a replica that it cannot open: its directory is offline.
		return nil, model.KafkaStorageError
	}
	return nil, model.NotLeaderOrFollower
}
