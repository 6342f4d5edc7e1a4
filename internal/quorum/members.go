package quorum

import (
	"maps"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// Member is a voter or learner of the metadata log.
type Member struct {
	NodeID      model.BrokerID
	DirectoryID model.UUID
	Endpoints   []metadata.Endpoint
	Learner     bool
	Held        bool // a learner that shall stay one until an administrator says otherwise
}

func (m *Member) raftID() uint64 { return Identity{DirectoryID: m.DirectoryID}.voterID() }

func (m *Member) record() *metadata.VoterRecord {
	rec := &metadata.VoterRecord{NodeID: int32(m.NodeID), DirectoryID: m.DirectoryID, Learner: m.Learner, Held: m.Held}
	for _, e := range m.Endpoints {
		rec.Endpoints = append(rec.Endpoints, metadata.VoterEndpoint{Name: e.Name, Host: e.Host, Port: e.Port})
	}
	return rec
}

// peers is what the driver knows of the other members, by their raft ids. It belongs to the driver's loop.
type peers struct {
	// members follow the raft configuration: a node can be reached as soon as raft talks to it, before the image with its record is published.
	members map[uint64]Member
	// settled are the members when raft was in no joint configuration last: until it has left that, the voters from before count too, and those
	// that are new alone do not make a quorum.
	settled map[uint64]Member
	// strangers are who talked to this node without being in its configuration: those that a new member hears of first.
	strangers map[uint64]model.BrokerID
	heard     map[uint64]time.Time // of the last message
	backed    map[uint64]time.Time // when it last answered to this node as its leader
	caught    map[uint64]time.Time // when it last had everything
	// snapshots under way, by the ticks since they were sent: raft sends nothing else until it is told how that went.
	snapshots map[uint64]int
}

func newPeers(voters []*metadata.Voter) peers {
	members := membersOf(voters)
	return peers{members: members, settled: members, strangers: map[uint64]model.BrokerID{}, heard: map[uint64]time.Time{}, backed: map[uint64]time.Time{}, caught: map[uint64]time.Time{}, snapshots: map[uint64]int{}}
}

// node is the node id of a member, or of somebody who said to be one.
func (p *peers) node(id uint64) (model.BrokerID, bool) {
	if m, ok := p.members[id]; ok {
		return m.NodeID, true
	}
	n, ok := p.strangers[id]
	return n, ok
}

func membersOf(voters []*metadata.Voter) map[uint64]Member {
	members := map[uint64]Member{}
	for _, v := range voters {
		m := Member{NodeID: v.NodeID, DirectoryID: v.DirectoryID, Endpoints: v.Endpoints, Learner: v.Learner, Held: v.Held}
		members[m.raftID()] = m
	}
	return members
}

// replay takes over what the records of a membership change say. The map is replaced, not changed: readers hold the old one.
func (p *peers) replay(records []metadata.Record) {
	members := maps.Clone(p.members)
	for _, r := range records {
		switch rec := r.(type) {
		case *metadata.VoterRecord:
			m := Member{NodeID: model.BrokerID(rec.NodeID), DirectoryID: rec.DirectoryID, Learner: rec.Learner, Held: rec.Held}
			for _, e := range rec.Endpoints {
				m.Endpoints = append(m.Endpoints, metadata.Endpoint{Name: e.Name, Host: e.Host, Port: e.Port})
			}
			members[m.raftID()] = m
		case *metadata.RemoveVoter:
			delete(members, Identity{DirectoryID: rec.DirectoryID}.voterID())
		}
	}
	p.members = members
}

// rank is the place of a voter among the voters by node id, the lost one left out.
func (p *peers) rank(conf *pb.ConfState, id, lost uint64) int {
	rank := 0
	for _, v := range conf.GetVoters() {
		if v != lost && v != id && p.members[v].NodeID < p.members[id].NodeID {
			rank++
		}
	}
	return rank
}

// membership is the change of raft's configuration that stands in a batch of records. It travels in one entry with the records, so the voters
// of the metadata are raft's at every offset. Repeating one changes nothing.
func membership(records []metadata.Record) *pb.ConfChangeV2 {
	var changes []*pb.ConfChangeSingle
	for _, r := range records {
		switch rec := r.(type) {
		case *metadata.VoterRecord:
			kind := pb.ConfChangeType_ConfChangeAddNode
			if rec.Learner {
				kind = pb.ConfChangeType_ConfChangeAddLearnerNode
			}
			changes = append(changes, change(kind, rec.DirectoryID))
		case *metadata.RemoveVoter:
			changes = append(changes, change(pb.ConfChangeType_ConfChangeRemoveNode, rec.DirectoryID))
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return &pb.ConfChangeV2{Changes: changes}
}

func change(kind pb.ConfChangeType, dir model.UUID) *pb.ConfChangeSingle {
	return &pb.ConfChangeSingle{Type: kind.Enum(), NodeId: new(Identity{DirectoryID: dir}.voterID())}
}

// within reports that a member is part of a configuration.
func within(conf *pb.ConfState, id uint64) bool {
	return slices.Contains(conf.GetVoters(), id) || slices.Contains(conf.GetLearners(), id) || slices.Contains(conf.GetVotersOutgoing(), id)
}
