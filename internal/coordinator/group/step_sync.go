package group

import (
	"time"

	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// syncRequest is one SyncGroup. It owns what q points to.
type syncRequest struct {
	*call
	q *wire.SyncGroupRequest
}

// sync handles SyncGroup. The leader's assignment is written; when it is committed, everybody gets their share.
func (s *state) sync(now time.Time, r *syncRequest) coordinator.Step {
	t := &turn{now: now}
	g := s.find(r.q.GroupID)
	m, code := g.syncing(r.q)
	if code != model.None {
		t.answer(r.call, &wire.SyncGroupResponse{ErrorCode: code})
		return t.step()
	}
	m.synced = true
	if g.allSynced() {
		g.syncPhase.off()
	}
	if g.phase == stable {
		s.heard(m, now)
		t.reply(r.call, g.share(m))
		return t.step()
	}
	if m.sync != nil {
		t.answer(m.sync, &wire.SyncGroupResponse{ErrorCode: rebalanceInProgress}) // its client has given that one up
	}
	m.sync = r.call
	if g.leader == m.id {
		s.assign(t, g, m, r.q.Assignments)
	}
	return t.step()
}

// syncing finds who syncs, and refuses those who are not of the generation that waits for its assignment or has it.
func (g *group) syncing(q *wire.SyncGroupRequest) (*member, model.ErrorCode) {
	if g == nil {
		return nil, model.UnknownMemberID
	}
	m, code := g.identify(q.MemberID, q.GroupInstanceID)
	switch {
	case code != model.None:
		return nil, code
	case q.GenerationID != g.generation:
		return nil, model.IllegalGeneration
	case differs(q.ProtocolType, g.protocolType) || g.protocol != nil && differs(q.ProtocolName, g.protocol):
		return nil, model.InconsistentGroupProtocol
	case g.phase == preparing:
		return nil, rebalanceInProgress
	}
	return m, model.None
}

// differs reports that a name is given and is not the group's (KIP-559).
func differs(given, have *string) bool { return given != nil && (have == nil || *given != *have) }

func (g *group) allSynced() bool {
	for _, m := range g.order {
		if !m.synced {
			return false
		}
	}
	return true
}

// assign writes what the leader decided. The replay makes the group stable; nothing is handed out before that is committed.
func (s *state) assign(t *turn, g *group, leader *member, given []wire.SyncGroupRequestAssignment) {
	assignments := make(map[string][]byte, len(given))
	for i := range given {
		assignments[given[i].MemberID] = given[i].Assignment
	}
	t.records = append(t.records, metadataRecord(g, assignments))
	t.then = func(err error) []coordinator.Reply {
		if err != nil {
			// The generation stands and the others go on waiting: the leader joins again, gets the same answer, and tries once more.
			c := leader.sync
			leader.sync, leader.synced = nil, false
			s.heard(leader, t.now)
			return []coordinator.Reply{reply{c, &wire.SyncGroupResponse{ErrorCode: metadataError(err)}}}
		}
		var replies []coordinator.Reply
		for _, m := range g.order {
			if m.sync != nil {
				replies = append(replies, reply{m.sync, g.share(m)})
				m.sync = nil
				s.heard(m, t.now)
			}
		}
		return replies
	}
}

// share is a member's part of the assignment.
func (g *group) share(m *member) *wire.SyncGroupResponse {
	return &wire.SyncGroupResponse{ProtocolType: g.protocolType, ProtocolName: g.protocol, Assignment: m.assignment}
}
