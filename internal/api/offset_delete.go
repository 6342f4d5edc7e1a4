package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// offsetDelete answers key 47: removes offsets of a group (KIP-496), but not of topics that its members read.
func offsetDelete(a *API, r *Request, q *wire.OffsetDeleteRequest) (*wire.OffsetDeleteResponse, error) {
	known := wire.OffsetDeleteRequest{GroupID: q.GroupID}
	var unknown []wire.OffsetDeleteResponseTopic
	for i := range q.Topics {
		qt := &q.Topics[i]
		if r.Image.Topic(qt.Name) != nil {
			known.Topics = append(known.Topics, *qt)
			continue
		}
		rt := wire.OffsetDeleteResponseTopic{Name: qt.Name}
		for j := range qt.Partitions {
			rt.Partitions = append(rt.Partitions, wire.OffsetDeleteResponseTopicPartition{
				PartitionIndex: qt.Partitions[j].PartitionIndex, ErrorCode: model.UnknownTopicOrPartition,
			})
		}
		unknown = append(unknown, rt)
	}
	resp := a.Groups.DeleteOffsets(r.Context(), &known)
	if resp.ErrorCode == model.None {
		resp.Topics = append(resp.Topics, unknown...)
	}
	return resp, nil
}
