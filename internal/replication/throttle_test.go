package replication

import (
	"testing"
	"time"

	"github.com/klamm/klamm/internal/clock"
)

// Over time the rate passes, to the byte, however large the transfers are.
func TestThrottleHolds(t *testing.T) {
	c := clock.NewManual(time.Unix(1000, 0))
	th := NewThrottle(c)
	if th.Wait() != 0 {
		t.Fatal("without a rate everything passes")
	}
	th.SetRate(1_000_000)
	for _, size := range []int{10_000, 300_000, 5_000_000} {
		begin, passed := c.Now(), 0
		for c.Now().Sub(begin) < 60*time.Second {
			if d := th.Wait(); d > 0 {
				c.Advance(d)
				continue
			}
			th.Took(size)
			passed += size
		}
		if rate := float64(passed) / c.Now().Sub(begin).Seconds(); rate < 900_000 || rate > 1_100_000 {
			t.Errorf("transfers of %d: %.0f bytes per second", size, rate)
		}
	}
	// A follower that asks twice a second wastes nothing of the rate.
	begin, passed := c.Now(), 0
	for c.Now().Sub(begin) < 60*time.Second {
		if th.Wait() == 0 {
			th.Took(400_000)
			passed += 400_000
			continue
		}
		c.Advance(500 * time.Millisecond)
	}
	if rate := float64(passed) / 60; rate < 900_000 || rate > 1_100_000 {
		t.Errorf("asked twice a second: %.0f bytes per second", rate)
	}
	th.SetRate(0)
	if th.Wait() != 0 {
		t.Error("the rate was taken away")
	}
	var none *Throttle
	none.Took(1)
	if none.Wait() != 0 {
		t.Error("no throttle holds nothing back")
	}
}
