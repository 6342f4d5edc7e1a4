package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// deleteRecords answers key 21: raises a partition's log start offset (KIP-107). Offset -1 stands for the high watermark.
func deleteRecords(a *API, r *Request, q *wire.DeleteRecordsRequest) (*wire.DeleteRecordsResponse, error) {
	resp := wire.DeleteRecordsResponse{}
	for i := range q.Topics {
		qt := &q.Topics[i]
		rt := wire.DeleteRecordsResponseTopic{Name: qt.Name}
		for j := range qt.Partitions {
			qp := &qt.Partitions[j]
			rp := wire.DeleteRecordsResponseTopicPartition{PartitionIndex: qp.PartitionIndex, LowWatermark: -1}
			if p, code := a.partition(r.Image, qt.Name, qp.PartitionIndex); code != model.None {
				rp.ErrorCode = code
			} else if isInternal(qt.Name) {
				rp.ErrorCode = model.InvalidTopicException
			} else if !a.Resolver.Topic(r.Image, qt.Name).CleanupDelete {
				rp.ErrorCode = model.PolicyViolation
			} else if low, err := p.DeleteRecords(model.Offset(qp.Offset)); err != nil {
				rp.ErrorCode = codeOf(err)
			} else {
				rp.LowWatermark = int64(low)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return &resp, nil
}
