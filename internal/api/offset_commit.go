package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// offsetCommit answers key 8. Version 0 knows no members: it commits as a client without a group does. Versions 2 to 4 name a retention;
// 10 names topics by id.
func offsetCommit(a *API, r *Request, q *wire.OffsetCommitRequest) (*wire.OffsetCommitResponse, error) {
	byID := r.Version >= 10
	resp := &wire.OffsetCommitResponse{Topics: make([]wire.OffsetCommitResponseTopic, len(q.Topics))}
	known := *q
	known.Topics = make([]wire.OffsetCommitRequestTopic, 0, len(q.Topics))
	place := make([]int, 0, len(q.Topics)) // of each known topic in the answer
	for i := range q.Topics {
		qt := q.Topics[i]
		t, code := namedTopic(r.Image, byID, qt.Name, qt.TopicID)
		if code != model.None {
			resp.Topics[i] = refuseCommit(&qt, code)
			continue
		}
		qt.Name, qt.TopicID = t.Name, t.ID
		known.Topics = append(known.Topics, qt)
		place = append(place, i)
	}
	if len(known.Topics) == 0 && len(q.Topics) > 0 {
		return resp, nil
	}
	for i, rt := range a.Groups.CommitOffsets(r.Context(), &known).Topics {
		resp.Topics[place[i]] = rt
	}
	return resp, nil
}

func refuseCommit(qt *wire.OffsetCommitRequestTopic, code model.ErrorCode) wire.OffsetCommitResponseTopic {
	rt := wire.OffsetCommitResponseTopic{Name: qt.Name, TopicID: qt.TopicID, Partitions: make([]wire.OffsetCommitResponseTopicPartition, len(qt.Partitions))}
	for j := range qt.Partitions {
		rt.Partitions[j] = wire.OffsetCommitResponseTopicPartition{PartitionIndex: qt.Partitions[j].PartitionIndex, ErrorCode: code}
	}
	return rt
}
