package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/wire"
)

// listOffsets answers key 2: the offset for a timestamp or for one of the special positions (-1 latest, -2 earliest, -3 largest
// timestamp, -4 to -6 for tiered storage: KIP-79, 734, 405, 1005).
func listOffsets(a *API, r *Request, q *wire.ListOffsetsRequest) (*wire.ListOffsetsResponse, error) {
	resp := wire.NewListOffsetsResponse()
	resp.Topics = make([]wire.ListOffsetsResponseTopic, len(q.Topics))
	for i := range q.Topics {
		qt, rt := &q.Topics[i], &resp.Topics[i]
		rt.Name = qt.Name
		rt.Partitions = make([]wire.ListOffsetsResponseTopicPartition, len(qt.Partitions))
		seen := make(map[int32]int, len(qt.Partitions))
		for j := range qt.Partitions {
			seen[qt.Partitions[j].PartitionIndex]++
		}
		for j := range qt.Partitions {
			qp, rp := &qt.Partitions[j], &rt.Partitions[j]
			*rp = wire.NewListOffsetsResponseTopicPartition()
			rp.PartitionIndex = qp.PartitionIndex
			if seen[qp.PartitionIndex] > 1 {
				rp.ErrorCode = model.InvalidRequest
				continue
			}
			a.listOffset(r, q, qt.Name, qp, rp)
		}
	}
	return &resp, nil
}

func (a *API) listOffset(r *Request, q *wire.ListOffsetsRequest, topic string, qp *wire.ListOffsetsRequestTopicPartition, rp *wire.ListOffsetsResponseTopicPartition) {
	p, code := a.partition(r.Image, topic, qp.PartitionIndex)
	if code != model.None {
		rp.ErrorCode = code
		return
	}
	if !timestampAllowed(qp.Timestamp, r.Version) {
		rp.ErrorCode = model.UnsupportedVersion
		return
	}
	found, err := p.ListOffset(qp.Timestamp, replication.Isolation(q.IsolationLevel), model.LeaderEpoch(qp.CurrentLeaderEpoch))
	if err != nil {
		rp.ErrorCode = codeOf(err)
		return
	}
	if r.Version == 0 {
		// The version of Kafka 0.8 asks for a list of segment starts at or before a time; the newest offset that fits is one of them.
		rp.OldStyleOffsets = []int64{int64(found.Offset)}
		return
	}
	rp.Timestamp, rp.Offset, rp.LeaderEpoch = found.Timestamp, int64(found.Offset), int32(found.LeaderEpoch)
}

// timestampAllowed holds the special positions to the versions that brought them.
func timestampAllowed(ts int64, version int16) bool {
	switch {
	case ts >= -2:
		return true
	case ts == -3:
		return version >= 7
	case ts == -4:
		return version >= 8
	case ts == -5:
		return version >= 9
	case ts == -6:
		return version >= 11
	}
	return false
}
