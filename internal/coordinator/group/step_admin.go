package group

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// classicType is what ListGroups calls groups of this protocol.
const classicType = "classic"

// deleteRequest asks to delete one group. The answer's body is a model.ErrorCode.
type deleteRequest struct {
	*call
	group string
}

// delete handles one group of DeleteGroups: its offsets and its record go, if nobody is in it.
func (s *state) delete(now time.Time, r *deleteRequest) coordinator.Step {
	t := &turn{now: now, divide: true}
	code := model.None
	switch g := s.find(r.group); {
	case g == nil:
		code = model.GroupIDNotFound
	case g.phase != empty:
		code = model.NonEmptyGroup
	default:
		for _, topic := range slices.Sorted(maps.Keys(g.offsets)) {
			g.forgetTopic(t, topic, model.TopicID{})
		}
		t.records = append(t.records, coordinator.Record{Key: groupKey(g.id)}) // last: a half-done deletion can be repeated
	}
	t.reply(r.call, code)
	return t.step()
}

// describeRequest asks for one group. The body is a wire.DescribeGroupsResponseGroup.
type describeRequest struct {
	*call
	group string
}

// describe handles one group of DescribeGroups. During a rebalance it tells the assignments of before.
func (s *state) describe(now time.Time, r *describeRequest) coordinator.Step {
	t := &turn{now: now}
	resp := wire.NewDescribeGroupsResponseGroup()
	resp.GroupID = r.group
	g := s.find(r.group)
	if g == nil {
		resp.ErrorCode, resp.GroupState = model.GroupIDNotFound, "Dead"
		t.reply(r.call, &resp)
		return t.step()
	}
	resp.GroupState = g.phase.String()
	if g.protocolType != nil {
		resp.ProtocolType = *g.protocolType
	}
	if g.phase == stable {
		resp.ProtocolData = *g.protocol
	}
	for _, m := range g.order {
		d := wire.DescribeGroupsResponseGroupMember{
			MemberID: m.id, GroupInstanceID: m.instance, ClientID: m.client.ID, ClientHost: m.client.Host, MemberAssignment: m.assignment,
		}
		if g.phase == stable {
			d.MemberMetadata = m.metadata(*g.protocol)
		}
		resp.Members = append(resp.Members, d)
	}
	t.reply(r.call, &resp)
	return t.step()
}

// listRequest asks for the groups of one shard. The body is a []wire.ListGroupsResponseGroup.
type listRequest struct {
	*call
	q *wire.ListGroupsRequest
}

// list handles ListGroups on one shard. Filters do not look at upper and lower case; empty ones let all pass.
func (s *state) list(now time.Time, r *listRequest) coordinator.Step {
	t := &turn{now: now}
	out := []wire.ListGroupsResponseGroup{}
	if passes(r.q.TypesFilter, classicType) {
		for _, g := range s.sorted() {
			if !passes(r.q.StatesFilter, g.phase.String()) {
				continue
			}
			lg := wire.ListGroupsResponseGroup{GroupID: g.id, GroupState: g.phase.String(), GroupType: classicType}
			if g.protocolType != nil {
				lg.ProtocolType = *g.protocolType
			}
			out = append(out, lg)
		}
	}
	t.reply(r.call, out)
	return t.step()
}

func passes(filter []string, value string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
}
