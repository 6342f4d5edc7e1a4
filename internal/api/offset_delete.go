package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// offsetDelete answers key 47: removes offsets of a group (KIP-496), but not of topics that its members read.
func offsetDelete(a *API, r *Request, q *wire.OffsetDeleteRequest) (*wire.OffsetDeleteResponse, error) {
	known := wire.OffsetDeleteRequest{GroupID: q.GroupID}
	unknown := map[string][]wire.OffsetDeleteResponseTopicPartition{}
	for i := range q.Topics {
		qt := &q.Topics[i]
		t, code := namedTopic(r.Image, false, qt.Name, model.TopicID{})
		kt := wire.OffsetDeleteRequestTopic{Name: qt.Name}
		for _, p := range qt.Partitions {
			if c := partitionCode(t, code, p.PartitionIndex); c != model.None {
				unknown[qt.Name] = append(unknown[qt.Name], wire.OffsetDeleteResponseTopicPartition{PartitionIndex: p.PartitionIndex, ErrorCode: c})
			} else {
				kt.Partitions = append(kt.Partitions, p)
			}
		}
		known.Topics = append(known.Topics, kt) // in any case, for its place in the answer
	}
	resp := a.Groups.DeleteOffsets(r.Context(), &known)
	for i := range resp.Topics {
		rt := &resp.Topics[i]
		rt.Partitions = append(rt.Partitions, unknown[rt.Name]...)
		delete(unknown, rt.Name)
	}
	return resp, nil
}
