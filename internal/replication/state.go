package replication

import (
	"slices"
	"time"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/model"
)

// role is what this node is to the partition.
type role uint8

const (
	roleNone role = iota // not told yet, or closed
	roleLeader
	roleFollower
)

func (r role) String() string { return [...]string{"none", "leader", "follower"}[r] }

// state is everything a replica knows that decides about reading, writing and acknowledging. It is stepped by the methods in
// step_leader.go and step_follower.go, does no I/O and calls nothing; what has to happen outside comes back as values.
type state struct {
	me             model.BrokerID
	role           role
	leader         model.BrokerID
	epoch          model.LeaderEpoch
	partitionEpoch model.PartitionEpoch
	replicas       []model.BrokerID
	isr            []model.BrokerID // as the controller last said
	// proposed is the ISR that the controller was asked for and has not decided about. While that is open the maximal ISR, both
	// together, has to have a record before it counts as committed: whichever way it is decided, the rule was kept (KIP-497).
	proposed  []model.BrokerID
	followers []follower // of a leader: the other replicas

	// epochStart is where the log ended when this node became leader in this epoch.
	epochStart model.Offset

	// Invariant: start <= hw <= end, start <= durable <= end once the log was asked; hw never goes back while leader.
	start, end, durable, hw model.Offset

	minISR     int
	durability commitlog.Durability
	lagTime    time.Duration
}

// follower is what a leader knows of another replica.
type follower struct {
	id    model.BrokerID
	epoch model.BrokerEpoch // of its registration, as it says when it fetches (KIP-903); -1 before
	// end is up to where it has everything on its disk, synced where the topic asks for that: what it says with its fetches.
	end model.Offset
	// caughtUp is when it last had everything the leader had.
	caughtUp time.Time
	// fetchedAt and leaderEnd describe an earlier fetch: one that reaches leaderEnd now had everything at fetchedAt.
	fetchedAt time.Time
	leaderEnd model.Offset
	// seenAt is when it last fetched at all.
	seenAt time.Time
	// refusedAt is when the controller last would not have it in the ISR: it is starting or stopping, or it is another process by now.
	refusedAt time.Time
}

// refusedFor is how long a follower that was refused is not proposed again, and holds nothing back: what the controller waits for, such
// as its first heartbeat, does not always change the partition, so that there may be no news to wait for.
const refusedFor = 500 * time.Millisecond

// silence is how long a follower that is about to join the ISR may not fetch before it counts as gone: they ask several times a second.
const silence = 2 * time.Second

// forgetProgress makes it show itself again before it holds anything back.
func (f *follower) forgetProgress() {
	f.caughtUp, f.fetchedAt, f.leaderEnd = time.Time{}, time.Time{}, 0
}

func (f *follower) refused(now time.Time) bool {
	return !f.refusedAt.IsZero() && now.Sub(f.refusedAt) < refusedFor
}

// share is the leader's own part in the high watermark: like a follower's, what it has synced, if the topic wants that. Were it what the leader
// has appended, a power cut of all could take from it what consumers had read and every follower still had, and if it came back first
// the followers would cut that off: truncation below the high watermark (R5, L2). A leader without followers has nobody to differ from,
// and lets consumers read before the sync.
func (s *state) share() model.Offset {
	if s.durability == commitlog.PageCache || len(s.followers) == 0 || bug.Is(bug.LeaderCountsUnsynced) {
		return s.end
	}
	return s.durable
}

// acknowledged is the durability rule: acks=all is answered for what lies below the offset it returns.
//
// The high watermark counts what every member of the ISR has. For a leader without followers that is what it has appended (see share and
// docs/durability.md), so its sync comes in here.
func (s *state) acknowledged() model.Offset {
	if s.durability == commitlog.PageCache {
		return s.hw
	}
	if bug.Is(bug.AckBeforeISR) {
		return s.durable
	}
	return min(s.hw, s.durable)
}

// enoughReplicas reports whether acks=all may be served. A topic with fewer replicas than min.insync.replicas needs only those it has, as
// in Kafka.
func (s *state) enoughReplicas() bool { return len(s.isr) >= s.effectiveMinISR() }

func (s *state) effectiveMinISR() int { return max(1, min(s.minISR, len(s.replicas))) }

// inMaximalISR reports whether a broker must have a record before it is committed.
func (s *state) inMaximalISR(id model.BrokerID) bool {
	if bug.Is(bug.ShrinkCountedEarly) && s.proposed != nil {
		return slices.Contains(s.proposed, id)
	}
	return slices.Contains(s.isr, id) || slices.Contains(s.proposed, id) && !bug.Is(bug.ExpansionNotCounted)
}

func (s *state) follower(id model.BrokerID) *follower {
	for i := range s.followers {
		if s.followers[i].id == id {
			return &s.followers[i]
		}
	}
	return nil
}

// check asserts what must hold between steps (L3).
func (s *state) check() {
	if s.start > s.hw || s.hw > s.end {
		invariant.Check(false, "log start %d, high watermark %d, log end %d", s.start, s.hw, s.end)
	}
}

// logMoved takes over the log's bounds. The high watermark of a log whose beginning was deleted lies at its start at least.
func (s *state) logMoved(start, end, durable model.Offset) {
	s.start, s.end, s.durable = start, end, durable
	s.hw = min(max(s.hw, start), end)
}
