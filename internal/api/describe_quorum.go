package api

import (
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/wire"
)

// clusterMetadata is the name under which the metadata log goes in Kafka's protocol.
const clusterMetadata = "__cluster_metadata"

// describeQuorum answers key 55: who votes in the metadata quorum and how far each is (KIP-595, KIP-836). Offsets are those of this node's
// metadata log.
func describeQuorum(a *API, _ *Request, q *wire.DescribeQuorumRequest) (*wire.DescribeQuorumResponse, error) {
	none := "" // Kafka sends this, not null, for success
	resp := &wire.DescribeQuorumResponse{ErrorMessage: &none}
	for i := range q.Topics {
		t := wire.DescribeQuorumResponseTopic{TopicName: q.Topics[i].TopicName}
		for _, p := range q.Topics[i].Partitions {
			if t.TopicName != clusterMetadata || p.PartitionIndex != 0 {
				message := "This server does not host this topic-partition."
				t.Partitions = append(t.Partitions, wire.DescribeQuorumResponseTopicPartition{
					PartitionIndex: p.PartitionIndex, ErrorCode: model.UnknownTopicOrPartition, ErrorMessage: &message,
				})
				continue
			}
			status := a.Quorum.Status()
			t.Partitions = append(t.Partitions, wire.DescribeQuorumResponseTopicPartition{
				ErrorMessage: &none, LeaderID: int32(status.Leader), LeaderEpoch: status.Term, HighWatermark: int64(status.Commit),
				CurrentVoters: replicaStates(status.Voters), Observers: replicaStates(status.Learners),
			})
			resp.Nodes = quorumNodes(status.Voters)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp, nil
}

func replicaStates(replicas []quorum.Replica) []wire.DescribeQuorumResponseReplicaState {
	out := make([]wire.DescribeQuorumResponseReplicaState, len(replicas))
	for i := range replicas {
		v := &replicas[i]
		out[i] = wire.DescribeQuorumResponseReplicaState{
			ReplicaID: int32(v.NodeID), ReplicaDirectoryID: v.DirectoryID, LogEndOffset: int64(v.End),
			LastFetchTimestamp: unixMs(v.LastFetch), LastCaughtUpTimestamp: unixMs(v.LastCaught),
		}
	}
	return out
}

// unixMs is -1 for a time that is not known.
func unixMs(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

func quorumNodes(voters []quorum.Replica) []wire.DescribeQuorumResponseNode {
	var out []wire.DescribeQuorumResponseNode
	for i := range voters {
		n := wire.DescribeQuorumResponseNode{NodeID: int32(voters[i].NodeID)}
		for _, e := range voters[i].Endpoints {
			n.Listeners = append(n.Listeners, wire.DescribeQuorumResponseNodeListener{Name: e.Name, Host: e.Host, Port: e.Port})
		}
		out = append(out, n)
	}
	return out
}
