package replication

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// A client that the old leader sent here may come before the metadata does. Refused, it would pause; so it is made to wait, but for no longer,
// and not where it is the client that does not know yet.
func TestAHandoverIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStand(t, vfs.NewMem(1), Config{MinISR: 1})
		// await is what came of it, and after how long.
		await := func() (bool, time.Duration) {
			begun := time.Now()
			leads := s.part.AwaitLeadership(100 * time.Millisecond)
			return leads, time.Since(begun)
		}
		expect := func(what string, leads bool, after time.Duration) {
			t.Helper()
			if l, d := await(); l != leads || d != after {
				t.Errorf("%s: leads %t after %v, want %t after %v", what, l, d, leads, after)
			}
		}
		follow := func(epoch model.LeaderEpoch) {
			m := alone(epoch, model.PartitionEpoch(epoch))
			m.Leader, m.Replicas = 2, []model.BrokerID{2, me}
			s.part.BecomeFollower(m)
		}
		expect("a leader", true, 0)
		follow(2)
		expect("one that has just resigned", false, 0)
		time.Sleep(resignedLately)
		expect("a follower", false, 100*time.Millisecond)
		time.AfterFunc(30*time.Millisecond, func() { s.part.BecomeLeader(alone(3, 3)) })
		expect("a follower that becomes the leader", true, 30*time.Millisecond)
		follow(4)
		time.Sleep(resignedLately)
		time.AfterFunc(30*time.Millisecond, func() { s.part.Fail(errors.New("no disk")) })
		expect("a follower that fails", false, 30*time.Millisecond)
		expect("one that has failed", false, 0)
	})
}
