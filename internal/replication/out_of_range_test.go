package replication

import (
	"errors"
	"testing"

	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// TestConsumersAreNotSentAwayByWhoMayLag: told that their offset is out of range they begin anew, at the log's start or end, and read all again or skip what
// others have.
func TestConsumersAreNotSentAwayByWhoMayLag(t *testing.T) {
	s := openStand(t, vfs.NewMem(1), Config{})
	lapsed := false
	s.part.lapsed = func() bool { return lapsed }
	if _, err := s.append(1, nil, 0); err != nil {
		t.Fatal(err)
	}
	read := func(at model.Offset, epoch model.LeaderEpoch, r Read) error {
		t.Helper()
		r.Offset, r.LeaderEpoch, r.LastFetchedEpoch, r.MaxBytes = at, epoch, model.NoLeaderEpoch, 1000
		res, err := s.part.Read(&r)
		res.Slice.Release()
		return err
	}
	consumer := Read{ReplicaID: -1, AnyReplica: true}
	none, current := model.LeaderEpoch(model.NoLeaderEpoch), model.LeaderEpoch(1)
	for _, epoch := range []model.LeaderEpoch{none, current} {
		if err := read(7, epoch, consumer); !errors.Is(err, commitlog.ErrOffsetOutOfRange) {
			t.Errorf("above the end of a leader, epoch %d: %v", epoch, err)
		}
	}

	lapsed = true // it woke up
	if err := read(7, current, consumer); !errors.Is(err, ErrNotLeader) {
		t.Errorf("above the end of a leader that may have been replaced: %v", err)
	}
	if err := read(0, current, consumer); err != nil {
		t.Errorf("what it has: %v", err)
	}
	if err := read(-1, current, consumer); !errors.Is(err, commitlog.ErrOffsetOutOfRange) {
		t.Errorf("before the start: %v", err)
	}

	lapsed = false
	s.part.BecomeFollower(&metadata.Partition{Leader: 2, LeaderEpoch: 2, PartitionEpoch: 2, Replicas: []model.BrokerID{me, 2}, ISR: []model.BrokerID{2}})
	if err := read(7, none, consumer); !errors.Is(err, ErrNotLeader) {
		t.Errorf("above the end of a follower, by a consumer without epochs: %v", err)
	}
	// Those with epochs ask the leader before they believe it (KIP-392), as with Kafka.
	if err := read(7, 2, consumer); !errors.Is(err, commitlog.ErrOffsetOutOfRange) {
		t.Errorf("above the end of a follower: %v", err)
	}
	if err := read(1, none, consumer); err != nil {
		t.Errorf("at the end of a follower: %v", err)
	}
}
