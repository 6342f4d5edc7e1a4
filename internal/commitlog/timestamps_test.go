package commitlog

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// L6: the first record with a time or later, compared with looking at every record.
func TestOffsetForTimestamp(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t)
	w.cfg.Segment.Bytes = 3000
	l := w.open()
	var times []int64
	for range 60 {
		n := 1 + rng.IntN(5)
		ts := 1000 + rng.Int64N(50)*10 + int64(len(times))
		mustAppend(t, l, spec{n: n, ts: ts, size: 60, codec: batch.Codec(rng.IntN(5))}.build())
		for i := range n {
			times = append(times, ts+int64(i))
		}
	}
	const start = 17
	if err := l.DeleteRecords(start); err != nil {
		t.Fatal(err)
	}
	first := func(ts int64, end int) (model.Offset, bool) {
		for i := start; i < end; i++ {
			if times[i] >= ts {
				return model.Offset(i), true
			}
		}
		return 0, false
	}
	for _, again := range []func() *Log{func() *Log { return l }, w.kill, w.restart} {
		l = again()
		for _, end := range []int{len(times), len(times) / 2, start + 1, start} {
			for ts := int64(990); ts < 1800; ts += 7 {
				want, wantOK := first(ts, end)
				got, ok, err := l.OffsetForTimestamp(ts, model.Offset(end))
				if err != nil || ok != wantOK || (ok && (got.Offset != want || got.Timestamp != times[want] || got.LeaderEpoch != 1)) {
					t.Fatalf("time %d below %d: %+v %v %v, want %d %v", ts, end, got, ok, err, want, wantOK)
				}
			}
			largest := int64(-1)
			for _, ts := range times[start:end] {
				largest = max(largest, ts)
			}
			got, ok, err := l.MaxTimestamp(model.Offset(end))
			want, _ := first(largest, end)
			if err != nil || ok != (end > start) || (ok && got.Offset != want) {
				t.Fatalf("largest below %d: %+v %v %v, want %d", end, got, ok, err, want)
			}
		}
	}
}
