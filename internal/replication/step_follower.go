package replication

import (
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// becomeFollower takes the controller's word, and reports whether leader or epoch are new: waiting requests then go elsewhere, and the log
// has to be reconciled with the new leader's before more is fetched (Kip320, rule 1). A word older than what is known is ignored.
func (s *state) becomeFollower(m *metadata.Partition) (changed bool) {
	if m.LeaderEpoch < s.epoch || m.PartitionEpoch < s.partitionEpoch {
		return false
	}
	changed = s.role != roleFollower || m.LeaderEpoch > s.epoch || m.Leader != s.leader
	s.role, s.leader, s.epoch, s.partitionEpoch = roleFollower, m.Leader, m.LeaderEpoch, m.PartitionEpoch
	s.replicas, s.isr, s.proposed, s.followers = m.Replicas, m.ISR, nil, nil
	return changed
}

// replicated notes what one answer of the leader brought: the log's new bounds, and the leader's high watermark, of which a follower can
// know no more than it has.
func (s *state) replicated(end, leaderHW model.Offset) (moved bool) {
	s.end = end
	hw := min(leaderHW, end)
	if hw <= s.hw {
		return false
	}
	s.hw = hw
	s.check()
	return true
}

// truncation is where a follower cuts its log after the leader said where its epoch ended there: ours is asked where the same epoch ended
// here. The smaller one is the last point both agree on (KIP-101: by epoch, never by the high watermark).
func truncation(leaderEpoch model.LeaderEpoch, leaderEnd model.Offset, ourEpoch model.LeaderEpoch, ourEnd model.Offset) (to model.Offset, again bool) {
	if ourEpoch == leaderEpoch {
		return min(leaderEnd, ourEnd), false
	}
	// We never had that epoch: what we had before it ends at ourEnd, and the next fetch asks about that one.
	return min(ourEnd, leaderEnd), true
}
