package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// offsetForLeaderEpoch answers key 23: where the largest epoch not above the asked one ended, by which consumers and followers find
// out that their log was cut (KIP-101, 279, 320).
func offsetForLeaderEpoch(a *API, r *Request, q *wire.OffsetForLeaderEpochRequest) (*wire.OffsetForLeaderEpochResponse, error) {
	resp := wire.OffsetForLeaderEpochResponse{}
	for i := range q.Topics {
		qt := &q.Topics[i]
		rt := wire.OffsetForLeaderEpochResponseTopic{Topic: qt.Topic}
		for j := range qt.Partitions {
			qp := &qt.Partitions[j]
			rp := wire.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition = qp.Partition
			if p, code := a.partition(r.Image, qt.Topic, qp.Partition); code != model.None {
				rp.ErrorCode = code
			} else if epoch, end, err := p.EndOffsetForEpoch(model.LeaderEpoch(qp.LeaderEpoch), model.LeaderEpoch(qp.CurrentLeaderEpoch)); err != nil {
				rp.ErrorCode = codeOf(err)
			} else {
				rp.LeaderEpoch, rp.EndOffset = int32(epoch), int64(end)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return &resp, nil
}
