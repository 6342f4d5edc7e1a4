package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// offsetCommit answers key 8. Version 0 knows no members: it commits as a client without a group does. Versions 2 to 4 name a retention;
// 10 names topics by id.
func offsetCommit(a *API, r *Request, q *wire.OffsetCommitRequest) (*wire.OffsetCommitResponse, error) {
	resp := &wire.OffsetCommitResponse{Topics: make([]wire.OffsetCommitResponseTopic, len(q.Topics))}
	known := *q
	known.Topics = make([]wire.OffsetCommitRequestTopic, 0, len(q.Topics))
	places := make([][]int, 0, len(q.Topics)) // where the partitions of each known topic stand in the answer
	place := make([]int, 0, len(q.Topics))    // and the topic
	for i := range q.Topics {
		qt, rt := &q.Topics[i], &resp.Topics[i]
		rt.Name, rt.TopicID = qt.Name, qt.TopicID
		rt.Partitions = make([]wire.OffsetCommitResponseTopicPartition, len(qt.Partitions))
		t, code := namedTopic(r.Image, r.Version >= 10, qt.Name, qt.TopicID)
		kt := wire.OffsetCommitRequestTopic{Partitions: make([]wire.OffsetCommitRequestTopicPartition, 0, len(qt.Partitions))}
		var at []int
		for j := range qt.Partitions {
			p := qt.Partitions[j].PartitionIndex
			rt.Partitions[j] = wire.OffsetCommitResponseTopicPartition{PartitionIndex: p, ErrorCode: partitionCode(t, code, p)}
			if rt.Partitions[j].ErrorCode == model.None {
				kt.Partitions = append(kt.Partitions, qt.Partitions[j])
				at = append(at, j)
			}
		}
		if len(at) > 0 {
			kt.Name, kt.TopicID = t.Name, t.ID
			known.Topics = append(known.Topics, kt)
			places, place = append(places, at), append(place, i)
		}
	}
	if len(known.Topics) == 0 && len(q.Topics) > 0 {
		return resp, nil
	}
	for i, rt := range a.Groups.CommitOffsets(r.Context(), r.Version, &known).Topics {
		for j := range rt.Partitions {
			resp.Topics[place[i]].Partitions[places[i][j]] = rt.Partitions[j]
		}
	}
	return resp, nil
}
