package commitlog

import (
	"testing"

	"github.com/klamm/klamm/internal/model"
)

// TestTruncationIsNoLossOfAnIndex: the index of the last segment is in memory until that is sealed, and made anew when it is cut. Every follower that cut its
// log after an election warned of a lost index.
func TestTruncationIsNoLossOfAnIndex(t *testing.T) {
	w := newWorld(t)
	w.cfg.Segment.IndexIntervalBytes = 100
	l := w.open()
	for range 40 {
		if _, err := l.AppendLeader(spec{n: 5, size: 1000}.build(), 1, AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []model.Offset{150, 100, 10, 0} {
		if err := l.TruncateTo(to); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.saw(EventIndexRebuilt); n > 0 {
		t.Errorf("%d indexes are reported as lost", n)
	}
}
