package group

import (
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// rebalanceInProgress is what members are told that must join again.
const rebalanceInProgress = model.RebalanceInProgress

// Versions from which on JoinGroup behaves differently.
const (
	joinRebalanceTimeout = 1 // before, the session timeout served for both
	joinRequiresMemberID = 4 // a new dynamic member gets its id first and joins with it (KIP-394)
	joinSkipsAssignment  = 9 // a leader can be told that there is nothing to assign (KIP-814)
)

// joinRequest is one JoinGroup. It owns what q points to.
type joinRequest struct {
	*call
	client  Client
	version int16
	q       *wire.JoinGroupRequest
}

// joinError is a JoinGroup answer without success.
func joinError(code model.ErrorCode, memberID string) *wire.JoinGroupResponse {
	resp := wire.NewJoinGroupResponse()
	resp.ErrorCode, resp.MemberID = code, memberID
	return &resp
}

// join handles JoinGroup.
func (s *state) join(now time.Time, r *joinRequest) coordinator.Step {
	t := &turn{now: now}
	q := r.q
	g := s.find(q.GroupID)
	if code := s.refuseJoin(g, q); code != model.None {
		t.answer(r.call, joinError(code, q.MemberID))
		return t.step()
	}
	if g == nil {
		g = s.open(q.GroupID)
	}
	switch {
	case !g.hasRoom(q.MemberID, s.config().MaxSize):
		// A member that does not fit any more, because the limit was lowered, is out.
		if m := g.members[q.MemberID]; m != nil {
			g.drop(m)
		}
		s.dropPending(t, g, q.MemberID)
		t.answer(r.call, joinError(model.GroupMaxSizeReached, ""))
	case !g.accepts(q.ProtocolType, q.Protocols):
		t.answer(r.call, joinError(model.InconsistentGroupProtocol, q.MemberID))
	case q.MemberID == "":
		s.joinNew(t, g, r)
	default:
		s.joinAgain(t, g, r)
	}
	s.forget(g)
	return t.step()
}

// refuseJoin checks what does not depend on the group's members.
func (s *state) refuseJoin(g *group, q *wire.JoinGroupRequest) model.ErrorCode {
	cfg := s.config()
	session := time.Duration(q.SessionTimeoutMs) * time.Millisecond
	switch {
	case session < cfg.MinSessionTimeout || session > cfg.MaxSessionTimeout:
		return model.InvalidSessionTimeout
	case g == nil && q.MemberID != "":
		return model.UnknownMemberID
	}
	return model.None
}

// hasRoom reports whether the member may join in view of group.max.size. While members gather, those who came count, so that after the
// limit was lowered the last to come are left out; otherwise those who are in.
func (g *group) hasRoom(memberID string, limit int) bool {
	m := g.members[memberID]
	switch g.phase {
	case preparing:
		return m != nil && m.join != nil || g.awaiting < limit
	case completing, stable:
		return m != nil || len(g.members) < limit
	}
	return true
}

// joinNew handles a member that has no id yet.
func (s *state) joinNew(t *turn, g *group, r *joinRequest) {
	q := r.q
	if q.GroupInstanceID == nil {
		id := s.newMemberID(r.client.ID)
		if r.version < joinRequiresMemberID {
			s.admit(t, g, r, id)
			return
		}
		s.expect(t, g, id, time.Duration(q.SessionTimeoutMs)*time.Millisecond)
		t.answer(r.call, joinError(model.MemberIDRequired, id))
		return
	}
	id := s.newMemberID(*q.GroupInstanceID)
	if old := g.instances[*q.GroupInstanceID]; old != nil {
		s.replaceStatic(t, g, old, replacement{joinRequest: r, id: id})
		return
	}
	s.claim(t, g, replacement{joinRequest: r, id: id}, func(t *turn) { s.admit(t, g, r, id) })
}

// maxPending is how many ids of a shard may be given out and not used yet. They cost nothing but memory, so a client that asks for ids
// without end drives out the oldest: whoever joins in earnest has come back long before.
const maxPending = 10_000

// expect gives an id out: its client has the time of a session to join with it.
func (s *state) expect(t *turn, g *group, id string, wait time.Duration) {
	p := &pendingMember{}
	p.expiry.ring = func(now time.Time) coordinator.Step { return s.ringPending(g, id, now) }
	g.pending[id] = p
	s.set(&p.expiry, t.now.Add(wait))
	s.given = append(s.given, givenID{g, id, p})
	if len(s.given) <= maxPending {
		return
	}
	oldest := s.given[0]
	s.given = s.given[1:]
	if oldest.group.pending[oldest.id] == oldest.pending && s.groups[oldest.group.id] == oldest.group {
		s.dropPending(t, oldest.group, oldest.id)
	}
}

// newMemberID makes an id that nobody else has: the name the client gave and a random UUID.
func (s *state) newMemberID(name string) string {
	var u [16]byte
	if _, err := io.ReadFull(s.rand, u[:]); err != nil {
		// The system's randomness does not fail, and a member without a unique id would break the group.
		panic(fmt.Sprintf("no randomness for a member id: %v", err))
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	h := hex.EncodeToString(u[:])
	return name + "-" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// joinAgain handles a member that names its id.
func (s *state) joinAgain(t *turn, g *group, r *joinRequest) {
	q := r.q
	if _, ok := g.pending[q.MemberID]; ok && q.GroupInstanceID == nil {
		s.admit(t, g, r, q.MemberID)
		return
	}
	m, code := g.identify(q.MemberID, q.GroupInstanceID)
	if code != model.None {
		t.answer(r.call, joinError(code, q.MemberID))
		return
	}
	same := m.offers(q.Protocols)
	switch {
	case g.phase == completing && same:
		// It may have missed the answer to its join: it gets it again.
		t.answer(r.call, g.joined(m))
	case g.phase == stable && same && g.leader != m.id:
		// A follower with nothing new learns the generation and goes on to sync.
		t.answer(r.call, g.joined(m))
	default:
		// While members gather, or with other metadata. A leader that joins a stable group asks for a rebalance that its metadata does
		// not show, for example because a topic has more partitions now.
		m.take(r)
		g.park(m, r.call, t)
		s.rebalance(t, g)
	}
}

// identify finds the member a request comes from. A static member must be the one its instance id stands for now.
func (g *group) identify(memberID string, instance *string) (*member, model.ErrorCode) {
	if instance != nil {
		m := g.instances[*instance]
		switch {
		case m == nil:
			return nil, model.UnknownMemberID
		case m.id != memberID:
			return nil, model.FencedInstanceID
		}
		return m, model.None
	}
	if m := g.members[memberID]; m != nil {
		return m, model.None
	}
	return nil, model.UnknownMemberID
}

// take sets what a JoinGroup says about the member.
func (m *member) take(r *joinRequest) {
	m.client = r.client
	m.sessionTimeout = time.Duration(r.q.SessionTimeoutMs) * time.Millisecond
	m.rebalanceTimeout = m.sessionTimeout
	if r.version >= joinRebalanceTimeout {
		m.rebalanceTimeout = time.Duration(max(r.q.RebalanceTimeoutMs, 0)) * time.Millisecond
	}
	m.protocols = r.q.Protocols
}

// admit adds a member and calls for a rebalance.
func (s *state) admit(t *turn, g *group, r *joinRequest, id string) {
	m := &member{id: id, instance: r.q.GroupInstanceID, fresh: true}
	m.take(r)
	s.watch(g, m)
	if p := g.pending[id]; p != nil {
		p.expiry.off()
		delete(g.pending, id)
	}
	if len(g.members) == 0 {
		g.protocolType = &r.q.ProtocolType
	}
	g.add(m)
	g.park(m, r.call, t)
	if g.phase == preparing && g.initial {
		g.grew = true
	}
	s.set(&m.session, t.now.Add(newMemberJoinTimeout))
	s.rebalance(t, g)
}
