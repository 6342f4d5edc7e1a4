package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
)

type quorumState struct {
	Leader        int32          `json:"leader"` // -1 while there is none
	Term          int32          `json:"term"`
	HighWatermark int64          `json:"high_watermark,string"`
	Members       []quorumMember `json:"members"`
}

type quorumMember struct {
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

func (a *app) clusterQuorum() *cobra.Command {
	return &cobra.Command{
		Use: "quorum", Short: "who votes on the metadata, who follows it and how far each is", Args: cobra.NoArgs,
		Long: "Members of the metadata quorum: voters decide, learners follow. Votes are given and taken with kafka-metadata-quorum add-controller and\n" +
			"remove-controller, which want the id and the directory id shown here; the quorum grows to klamm.controllers by itself.",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				s, err := readQuorum(c.Context(), adm)
				if err != nil {
					return err
				}
				head := fmt.Sprintf("leader %d, term %d, high watermark %d\n", s.Leader, s.Term, s.HighWatermark)
				if s.Leader < 0 {
					head = fmt.Sprintf("no leader, term %d, high watermark %d\n", s.Term, s.HighWatermark)
				}
				return a.show(s, head, quorumTable(s.Members), quorumAdvice(s.Members))
			})
		},
	}
}

func readQuorum(ctx context.Context, adm *connect.Cluster) (quorumState, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{kmsg.NewDescribeQuorumRequestTopicPartition()}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, adm.Raw)
	if err == nil {
		err = withMessage(kerr.ErrorForCode(resp.ErrorCode), deref(resp.ErrorMessage))
	}
	if err != nil {
		return quorumState{}, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return quorumState{}, &fault{what: "the answer says nothing of the metadata quorum", code: ExitError}
	}
	p := &resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return quorumState{}, withMessage(err, deref(p.ErrorMessage))
	}
	addresses := map[int32]string{}
	for _, n := range resp.Nodes {
		for _, l := range n.Listeners {
			addresses[n.NodeID] = net.JoinHostPort(l.Host, fmt.Sprint(l.Port))
		}
	}
	s := quorumState{Leader: p.LeaderID, Term: p.LeaderEpoch, HighWatermark: p.HighWatermark, Members: []quorumMember{}}
	end := p.HighWatermark
	for _, v := range p.CurrentVoters {
		end = max(end, v.LogEndOffset)
	}
	now := time.Now()
	for _, v := range p.CurrentVoters {
		s.Members = append(s.Members, memberOf(v, "voter", p.LeaderID, end, now, addresses))
	}
	for _, v := range p.Observers {
		s.Members = append(s.Members, memberOf(v, "learner", p.LeaderID, end, now, addresses))
	}
	slices.SortStableFunc(s.Members, func(a, b quorumMember) int { return int(a.ID - b.ID) })
	return s, nil
}

func memberOf(v kmsg.DescribeQuorumResponseTopicPartitionReplicaState, role string, leader int32, end int64, now time.Time, addresses map[int32]string) quorumMember {
	m := quorumMember{
		ID: v.ReplicaID, Directory: base64.RawURLEncoding.EncodeToString(v.ReplicaDirectoryID[:]), Role: role, End: v.LogEndOffset, Lag: -1, HeardMs: -1, CaughtMs: -1,
	}
	if role == "voter" { // of learners the protocol does not say where they are
		m.Address = addresses[v.ReplicaID]
	}
	if v.ReplicaID == leader {
		m.Role = "leader"
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

func quorumTable(members []quorumMember) *table {
	t := &table{columns: columns(">ID", "ROLE", ">LOG END", ">LAG", ">HEARD OF", ">CAUGHT UP", "ADDRESS", "DIRECTORY")}
	for i := range members {
		m := &members[i]
		lag := dash("")
		if m.Lag >= 0 {
			lag = fmt.Sprint(m.Lag)
		}
		t.add(m.ID, m.Role, m.End, lag, ago(m.HeardMs), ago(m.CaughtMs), dash(m.Address), m.Directory)
	}
	return t
}

func ago(ms int64) string {
	switch {
	case ms < 0:
		return "never"
	case ms < 1000:
		return "just now"
	}
	return (time.Duration(ms) * time.Millisecond).Round(time.Second).String() + " ago"
}

// silentMs is when a member counts as silent. Living ones are heard of ten times a second.
const silentMs = 2000

// quorumAdvice says how many more may be lost, and names who is silent.
func quorumAdvice(members []quorumMember) string {
	voters, alive, tail := 0, 0, ""
	for i := range members {
		m := &members[i]
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
		tail += fmt.Sprintf("%d of %s answer: if one more is lost, nothing can be decided any more\n", alive, plural(voters, "voter"))
	}
	return tail
}
