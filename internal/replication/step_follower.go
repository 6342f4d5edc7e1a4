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

// truncation is where a follower cuts its log after the leader said where the largest epoch not above ours ends there: leaderEpoch and
// leaderEnd. ourEpoch and ourEnd are the same of this log for leaderEpoch. Both logs agree up to the smaller end (KIP-101: cut by epoch, never
// by the high watermark). When we never had that epoch, the next fetch asks about the one below.
func truncation(leaderEnd, ourEnd, logEnd model.Offset) model.Offset {
	if ourEnd == model.NoOffset {
		// None of our epochs is the leader's or older.
		return min(leaderEnd, logEnd)
	}
	return min(leaderEnd, ourEnd)
}

// truncated notes that the log was cut. A high watermark behind the cut was never the true one, or an unclean election lost records.
func (s *state) truncated(end, durable model.Offset) (below bool) {
	s.end, s.durable = end, min(durable, end)
	if s.hw <= end {
		return false
	}
	s.hw = end
	return true
}

// startedOver notes that the log was emptied and begins at an offset.
func (s *state) startedOver(at model.Offset) { s.start, s.end, s.durable, s.hw = at, at, at, at }
