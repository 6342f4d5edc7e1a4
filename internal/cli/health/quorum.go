package health

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
)

// Quorum is the metadata quorum as its leader sees it.
type Quorum struct {
	Leader        int32    `json:"leader"` // -1 while there is none
	Term          int32    `json:"term"`
	HighWatermark int64    `json:"high_watermark,string"`
	Members       []Member `json:"members"`
}

// Member is one member of a Quorum.
type Member struct {
	ID        int32  `json:"id"`
	Directory string `json:"directory"`
	Role      string `json:"role"` // leader, voter or learner
	End       int64  `json:"log_end_offset,string"`
	Lag       int64  `json:"lag,string"` // records it lacks of what the leader has; -1 when not known
	// Milliseconds since the leader heard of it, and since it had everything; -1 when not known.
	HeardMs  int64  `json:"heard_ms_ago,string"`
	CaughtMs int64  `json:"caught_up_ms_ago,string"`
	Address  string `json:"address,omitempty"`
}

// ReadQuorum asks the cluster.
func ReadQuorum(ctx context.Context, adm *connect.Cluster) (Quorum, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{kmsg.NewDescribeQuorumRequestTopicPartition()}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, adm.Raw)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return Quorum{}, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return Quorum{}, errNoQuorum
	}
	p := &resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return Quorum{}, err
	}
	addresses := map[int32]string{}
	for _, n := range resp.Nodes {
		for _, l := range n.Listeners {
			addresses[n.NodeID] = net.JoinHostPort(l.Host, fmt.Sprint(l.Port))
		}
	}
	s := Quorum{Leader: p.LeaderID, Term: p.LeaderEpoch, HighWatermark: p.HighWatermark, Members: []Member{}}
	end := p.HighWatermark
	for i := range p.CurrentVoters {
		end = max(end, p.CurrentVoters[i].LogEndOffset)
	}
	now := time.Now()
	for i := range p.CurrentVoters {
		m := memberOf(&p.CurrentVoters[i], end, now)
		m.Role, m.Address = "voter", addresses[m.ID] // of learners the protocol does not say where they are
		if m.ID == p.LeaderID {
			m.Role = "leader"
		}
		s.Members = append(s.Members, m)
	}
	for i := range p.Observers {
		m := memberOf(&p.Observers[i], end, now)
		m.Role = "learner"
		s.Members = append(s.Members, m)
	}
	slices.SortStableFunc(s.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return s, nil
}

var errNoQuorum = errors.New("the answer says nothing of the metadata quorum")

func memberOf(v *kmsg.DescribeQuorumResponseTopicPartitionReplicaState, end int64, now time.Time) Member {
	m := Member{
		ID: v.ReplicaID, Directory: base64.RawURLEncoding.EncodeToString(v.ReplicaDirectoryID[:]), End: v.LogEndOffset, Lag: -1, HeardMs: -1, CaughtMs: -1,
	}
	if v.LogEndOffset >= 0 {
		m.Lag = max(0, end-v.LogEndOffset)
	}
	if v.LastFetchTimestamp >= 0 {
		m.HeardMs = max(0, now.UnixMilli()-v.LastFetchTimestamp)
	}
	if v.LastCaughtUpTimestamp >= 0 {
		m.CaughtMs = max(0, now.UnixMilli()-v.LastCaughtUpTimestamp)
	}
	return m
}

// silentMs is when a member counts as silent. Living ones are heard of ten times a second.
const silentMs = 2000

// Advice says how many more may be lost, and names who is silent.
func (q *Quorum) Advice() string {
	voters, alive, tail := 0, 0, ""
	for i := range q.Members {
		m := &q.Members[i]
		silent := m.HeardMs < 0 || m.HeardMs > silentMs
		if m.Role != "learner" {
			voters++
			if !silent {
				alive++
			}
		}
		if silent {
			tail += fmt.Sprintf("node %d (%s) is silent: bring it back, or, if it is gone for good, klamm broker decommission %d\n", m.ID, m.Role, m.ID)
		}
	}
	spare := alive - voters/2 - 1
	if spare <= 0 && voters > 1 {
		tail += fmt.Sprintf("%d of %d voters answer: if one more is lost, nothing can be decided any more\n", alive, voters)
	}
	return tail
}
