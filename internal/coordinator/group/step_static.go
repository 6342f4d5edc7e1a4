package group

import (
	"slices"

	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// replacement is the join of a client that takes the place of a static member: the same instance, restarted, which does not know its old
// member id (KIP-345).
type replacement struct {
	*joinRequest
	id string // the new member id
}

// replaceStatic lets a restarted client take its old place. In a stable group, and when its protocols do not change what the group uses,
// nobody else notices: it gets its assignment back without a rebalance. The old id is fenced in any case.
func (s *state) replaceStatic(t *turn, g *group, old *member, r replacement) {
	next := &member{id: r.id, instance: old.instance, assignment: old.assignment}
	next.take(r.joinRequest)
	order := slices.Clone(g.order)
	order[slices.Index(order, old)] = next
	if g.phase == stable && vote(order) == *g.protocol {
		s.replaceQuietly(t, g, old, r)
		return
	}
	s.claim(t, g, r, func(t *turn) {
		s.fence(t, g, old)
		m := next
		if g.instances[*old.instance] == old {
			g.swap(old, next)
		} else { // the group was stable, and the replay of the claim has put the new id in the old one's place
			m = g.instances[*old.instance]
			m.take(r.joinRequest)
		}
		s.watch(g, m)
		s.heard(m, t.now)
		g.park(m, r.call, t)
		s.rebalance(t, g)
	})
}

// claim does a join that gives a new id to an instance. When the log knows the instance by another id, it is told the new one first: a
// coordinator that loads before the next generation is written would take the client for its own former self and fence it, for good.
// Kafka has that gap.
func (s *state) claim(t *turn, g *group, r replacement, join func(*turn)) {
	rec, ok := g.rewritten(r)
	if !ok {
		join(t)
		return
	}
	t.records = append(t.records, rec)
	t.then = func(err error) []coordinator.Reply {
		if err != nil {
			return []coordinator.Reply{reply{r.call, joinError(metadataError(err), r.q.MemberID)}}
		}
		after := &turn{now: t.now}
		join(after)
		return append(after.answers, after.replies...)
	}
}

// rewritten is the last record with the new id for an instance that it has by another.
func (g *group) rewritten(r replacement) (coordinator.Record, bool) {
	if g.saved == nil {
		return coordinator.Record{}, false
	}
	i := slices.IndexFunc(g.saved.Members, func(m wire.GroupMetadataValueMember) bool {
		return m.GroupInstanceID != nil && *m.GroupInstanceID == *r.q.GroupInstanceID
	})
	if i < 0 {
		return coordinator.Record{}, false
	}
	v := *g.saved
	v.Members = slices.Clone(v.Members)
	m := &v.Members[i]
	if v.Leader != nil && *v.Leader == m.MemberID {
		v.Leader = &r.id
	}
	m.MemberID, m.ClientID, m.ClientHost = r.id, r.client.ID, r.client.Host
	return coordinator.Record{Key: groupKey(g.id), Value: wire.AppendVersioned(nil, metadataValue, &v)}, true
}

// swap puts next where old was.
func (g *group) swap(old, next *member) {
	old.session.off()
	delete(g.members, old.id)
	g.members[next.id] = next
	g.order[slices.Index(g.order, old)] = next
	g.instances[*next.instance] = next
	if g.leader == old.id {
		g.leader = next.id
	}
}

// fence answers whatever the old client still waits for.
func (s *state) fence(t *turn, g *group, old *member) {
	if c := g.unpark(old); c != nil {
		t.answer(c, joinError(model.FencedInstanceID, old.id))
	}
	if old.sync != nil {
		t.answer(old.sync, &wire.SyncGroupResponse{ErrorCode: model.FencedInstanceID})
		old.sync = nil
	}
}

// replaceQuietly writes the generation again with the new id in the old one's place. The id must be in the log before the client learns
// it: after a crash it would be fenced by its own former self.
func (s *state) replaceQuietly(t *turn, g *group, old *member, r replacement) {
	s.fence(t, g, old)
	formerLeader := g.leader
	t.records = append(t.records, g.renamed(old, r))
	t.then = func(err error) []coordinator.Reply {
		if err != nil {
			return []coordinator.Reply{reply{r.call, joinError(metadataError(err), r.q.MemberID)}}
		}
		m := g.members[r.id]
		m.take(r.joinRequest)
		s.watch(g, m)
		s.heard(m, t.now)
		resp := g.joined(m)
		if r.version >= joinSkipsAssignment {
			resp.SkipAssignment = g.leader == m.id
		} else {
			// A client that knows nothing of skipping must not take itself for the leader, or it would assign and cause a rebalance.
			resp.Leader, resp.Members = formerLeader, nil
		}
		return []coordinator.Reply{reply{r.call, resp}}
	}
}

// renamed is the record of the present generation with another id for one member.
func (g *group) renamed(old *member, r replacement) coordinator.Record {
	twin := *old
	twin.id, twin.client = r.id, r.client
	twin.take(r.joinRequest)
	view := *g
	view.order = slices.Clone(g.order)
	view.order[slices.Index(view.order, old)] = &twin
	if view.leader == old.id {
		view.leader = twin.id
	}
	assignments := make(map[string][]byte, len(view.order))
	for _, m := range view.order {
		assignments[m.id] = m.assignment
	}
	return metadataRecord(&view, assignments)
}
