package group

import (
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/wire"
)

// newMemberJoinTimeout bounds how long a member that does not know its id yet may wait in a rebalance. It cannot send heartbeats, and a
// client that gave up is not seen while its request is parked; a living one joins again.
const newMemberJoinTimeout = 5 * time.Minute

// state is one shard: the groups of one partition of Topic. It implements coordinator.Machine.
type state struct {
	config func() Config
	rand   io.Reader
	logger *slog.Logger

	groups map[string]*group
	alarms alarms
	// given are the ids handed out last, oldest first, used or not.
	given []givenID
	// retention rings when offsets have to be looked through for expired ones; sweep are the groups it has yet to look at.
	retention alarm
	sweep     []string
	serving   bool // the load is over

	// decoder and value are scratch space of Replay.
	decoder wire.Decoder
	value   wire.OffsetCommitValue
}

func newState(config func() Config, rand io.Reader, logger *slog.Logger) *state {
	s := &state{config: config, rand: rand, logger: logger, groups: map[string]*group{}}
	s.retention.ring = s.checkRetention
	return s
}

// turn collects what one step decides.
type turn struct {
	now     time.Time
	answers []coordinator.Reply // rest on no record
	records []coordinator.Record
	replies []coordinator.Reply // wait for records, or for those before
	then    func(err error) []coordinator.Reply
	divide  bool
}

func (t *turn) step() coordinator.Step {
	return coordinator.Step{Now: t.answers, Records: t.records, Replies: t.replies, Then: t.then, Divisible: t.divide}
}

// answer replies at once.
func (t *turn) answer(to *call, body any) { t.answers = append(t.answers, reply{to, body}) }

// reply answers when everything appended so far, the turn's own records among it, is committed.
func (t *turn) reply(to *call, body any) { t.replies = append(t.replies, reply{to, body}) }

// find is the group, or nil.
func (s *state) find(id string) *group { return s.groups[id] }

// open is the group, which is made when it does not exist. Nothing is written: an empty group without offsets needs no record.
func (s *state) open(id string) *group {
	g := s.groups[id]
	if g == nil {
		g = &group{id: id, members: map[string]*member{}, instances: map[string]*member{}, pending: map[string]*pendingMember{}}
		g.joinPhase.ring = func(now time.Time) coordinator.Step { return s.ringJoinPhase(g, now) }
		g.syncPhase.ring = func(now time.Time) coordinator.Step { return s.ringSyncPhase(g, now) }
		s.groups[id] = g
	}
	return g
}

// forget drops a group that has nothing the log would know and nobody in it: there would be no end to such groups otherwise.
func (s *state) forget(g *group) {
	if g.phase == empty && !g.recorded && len(g.pending) == 0 && len(g.offsets) == 0 && s.groups[g.id] == g {
		s.remove(g)
	}
}

func (s *state) remove(g *group) {
	g.joinPhase.off()
	g.syncPhase.off()
	for _, m := range g.members {
		m.session.off()
	}
	for _, p := range g.pending {
		p.expiry.off()
	}
	delete(s.groups, g.id)
}

// Loaded implements coordinator.Machine: sessions begin anew, since nobody could be heard before.
func (s *state) Loaded(now time.Time) {
	s.serving = true
	for _, g := range s.sorted() {
		for _, m := range g.order {
			s.watch(g, m)
			s.heard(m, now)
		}
	}
	s.set(&s.retention, now.Add(s.config().OffsetsRetentionCheck))
}

// sorted are the groups by name: what runs over all of them must not depend on the order of a map.
func (s *state) sorted() []*group {
	ids := slices.Sorted(maps.Keys(s.groups))
	groups := make([]*group, len(ids))
	for i, id := range ids {
		groups[i] = s.groups[id]
	}
	return groups
}

// Next implements coordinator.Machine.
func (s *state) Next() (time.Time, bool) { return s.alarms.next() }

// Tick implements coordinator.Machine.
func (s *state) Tick(now time.Time) coordinator.Step {
	if a := s.alarms.pop(now); a != nil {
		return a.ring(now)
	}
	return coordinator.Step{}
}

// Abandon implements coordinator.Machine.
func (s *state) Abandon(err error) {
	for _, g := range s.groups {
		for _, m := range g.order {
			m.join.fail(err)
			m.sync.fail(err)
		}
	}
}
