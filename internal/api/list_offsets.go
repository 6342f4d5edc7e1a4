package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/wire"
)

// listOffsets answers key 2: the offset for a timestamp or for one of the special positions (-1 latest, -2 earliest, -3 largest
// timestamp, -4 to -6 for tiered storage: KIP-79, 734, 405, 1005).
func listOffsets(a *API, r *Request, q *wire.ListOffsetsRequest) (*wire.ListOffsetsResponse, error) {
	resp := wire.ListOffsetsResponse{Topics: make([]wire.ListOffsetsResponseTopic, len(q.Topics))}
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
			found, code := a.listOffset(r, q, qt.Name, qp)
			rp.ErrorCode = code
			if code == model.None {
				fillOffset(r.Version, qp, rp, found)
			}
		}
	}
	return &resp, nil
}

func (a *API) listOffset(r *Request, q *wire.ListOffsetsRequest, topic string, qp *wire.ListOffsetsRequestTopicPartition) (replication.FoundOffset, model.ErrorCode) {
	p, code := a.partition(r.Image, topic, qp.PartitionIndex)
	if code != model.None {
		return replication.FoundOffset{}, code
	}
	if !timestampAllowed(qp.Timestamp, r.Version) {
		return replication.FoundOffset{}, model.UnsupportedVersion
	}
	kind := isolation(q.IsolationLevel)
	if q.ReplicaID >= 0 {
		kind = replication.ReadAll
	}
	found, err := p.ListOffset(qp.Timestamp, kind, model.LeaderEpoch(qp.CurrentLeaderEpoch))
	code = codeOf(err)
	if code == model.OffsetNotAvailable && r.Version < 5 {
		code = model.LeaderNotAvailable
	}
	return found, code
}

// fillOffset puts what was found into the version's form. That of Kafka 0.8 is a list of segment starts at or before a time; the newest
// offset that fits is one of them.
func fillOffset(version int16, qp *wire.ListOffsetsRequestTopicPartition, rp *wire.ListOffsetsResponseTopicPartition, found replication.FoundOffset) {
	if version > 0 {
		rp.Timestamp, rp.Offset, rp.LeaderEpoch = found.Timestamp, int64(found.Offset), int32(found.LeaderEpoch)
		return
	}
	rp.OldStyleOffsets = []int64{}
	if found.Offset != model.NoOffset && qp.MaxNumOffsets > 0 {
		rp.OldStyleOffsets = append(rp.OldStyleOffsets, int64(found.Offset))
	}
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
