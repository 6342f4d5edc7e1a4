package fetcher

import (
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// While a follower's disk works on some records, the next ones come in; and when it is done the leader hears of it, though the follower's fetch
// waits there for much longer. Until then nothing of it counts.
func TestRecordsComeInWhileTheDiskIsBusy(t *testing.T) {
	s := newStage(t, 2, time.Minute)
	s.elect(0, 1, []model.BrokerID{1, 2})
	s.acknowledged(0, 1, "a")
	done := make(chan struct{})
	release := sync.OnceFunc(func() { close(done) })
	defer release() // or the disk's end would be waited for
	s.brokers[2].fs.Inject(vfs.Fault{Ops: vfs.OpAnySync, Hold: done})
	b := s.promised(0, 1, "b")
	eventually(t, "b is there", func() bool { return s.brokers[2].log(0).End() == 2 })
	c := s.promised(0, 1, "c")
	eventually(t, "c is there", func() bool { return s.brokers[2].log(0).End() == 3 })
	if end, hw := s.brokers[2].log(0).DurableEnd(), s.brokers[1].part(0).HighWatermark(); end != 1 || hw != 1 {
		t.Fatalf("nothing was synced, yet the durable end is %d and the leader's high watermark %d", end, hw)
	}
	release()
	b()
	c()
	s.alike(0)
}
