package replication

import (
	"slices"
	"time"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// ISRChange is what a leader asks the controller for. The controller refuses it when LeaderEpoch, PartitionEpoch or a member's
// broker epoch are not the current ones.
type ISRChange struct {
	LeaderEpoch    model.LeaderEpoch
	PartitionEpoch model.PartitionEpoch
	ISR            []ISRMember
	Lost           []Lost // why members are left out
}

// Lost is a member that fell behind.
type Lost struct {
	ID     model.BrokerID
	Silent time.Duration // since its last fetch, or since this leader began to wait for one
	Behind time.Duration // since it last had everything
	// Records it lacks.
	Records int64
}

// ISRMember is a broker of a proposed ISR; Epoch is -1 for the leader itself and for followers that did not say.
type ISRMember struct {
	ID    model.BrokerID
	Epoch model.BrokerEpoch
}

// becomeLeader takes the controller's word. It reports whether the epoch is new; the caller then records its start in the log. A word older
// than what is known is ignored.
func (s *state) becomeLeader(m *metadata.Partition, now time.Time) (newEpoch bool) {
	if m.LeaderEpoch < s.epoch || m.PartitionEpoch < s.partitionEpoch {
		return false
	}
	newEpoch = s.role != roleLeader || m.LeaderEpoch > s.epoch
	if invariant.Expensive() && !newEpoch {
		s.checkExpected(m)
	}
	s.role, s.leader, s.epoch, s.partitionEpoch = roleLeader, s.me, m.LeaderEpoch, m.PartitionEpoch
	s.replicas, s.proposed = m.Replicas, nil
	old := s.followers
	s.followers = make([]follower, 0, len(m.Replicas))
	for _, id := range m.Replicas {
		if id == s.me {
			continue
		}
		f := follower{id: id, epoch: -1, end: model.NoOffset}
		if i := slices.IndexFunc(old, func(f follower) bool { return f.id == id }); i >= 0 && !newEpoch {
			f = old[i]
			f.refusedAt = time.Time{}
			if wasMember := slices.Contains(s.isr, id); wasMember && !slices.Contains(m.ISR, id) {
				// It was put out of the ISR because it is gone, or slow.
				f.forgetProgress()
			}
		} else if slices.Contains(m.ISR, id) {
			// It gets the lag time to show itself.
			f.caughtUp = now
		}
		s.followers = append(s.followers, f)
	}
	s.isr = m.ISR
	if newEpoch {
		s.epochStart = s.end
	}
	s.advance(now)
	return newEpoch
}

// checkExpected asserts what the maximal ISR rests on (R1): while this node leads, nobody enters the ISR whom it has not asked for, and thus waited
// for. The controller sees to that by the partition epoch.
func (s *state) checkExpected(m *metadata.Partition) {
	for _, id := range m.ISR {
		if !slices.Contains(s.isr, id) && !slices.Contains(s.proposed, id) {
			invariant.Check(false, "%d is in the ISR %v of partition epoch %d, asked for were %v after %v of %d", id, m.ISR, m.PartitionEpoch, s.proposed, s.isr,
				s.partitionEpoch)
		}
	}
}

// advance raises the high watermark to what every replica of the maximal ISR has, and reports whether it moved.
//
// A follower outside of the ISR that is as good as caught up holds it back too, or under steady load it could never reach it and join.
func (s *state) advance(now time.Time) bool {
	if s.role != roleLeader || !s.enoughReplicas() && !bug.Is(bug.CommitBelowMinISR) {
		// Below min.insync.replicas nothing becomes committed: the last replica standing could lose it for all (KIP-966).
		return false
	}
	hw := s.share()
	for i := range s.followers {
		f := &s.followers[i]
		if s.inMaximalISR(f.id) || s.joining(f, now) {
			hw = min(hw, f.end)
		}
	}
	if hw <= s.hw {
		return false
	}
	s.hw = hw
	s.check()
	return true
}

// joining reports whether a follower outside of the ISR is close to getting in.
func (s *state) joining(f *follower, now time.Time) bool {
	return !bug.Is(bug.ExpansionNotCounted) && !f.refused(now) && now.Sub(f.seenAt) <= silence && f.end >= s.start && !f.caughtUp.IsZero() && now.Sub(f.caughtUp) <= s.lagTime
}

// appended notes that the log grew. It reports whether the high watermark moved.
func (s *state) appended(end model.Offset, now time.Time) bool {
	s.end = end
	if len(s.followers) > 0 {
		return s.advance(now)
	}
	// One replica, which is the whole ISR: what it has is committed.
	if s.role != roleLeader || !s.enoughReplicas() || end <= s.hw {
		return false
	}
	s.hw = end
	return true
}

// synced notes that the log is durable up to end. It reports whether the high watermark moved.
func (s *state) synced(end model.Offset, now time.Time) bool {
	s.durable = max(s.durable, end)
	return len(s.followers) > 0 && s.advance(now)
}

// wantsSync reports whether what is appended has to be made durable although nobody waits for an acknowledgement: others hold copies, and
// consumers wait until all of them have it.
func (s *state) wantsSync() bool { return s.durability == commitlog.Fsync && len(s.followers) > 0 }

// progress is what a follower's fetch says about it.
type progress struct {
	id    model.BrokerID
	epoch model.BrokerEpoch // of its registration
	// read is where it goes on reading: it has everything before. synced is how much of that is on its disk, the end of what counts.
	read, synced model.Offset
	// report says that it does not read: a sync ended while its fetch waits.
	report bool
}

// fetched notes a follower's fetch. It reports whether the high watermark moved, and the ISR to propose if the follower has earned its place.
func (s *state) fetched(p progress, now time.Time) (moved bool, c *ISRChange) {
	f := s.follower(p.id)
	if s.role != roleLeader || f == nil || p.epoch < f.epoch {
		// A fetch of a process that has been replaced says nothing about what its successor has (KIP-903).
		return false, nil
	}
	f.seenAt = now
	end := f.claim(&p)
	switch {
	case f.refused(now):
		// What it shows while the controller does not want it is worth nothing: it may be stopping, and never fetch again.
		f.end, f.epoch = end, p.epoch
		return s.advance(now), nil
	case end >= s.end:
		f.caughtUp = now
	case f.leaderEnd > 0 && end >= f.leaderEnd && f.fetchedAt.After(f.caughtUp):
		f.caughtUp = f.fetchedAt
	}
	if end >= f.leaderEnd {
		// Only now: fetches go on while what they brought is synced, and a mark that each of them moved would never be reached.
		f.fetchedAt, f.leaderEnd = now, s.end
	}
	f.end, f.epoch = end, p.epoch
	if s.eligible(f, now) {
		c = s.propose(append(slices.Clone(s.isr), p.id))
	}
	return s.advance(now), c
}

// claim is up to where the follower's records count: what it says to have synced. A fetch that was sent before a report and comes behind it says
// less than is known, which is no news while the follower reads on behind what is known; a follower that reads from before has lost
// something, and what it says counts. A report never takes anything back.
func (f *follower) claim(p *progress) model.Offset {
	sameProcess := p.epoch == f.epoch
	if sameProcess && (p.report || p.read >= f.end) {
		return max(f.end, p.synced)
	}
	return p.synced
}

// eligible is the rule for growing the ISR: the follower has every committed record, and those of this leader's epoch: a high
// watermark taken over from a predecessor may lag behind the true one (Kip320, rule 4).
func (s *state) eligible(f *follower, now time.Time) bool {
	return s.proposed == nil && !f.refused(now) && !slices.Contains(s.isr, f.id) && f.end >= s.hw &&
		(f.end >= s.epochStart || bug.Is(bug.JoinsBehindEpochStart))
}

// tick gives up on followers that fell behind for longer than the lag time.
func (s *state) tick(now time.Time) *ISRChange {
	if s.role != roleLeader || s.proposed != nil {
		return nil
	}
	isr := s.isr
	var lost []Lost
	for i := range s.followers {
		f := &s.followers[i]
		if f.end != s.end && now.Sub(f.caughtUp) > s.lagTime {
			if slices.Contains(isr, f.id) {
				lost = append(lost, s.lose(f, now))
			}
			isr = slices.DeleteFunc(slices.Clone(isr), func(id model.BrokerID) bool { return id == f.id })
		}
	}
	if len(isr) == len(s.isr) {
		return nil
	}
	c := s.propose(isr)
	c.Lost = lost
	return c
}

func (s *state) lose(f *follower, now time.Time) Lost {
	l := Lost{ID: f.id, Behind: now.Sub(f.caughtUp), Records: int64(s.end - max(f.end, s.start))}
	if l.Silent = l.Behind; f.seenAt.After(f.caughtUp) {
		l.Silent = now.Sub(f.seenAt)
	}
	return l
}

func (s *state) propose(isr []model.BrokerID) *ISRChange {
	s.proposed = isr
	c := &ISRChange{LeaderEpoch: s.epoch, PartitionEpoch: s.partitionEpoch}
	for _, id := range isr {
		m := ISRMember{ID: id, Epoch: -1}
		if f := s.follower(id); f != nil {
			m.Epoch = f.epoch
		}
		c.ISR = append(c.ISR, m)
	}
	return c
}

// isrRefused ends a proposal that the controller would not have. The followers it wanted to add are not proposed again for a while.
func (s *state) isrRefused(now time.Time) bool {
	for _, id := range s.proposed {
		if f := s.follower(id); f != nil && !slices.Contains(s.isr, id) {
			f.refusedAt = now
			f.forgetProgress()
		}
	}
	s.proposed = nil
	return s.advance(now)
}
