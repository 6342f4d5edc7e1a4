package group

import (
	"time"

	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// heartbeatRequest is one Heartbeat. The answer's body is a model.ErrorCode.
type heartbeatRequest struct {
	*call
	q *wire.HeartbeatRequest
}

// heartbeat handles Heartbeat: the session goes on, and the member learns whether it has to join again.
func (s *state) heartbeat(now time.Time, r *heartbeatRequest) coordinator.Step {
	t := &turn{now: now}
	t.answer(r.call, s.beat(now, r.q))
	return t.step()
}

func (s *state) beat(now time.Time, q *wire.HeartbeatRequest) model.ErrorCode {
	g := s.find(q.GroupID)
	if g == nil {
		return model.UnknownMemberID
	}
	m, code := g.identify(q.MemberID, q.GroupInstanceID)
	switch {
	case code != model.None:
		return code
	case q.GenerationID != g.generation:
		return model.IllegalGeneration
	}
	s.heard(m, now)
	if g.phase == preparing {
		return rebalanceInProgress
	}
	return model.None
}

// leaveRequest is one LeaveGroup, in the form of version 3 and later.
type leaveRequest struct {
	*call
	group   string
	members []wire.LeaveGroupRequestMember
}

// leave handles LeaveGroup: of a member itself, or of an administrator who names members by their instance (KIP-345).
func (s *state) leave(now time.Time, r *leaveRequest) coordinator.Step {
	t := &turn{now: now}
	resp := wire.LeaveGroupResponse{Members: make([]wire.LeaveGroupResponseMember, len(r.members))}
	g := s.find(r.group)
	for i := range r.members {
		q := &r.members[i]
		resp.Members[i] = wire.LeaveGroupResponseMember{MemberID: q.MemberID, GroupInstanceID: q.GroupInstanceID, ErrorCode: model.UnknownMemberID}
		if g != nil {
			resp.Members[i].ErrorCode = s.leaveOne(t, g, q)
		}
	}
	t.answer(r.call, &resp)
	return t.step()
}

func (s *state) leaveOne(t *turn, g *group, q *wire.LeaveGroupRequestMember) model.ErrorCode {
	var m *member
	var code model.ErrorCode
	switch {
	case q.MemberID == "":
		if q.GroupInstanceID == nil || g.instances[*q.GroupInstanceID] == nil {
			return model.UnknownMemberID
		}
		m = g.instances[*q.GroupInstanceID]
	case g.pending[q.MemberID] != nil:
		s.dropPending(t, g, q.MemberID)
		return model.None
	default:
		if m, code = g.identify(q.MemberID, q.GroupInstanceID); code != model.None {
			return code
		}
	}
	s.expel(t, g, m, model.UnknownMemberID)
	return model.None
}
