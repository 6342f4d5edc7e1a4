package group

import (
	"time"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// rebalance calls the members to join, or, when that is under way, looks whether all have come.
func (s *state) rebalance(t *turn, g *group) {
	if g.phase == preparing {
		s.maybeComplete(t, g)
		return
	}
	if g.phase == completing {
		s.cancelSyncs(t, g)
	}
	g.syncPhase.off()
	g.initial = g.phase == empty
	g.grew = false
	g.become(preparing, t.now)
	if g.initial {
		// The first members of a group start together most often: waiting for the others saves a rebalance for each of them.
		delay := min(s.config().InitialRebalanceDelay, g.rebalanceTimeout())
		s.set(&g.joinPhase, t.now.Add(delay))
		return
	}
	if g.allJoined() {
		s.complete(t, g)
		return
	}
	s.set(&g.joinPhase, t.now.Add(g.rebalanceTimeout()))
}

// maybeComplete ends the joining when nobody is missing. The first rebalance of a group lasts its delay in any case.
func (s *state) maybeComplete(t *turn, g *group) {
	if g.phase == preparing && !g.initial && g.allJoined() {
		s.complete(t, g)
	}
}

// allJoined reports that every member, and everybody who was given an id, waits for the rebalance to complete.
func (g *group) allJoined() bool { return g.awaiting >= len(g.members) && len(g.pending) == 0 }

// ringJoinPhase ends the delay of a first rebalance, or the time that members had to join.
func (s *state) ringJoinPhase(g *group, now time.Time) coordinator.Step {
	t := &turn{now: now}
	if g.phase != preparing {
		return t.step()
	}
	if g.initial && g.grew {
		// Somebody came in the meantime: wait as long again, but never beyond the rebalance timeout.
		g.grew = false
		left := g.since.Add(g.rebalanceTimeout()).Sub(now)
		if delay := min(s.config().InitialRebalanceDelay, left); delay > 0 {
			s.set(&g.joinPhase, now.Add(delay))
			return t.step()
		}
	}
	s.complete(t, g)
	return t.step()
}

// complete starts the next generation with those who joined.
func (s *state) complete(t *turn, g *group) {
	g.joinPhase.off()
	for _, m := range append([]*member(nil), g.order...) {
		// A static member that did not come keeps its place until its session ends.
		if m.join == nil && m.instance == nil {
			g.drop(m)
		}
	}
	if len(g.members) > 0 && !g.electLeader() {
		// Only absent static members are left. Once their sessions have ended there is somebody to lead, or nobody at all.
		s.set(&g.joinPhase, t.now.Add(g.rebalanceTimeout()))
		return
	}
	g.initial, g.grew = false, false
	if !bug.Is(bug.GenerationReused) || g.generation == 0 { // G3
		g.generation++
	}
	if len(g.members) == 0 {
		s.becomeEmpty(t, g)
		return
	}
	name := vote(g.order)
	g.protocol = &name
	g.become(completing, t.now)
	g.learnTopics()
	for _, m := range g.order {
		m.synced = false
		if c := g.unpark(m); c != nil {
			m.fresh = false
			t.answer(c, g.joined(m))
			s.heard(m, t.now)
		}
	}
	s.set(&g.syncPhase, t.now.Add(g.rebalanceTimeout()))
}

// electLeader makes sure that the leader is somebody who joined.
func (g *group) electLeader() bool {
	if m := g.members[g.leader]; m != nil && m.join != nil {
		return true
	}
	for _, m := range g.order {
		if m.join != nil {
			g.leader = m.id
			return true
		}
	}
	return false
}

// becomeEmpty ends the last generation. The record tells a later load that nobody is in the group any more; when it cannot be written,
// that load finds the former members and waits in vain for their heartbeats, which does no harm.
func (s *state) becomeEmpty(t *turn, g *group) {
	g.protocol, g.leader = nil, ""
	g.become(empty, t.now)
	g.learnTopics()
	if !g.recorded && len(g.offsets) == 0 {
		s.forget(g)
		return
	}
	t.records = append(t.records, metadataRecord(g, nil))
}

// joined is the answer to a member's join in the current generation. Only the leader sees the members.
func (g *group) joined(m *member) *wire.JoinGroupResponse {
	resp := wire.NewJoinGroupResponse()
	resp.GenerationID, resp.ProtocolType, resp.ProtocolName = g.generation, g.protocolType, g.protocol
	resp.Leader, resp.MemberID = g.leader, m.id
	if g.leader == m.id {
		resp.Members = g.subscriptions()
	}
	return &resp
}

func (g *group) subscriptions() []wire.JoinGroupResponseMember {
	out := make([]wire.JoinGroupResponseMember, len(g.order))
	for i, m := range g.order {
		out[i] = wire.JoinGroupResponseMember{MemberID: m.id, GroupInstanceID: m.instance, Metadata: m.metadata(*g.protocol)}
	}
	return out
}

// watch makes the end of a member's session known to the group.
func (s *state) watch(g *group, m *member) {
	m.session.ring = func(now time.Time) coordinator.Step { return s.ringSession(g, m, now) }
}

// heard begins a member's session anew.
func (s *state) heard(m *member, now time.Time) { s.set(&m.session, now.Add(m.sessionTimeout)) }

// ringSession ends the session of a member that was not heard. One that waits for the group is not expected to be heard: its session goes
// on when the answer comes. A new member's wait has a limit all the same.
func (s *state) ringSession(g *group, m *member, now time.Time) coordinator.Step {
	t := &turn{now: now}
	if g.members[m.id] == m && (m.fresh || m.join == nil && m.sync == nil) {
		s.expel(t, g, m, model.UnknownMemberID)
	}
	return t.step()
}

// expel takes a member out and lets the others share what it had. code answers what it waits for.
func (s *state) expel(t *turn, g *group, m *member, code model.ErrorCode) {
	if c := g.unpark(m); c != nil {
		t.answer(c, joinError(code, m.id))
	}
	if m.sync != nil {
		t.answer(m.sync, &wire.SyncGroupResponse{ErrorCode: code})
		m.sync = nil
	}
	g.drop(m)
	if g.phase != empty {
		s.rebalance(t, g)
	}
}

// ringPending takes back an id whose client did not return.
func (s *state) ringPending(g *group, id string, now time.Time) coordinator.Step {
	t := &turn{now: now}
	if s.groups[g.id] == g {
		s.dropPending(t, g, id)
	}
	return t.step()
}

func (s *state) dropPending(t *turn, g *group, id string) {
	if p := g.pending[id]; p != nil {
		p.expiry.off()
		delete(g.pending, id)
	}
	s.maybeComplete(t, g)
	s.forget(g)
}

// ringSyncPhase removes members that joined but did not ask for their assignment: they would hold partitions without reading them.
func (s *state) ringSyncPhase(g *group, now time.Time) coordinator.Step {
	t := &turn{now: now}
	if g.phase != completing && g.phase != stable {
		return t.step()
	}
	late := 0
	for _, m := range append([]*member(nil), g.order...) {
		if !m.synced {
			g.drop(m)
			late++
		}
	}
	if late > 0 {
		s.rebalance(t, g)
	}
	return t.step()
}

// cancelSyncs sends those who wait for an assignment back to join.
func (s *state) cancelSyncs(t *turn, g *group) {
	for _, m := range g.order {
		if m.sync != nil {
			t.answer(m.sync, &wire.SyncGroupResponse{ErrorCode: rebalanceInProgress})
			m.sync = nil
			s.heard(m, t.now)
		}
		m.assignment = nil
	}
}
