package group

import (
	"slices"
	"time"

	"github.com/klamm/klamm/internal/wire"
)

// phase is what Kafka calls the state of a group.
type phase int

const (
	empty      phase = iota // no members; offsets perhaps
	preparing               // members are called to join
	completing              // the generation stands, the leader's assignment is awaited
	stable                  // everybody has an assignment
)

// String is Kafka's name of the state, as DescribeGroups shows it.
func (p phase) String() string {
	switch p {
	case preparing:
		return "PreparingRebalance"
	case completing:
		return "CompletingRebalance"
	case stable:
		return "Stable"
	}
	return "Empty"
}

// consumerType is the protocol type of consumers. Other types (Kafka Connect's workers, schema registries) are passed through.
const consumerType = "consumer"

// group is one group.
//
// Invariants: members, order and instances hold the same members; leader is one of them, or "" when there are none;
// awaiting is the number of members with a parked join; in phase empty there are no members; protocol is set in completing and stable.
type group struct {
	id    string
	phase phase
	since time.Time // when the phase began
	// initial is set while the first members of an empty group gather; grew when one more came since the delay began.
	initial bool
	grew    bool

	generation   int32
	protocolType *string
	protocol     *string
	leader       string

	members   map[string]*member
	order     []*member // by age: makes elections and votes repeatable
	instances map[string]*member
	pending   map[string]*pendingMember // ids given out that have not joined with them yet (KIP-394)
	awaiting  int

	// topics is what the members of the current generation subscribe to; known is false when that cannot be told.
	topics struct {
		known bool
		names map[string]struct{}
	}

	joinPhase alarm // ends the joining
	syncPhase alarm // ends the waiting for members that do not sync

	recorded bool                     // the log holds a metadata record
	saved    *wire.GroupMetadataValue // which is this, if there are static members in it
	offsets  map[string]map[int32]committed
}

// member is one member of a group.
type member struct {
	id               string
	instance         *string // group.instance.id of a static member (KIP-345)
	client           Client
	rebalanceTimeout time.Duration
	sessionTimeout   time.Duration
	protocols        []wire.JoinGroupRequestProtocol // in order of preference, with the member's metadata for each
	assignment       []byte

	fresh   bool // it has not got the id from a finished rebalance yet
	join    *call
	sync    *call
	synced  bool // it has asked for the assignment of this generation
	session alarm
}

// pendingMember is an id that was given to a client which has yet to come back with it.
type pendingMember struct{ expiry alarm }

// givenID is an id that was handed out.
type givenID struct {
	group   *group
	id      string
	pending *pendingMember
}

func (g *group) become(p phase, now time.Time) {
	g.phase, g.since = p, now
}

// add puts a new member at the end. The first member leads.
func (g *group) add(m *member) {
	if len(g.members) == 0 {
		g.leader = ""
	}
	g.members[m.id] = m
	g.order = append(g.order, m)
	if m.instance != nil {
		g.instances[*m.instance] = m
	}
	if g.leader == "" {
		g.leader = m.id
	}
}

// drop takes a member out. Its parked calls must have been answered.
func (g *group) drop(m *member) {
	m.session.off()
	if m.join != nil {
		m.join = nil
		g.awaiting--
	}
	delete(g.members, m.id)
	g.order = slices.DeleteFunc(g.order, func(o *member) bool { return o == m })
	if m.instance != nil && g.instances[*m.instance] == m {
		delete(g.instances, *m.instance)
	}
	if g.leader == m.id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0].id
		}
	}
}

// park makes a member wait for the rebalance to complete. An older request of the same member, whose client has given it up, is told to
// join again.
func (g *group) park(m *member, c *call, t *turn) {
	if m.join != nil {
		t.answer(m.join, joinError(rebalanceInProgress, m.id))
	} else {
		g.awaiting++
	}
	m.join = c
}

// unpark takes the parked join off a member.
func (g *group) unpark(m *member) *call {
	c := m.join
	if c != nil {
		m.join = nil
		g.awaiting--
	}
	return c
}

// rebalanceTimeout is how long members get to join: as long as the slowest asks for.
func (g *group) rebalanceTimeout() time.Duration {
	d := time.Duration(0)
	for _, m := range g.order {
		d = max(d, m.rebalanceTimeout)
	}
	return d
}

// accepts reports whether a member with these protocols can take part: its type fits, and one protocol is known to all.
func (g *group) accepts(protocolType string, protocols []wire.JoinGroupRequestProtocol) bool {
	if g.phase == empty {
		return protocolType != "" && len(protocols) > 0
	}
	if g.protocolType == nil || *g.protocolType != protocolType {
		return false
	}
	return slices.ContainsFunc(protocols, func(p wire.JoinGroupRequestProtocol) bool {
		return !slices.ContainsFunc(g.order, func(m *member) bool { return !m.supports(p.Name) })
	})
}

func (m *member) supports(protocol string) bool {
	return slices.ContainsFunc(m.protocols, func(p wire.JoinGroupRequestProtocol) bool { return p.Name == protocol })
}

// metadata is what the member said for a protocol.
func (m *member) metadata(protocol string) []byte {
	for i := range m.protocols {
		if m.protocols[i].Name == protocol {
			return m.protocols[i].Metadata
		}
	}
	return []byte{}
}

// offers reports whether the member stands by exactly these protocols and metadata.
func (m *member) offers(protocols []wire.JoinGroupRequestProtocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b wire.JoinGroupRequestProtocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

// vote selects the protocol of the next generation: every member votes for the first of its protocols that all support. Ties go to the
// protocol that an older member prefers.
func vote(members []*member) string {
	votes := map[string]int{}
	best := ""
	for _, m := range members {
		for i := range m.protocols {
			name := m.protocols[i].Name
			if slices.ContainsFunc(members, func(o *member) bool { return !o.supports(name) }) {
				continue
			}
			votes[name]++
			break
		}
	}
	for _, m := range members {
		for i := range m.protocols {
			if name := m.protocols[i].Name; votes[name] > votes[best] {
				best = name
			}
		}
	}
	return best
}
