package fetcher

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
	"github.com/klamm/klamm/internal/wire"
)

// unsynced makes a stage on which everybody has two records of broker 1, but one broker only the first of them on its disk before release is called.
// Fetches wait for long.
func unsynced(t *testing.T, whose model.BrokerID) (s *stage, release func()) {
	t.Helper()
	s = newSlowStage(t, 3, time.Minute, time.Minute)
	s.elect(0, 1, all())
	s.acknowledged(0, 1, "a")
	done := make(chan struct{})
	release = sync.OnceFunc(func() { close(done) })
	t.Cleanup(release) // or the disk's end would be waited for
	s.brokers[whose].fs.Inject(vfs.Fault{Ops: vfs.OpAnySync, Hold: done})
	s.append(0, 1, 1, "b")
	for _, b := range s.brokers {
		eventually(t, "b is there", func() bool { return b.log(0).End() == 2 })
	}
	return s, release
}

// fetched waits until a follower has asked for what comes behind the second record, with only the first on its disk.
func (s *stage) fetched(from model.BrokerID, epoch int32) {
	s.t.Helper()
	eventually(s.t, "the fetch is sent", func() bool {
		return slices.ContainsFunc(s.asked(), func(q *wire.FetchRequest) bool {
			if q.ReplicaState.ReplicaID != int32(from) || isReport(q) || len(q.Topics) == 0 {
				return false
			}
			p := &q.Topics[0].Partitions[0]
			return p.CurrentLeaderEpoch == epoch && p.FetchOffset == 2 && p.SyncedOffset == 1
		})
	})
}

// What a follower has of one leader may not be on its disk yet when it comes to the next. There was a report for that under way, which ended
// with the old leader; the fetch that went to the new one said that the records do not count yet, and nothing ended it, because producers waited for
// just these records: half a second without an acknowledgement, in one of ten restarts of a broker.
func TestTailOfAnotherEpochIsReported(t *testing.T) {
	for _, c := range []struct {
		name       string
		whose, now model.BrokerID
	}{
		{"of another leader", 3, 2},
		{"of the same leader", 3, 1},
		{"of when this node led", 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, release := unsynced(t, c.whose)
			s.elect(0, c.now, all(), c.now, 3-c.now, 3) // the leader hears of it first
			s.fetched(c.whose, 1)
			release()
			s.committed(0, c.now, 2)
		})
	}
}

// A report may be lost, or overtake both the news that its leader leads and the fetch that says less. It is repeated, or it would come to nothing
// before the fetch's end.
func TestReportThatWasNotTakenIsRepeated(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(q *wire.FetchRequest) error
	}{
		{"lost", func(*wire.FetchRequest) error { return errCut }},
		{"too early", func(q *wire.FetchRequest) error {
			q.Topics[0].Partitions[0].CurrentLeaderEpoch++ // the leader has not heard of that epoch
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, release := unsynced(t, 3)
			s.fetched(3, 0)
			failed := 0
			s.onReport(func(q *wire.FetchRequest) error {
				if failed++; failed > 3 {
					return nil
				}
				return c.fail(q)
			})
			release()
			s.committed(0, 1, 2)
		})
	}
}
