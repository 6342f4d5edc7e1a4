package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// alterReplicaLogDirs answers key 34: replicas of this node go to other data directories (KIP-113). Success means that a move has begun, or has
// ended long ago; DescribeLogDirs shows how far it is.
func alterReplicaLogDirs(a *API, _ *Request, q *wire.AlterReplicaLogDirsRequest) (*wire.AlterReplicaLogDirsResponse, error) {
	resp := &wire.AlterReplicaLogDirsResponse{}
	for i := range q.Dirs {
		dir := &q.Dirs[i]
		for _, t := range dir.Topics {
			res := wire.AlterReplicaLogDirsResponseTopic{TopicName: t.Name}
			for _, p := range t.Partitions {
				code := a.Partitions.MoveReplica(model.TopicPartition{Topic: t.Name, Partition: p}, dir.Path)
				res.Partitions = append(res.Partitions, wire.AlterReplicaLogDirsResponseTopicPartition{PartitionIndex: p, ErrorCode: code})
			}
			resp.Results = append(resp.Results, res)
		}
	}
	return resp, nil
}
