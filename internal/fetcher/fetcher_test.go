package fetcher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

func all() []model.BrokerID { return []model.BrokerID{1, 2, 3} }

func TestFollowersCopyTheirLeader(t *testing.T) {
	s := newStage(t, 3, 500*time.Millisecond)
	s.elect(0, 1, all())
	s.append(0, 1, 500, "a")
	s.acknowledged(0, 1, "b")
	s.append(0, 1, 500, "c")
	s.acknowledged(0, 1, "d")
	s.acknowledged(0, 1, "e")
	s.alike(0)
}

// acks=all waits for followers, and followers fetch without a pause: nothing waits for the end of a fetch's wait.
func TestAcknowledgementsDoNotWaitForFetches(t *testing.T) {
	s := newStage(t, 3, 20*time.Second)
	s.elect(0, 1, all())
	for i := range 20 {
		if d := s.acknowledged(0, 1, fmt.Sprint(i)); d > 5*time.Second {
			t.Fatalf("record %d took %v", i, d)
		}
	}
}

// A follower that is told of another partition does not finish the fetch it waits in first.
func TestNewPartitionDoesNotWaitForTheFetchUnderWay(t *testing.T) {
	s := newStage(t, 3, 20*time.Second)
	s.elect(0, 1, all())
	s.acknowledged(0, 1, "a")
	for p := int32(1); p <= 5; p++ {
		s.elect(p, 1, all())
		if d := s.acknowledged(p, 1, "b"); d > 5*time.Second {
			t.Fatalf("partition %d took %v", p, d)
		}
	}
	s.elect(0, 1, all()) // the same leader in another epoch
	if d := s.acknowledged(0, 1, "c"); d > 5*time.Second {
		t.Fatalf("took %v", d)
	}
}

// KIP-101: what the old leader alone has is cut, by epoch.
func TestOldLeaderGivesUpWhatNobodyCopied(t *testing.T) {
	s := newStage(t, 3, 100*time.Millisecond)
	s.elect(0, 1, all())
	s.append(0, 1, 10, "both")
	s.alike(0)
	s.cutOff(2, 1, true)
	s.cutOff(3, 1, true)
	s.append(0, 1, 7, "lost")
	s.elect(0, 2, []model.BrokerID{2, 3})
	s.append(0, 2, 4, "kept")
	s.acknowledged(0, 2, "kept too")
	s.alike(0)
	if end := s.brokers[1].log(0).End(); end != 15 {
		t.Fatalf("log ends at %d", end)
	}
}

// KIP-279: two failovers in a row, each with records of its own that the next leader does not have.
func TestTwoFailoversConverge(t *testing.T) {
	s := newStage(t, 3, 100*time.Millisecond)
	s.elect(0, 1, all())
	s.append(0, 1, 3, "a")
	s.alike(0)
	for _, from := range all() {
		for _, to := range all() {
			s.cutOff(from, to, true)
		}
	}
	s.append(0, 1, 5, "b")
	s.elect(0, 2, []model.BrokerID{2}, 2)
	s.append(0, 2, 3, "c")
	s.elect(0, 1, []model.BrokerID{1}, 1)
	s.append(0, 1, 2, "d")
	s.elect(0, 2, []model.BrokerID{2}, 2)
	s.append(0, 2, 1, "e")
	for _, from := range all() {
		for _, to := range all() {
			s.cutOff(from, to, false)
		}
	}
	s.tell(0, all()...)
	s.acknowledged(0, 2, "f")
	s.alike(0)
}

// An epoch in which the leader appended nothing stays in its history, and must not stand in the way when it follows again.
func TestEmptyEpochsDoNotStick(t *testing.T) {
	s := newStage(t, 3, 100*time.Millisecond)
	s.elect(0, 1, all())
	s.append(0, 1, 3, "a")
	s.alike(0)
	s.elect(0, 2, []model.BrokerID{2}, 2) // 2 hears of it, nobody else, and it appends nothing
	s.elect(0, 1, []model.BrokerID{1}, 1)
	s.append(0, 1, 3, "b")
	s.elect(0, 1, all())
	s.acknowledged(0, 1, "c")
	s.alike(0)
}

// A deposed leader's tail may not be synced yet. It is before anything else: else what it fetches would be here already.
func TestDeposedLeaderSyncsFirst(t *testing.T) {
	s := newStage(t, 2, 100*time.Millisecond)
	s.elect(0, 1, []model.BrokerID{1, 2})
	s.append(0, 1, 3, "a")
	s.alike(0)
	for i := range 20 {
		leader := model.BrokerID(1 + i%2)
		s.append(0, leader, 50, strings.Repeat("x", i))
		eventually(t, "the other has it", func() bool { return s.brokers[3-leader].log(0).End() == s.brokers[leader].log(0).End() })
		s.elect(0, 3-leader, []model.BrokerID{1, 2})
	}
	s.append(0, 1, 1, "z")
	s.alike(0)
}

func TestFollowerBehindTheLogStartBeginsAnew(t *testing.T) {
	s := newStage(t, 2, 100*time.Millisecond)
	s.cutOff(2, 1, true)
	s.elect(0, 1, []model.BrokerID{1})
	s.append(0, 1, 100, "a")
	s.committed(0, 1, 100)
	if _, err := s.brokers[1].part(0).DeleteRecords(60); err != nil {
		t.Fatal(err)
	}
	s.cutOff(2, 1, false)
	s.alike(0)
	if start := s.brokers[2].log(0).Start(); start != 60 {
		t.Fatalf("log starts at %d", start)
	}
	// And goes on deleting with its leader.
	s.append(0, 1, 10, "b")
	s.committed(0, 1, 110)
	if _, err := s.brokers[1].part(0).DeleteRecords(90); err != nil {
		t.Fatal(err)
	}
	s.append(0, 1, 1, "c")
	eventually(t, "the follower's log starts where the leader's does", func() bool { return s.brokers[2].log(0).Start() == 90 })
	s.alike(0)
}

// DeleteRecords may put the log start inside of a batch; a new follower gets that batch whole.
func TestLogStartInsideOfABatch(t *testing.T) {
	s := newStage(t, 2, 100*time.Millisecond)
	s.cutOff(2, 1, true)
	s.elect(0, 1, []model.BrokerID{1})
	s.append(0, 1, 2, "a")
	appendBatch(t, s, 10)
	s.append(0, 1, 2, "b")
	s.committed(0, 1, 14)
	if _, err := s.brokers[1].part(0).DeleteRecords(7); err != nil {
		t.Fatal(err)
	}
	s.cutOff(2, 1, false)
	eventually(t, "the follower is there", func() bool {
		l := s.brokers[2].log(0)
		return l.End() == 14 && l.Start() == 7 && s.brokers[2].part(0).HighWatermark() == 14
	})
}

// One fetch brings more than a segment takes.
func TestSegmentsSmallerThanAFetch(t *testing.T) {
	s := newStage(t, 2, 100*time.Millisecond)
	s.seg = 4 << 10
	s.cutOff(2, 1, true)
	s.elect(0, 1, []model.BrokerID{1})
	s.append(0, 1, 300, strings.Repeat("x", 100))
	s.cutOff(2, 1, false)
	s.alike(0)
}

// The follower may hear of a new leader before the leader does: it is refused, and asks again soon, and other partitions do not suffer.
func TestLeaderThatDoesNotKnowYet(t *testing.T) {
	s := newStage(t, 2, 20*time.Second)
	s.elect(0, 1, []model.BrokerID{1, 2})
	s.elect(1, 1, []model.BrokerID{1, 2})
	s.acknowledged(0, 1, "a")
	s.elect(1, 1, []model.BrokerID{1, 2}, 2) // only the follower is told of the new epoch
	s.acknowledged(0, 1, "b")
	eventually(t, "refused", func() bool { return s.askedFor(1) > 3 })
	s.tell(1, 1)
	if d := s.acknowledged(1, 1, "c"); d > 5*time.Second {
		t.Fatalf("took %v", d)
	}
	s.alike(1)
}

// askedFor counts the fetches that named a partition.
func (s *stage) askedFor(index int32) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.mu.asked {
		for i := range q.Topics {
			for j := range q.Topics[i].Partitions {
				if q.Topics[i].Partitions[j].Partition == index {
					n++
				}
			}
		}
	}
	return n
}

func TestLeaderOutOfReachAndBack(t *testing.T) {
	s := newStage(t, 2, 100*time.Millisecond)
	s.elect(0, 1, []model.BrokerID{1, 2})
	s.acknowledged(0, 1, "a")
	s.cutOff(2, 1, true)
	s.append(0, 1, 10, "b")
	before := len(s.asked())
	time.Sleep(200 * time.Millisecond) // the time is the matter: 100 ms back-off
	if n := len(s.asked()) - before; n > 40 {
		t.Fatalf("asked %d times in 200 ms a leader that is not there", n)
	}
	s.cutOff(2, 1, false)
	s.alike(0)
}

func (s *stage) asked() []*wire.FetchRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*wire.FetchRequest(nil), s.mu.asked...)
}

// KIP-227: once the session stands, a fetch names what changed, and forgets what went elsewhere.
func TestSessionsNameOnlyWhatChanged(t *testing.T) {
	s := newStage(t, 2, 50*time.Millisecond)
	for p := range int32(50) {
		s.elect(p, 1, []model.BrokerID{1, 2})
	}
	for p := range int32(50) {
		s.acknowledged(p, 1, "a")
	}
	eventually(t, "an idle fetch names nothing", func() bool {
		asked := s.asked()
		last := asked[len(asked)-1]
		return last.SessionEpoch > 0 && len(last.Topics) == 0
	})
	from := len(s.asked())
	s.acknowledged(7, 1, "b")
	s.acknowledged(7, 1, "c")
	for _, q := range s.asked()[from:] {
		for i := range q.Topics {
			for _, p := range q.Topics[i].Partitions {
				if p.Partition != 7 {
					t.Fatalf("names partition %d", p.Partition)
				}
			}
		}
	}
	s.elect(9, 2, []model.BrokerID{1, 2})
	eventually(t, "forgotten", func() bool {
		for _, q := range s.asked()[from:] {
			if q.ReplicaState.ReplicaID == 2 && len(q.ForgottenTopicsData) == 1 && q.ForgottenTopicsData[0].Partitions[0] == 9 {
				return true
			}
		}
		return false
	})
	s.acknowledged(9, 2, "d")
	s.alike(9)
}

// A leader that restarts has forgotten every session.
func TestLostSessionIsOpenedAgain(t *testing.T) {
	s := newStage(t, 2, 50*time.Millisecond)
	s.elect(0, 1, []model.BrokerID{1, 2})
	s.acknowledged(0, 1, "a")
	s.brokers[2].peers.Forget(s.brokers[1].addr)
	s.acknowledged(0, 1, "b")
	s.alike(0)
}

// Before this process is registered it fetches nothing: a leader could not tell it from the one before.
func TestNothingIsFetchedBeforeRegistration(t *testing.T) {
	s := newStage(t, 2, 50*time.Millisecond)
	s.brokers[2].epoch.Store(-1)
	s.elect(0, 1, []model.BrokerID{1})
	s.append(0, 1, 3, "a")
	time.Sleep(50 * time.Millisecond) // that nothing happens can only be waited for
	if n := len(s.asked()); n > 0 {
		t.Fatalf("%d fetches", n)
	}
	s.brokers[2].epoch.Store(5)
	s.alike(0)
}

// A follower that was outside catches up and joins the ISR.
func TestCaughtUpFollowerJoins(t *testing.T) {
	s := newStage(t, 3, 100*time.Millisecond)
	s.cutOff(3, 1, true)
	s.elect(0, 1, []model.BrokerID{1, 2})
	s.append(0, 1, 100, "a")
	s.acknowledged(0, 1, "b")
	s.cutOff(3, 1, false)
	eventually(t, "broker 3 is in the ISR", func() bool { return len(s.brokers[1].part(0).Info().ISR) == 3 })
	s.acknowledged(0, 1, "c")
	s.alike(0)
}
