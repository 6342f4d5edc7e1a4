package commitlog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// settings are everything that must not change what a log answers.
type settings struct {
	segment, interval, indexes int
	codec                      batch.Codec
	restarts                   string // "", "stop", "kill" or "power cut": now and then
	checkpoint                 int    // every so many steps
	compact                    int    // every so many steps; 0 never
}

// The same history under many settings of segments, indexes, compression, restarts and compaction reads the same.
func TestHistoriesReadTheSameUnderAllSettings(t *testing.T) {
	for seed := range seeds(t, 2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			var want, wantValues string
			for _, s := range allSettings(rand.New(rand.NewPCG(seed, 1))) {
				got, values := s.live(t, seed)
				if want == "" {
					want, wantValues = got, values
				}
				if s.compact == 0 && got != want {
					t.Fatalf("%+v answers differently:\n%s\nSEED=%d", s, firstDifference(got, want), seed)
				}
				if values != wantValues {
					t.Fatalf("%+v ends with other values:\n%s\nSEED=%d", s, firstDifference(values, wantValues), seed)
				}
			}
		})
	}
}

// allSettings combines what differs, a random choice of it after the plainest.
func allSettings(rng *rand.Rand) []settings {
	all := []settings{{segment: 1 << 20, interval: 4096, indexes: 10 << 20, checkpoint: 1000}}
	for range 14 {
		all = append(all, settings{
			segment: []int{900, 2500, 10_000, 1 << 20}[rng.IntN(4)], interval: []int{1, 200, 4096, 1 << 20}[rng.IntN(4)],
			indexes: []int{2 * timeEntrySize, 120, 10 << 20}[rng.IntN(3)], codec: batch.Codec(rng.IntN(5)),
			restarts: []string{"", "stop", "kill", "power cut"}[rng.IntN(4)], checkpoint: 1 + rng.IntN(40), compact: []int{0, 0, 25}[rng.IntN(3)],
		})
	}
	return all
}

// live runs the history of a seed under the settings, and returns what the log answers and the last value of every key.
func (s settings) live(t *testing.T, seed uint64) (answers, values string) {
	t.Helper()
	w := compacted(t)
	w.cfg.Segment = SegmentConfig{Bytes: s.segment, IndexIntervalBytes: s.interval, IndexMaxBytes: s.indexes, Age: 1000 * time.Hour}
	w.cfg.Compaction.Compact = s.compact > 0
	w.cfg.Compaction.TombstoneRetention = time.Minute
	l := w.open()
	rng := rand.New(rand.NewPCG(seed, 2))   // what happens
	other := rand.New(rand.NewPCG(seed, 3)) // what the settings add to it
	open := map[model.ProducerID]bool{}
	sequence := map[model.ProducerID]int32{}
	for step := range 150 {
		l = s.between(w, l, other, step)
		epoch := model.LeaderEpoch(step / 40)
		pid := model.ProducerID(rng.IntN(5))
		var b []byte
		if pid >= 3 && open[pid] && rng.IntN(2) == 0 {
			b, open[pid] = endTxn(pid, 0, rng.IntN(2) == 0, 1), false
		} else {
			b = s.data(rng, pid, sequence, step)
			open[pid] = pid >= 3
		}
		if _, err := l.AppendLeader(b, epoch, AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for pid := model.ProducerID(3); pid <= 4; pid++ {
		mustAppend(t, l, endTxn(pid, 0, true, 1))
	}
	l.SetHighWatermark(l.End())
	return describeLog(t, l), lastValues(t, l)
}

// data is a batch of the history in the codec of the settings.
func (s settings) data(rng *rand.Rand, pid model.ProducerID, sequence map[model.ProducerID]int32, step int) []byte {
	o := batch.PlainBatch()
	if pid > 0 {
		o = of(pid, 0, sequence[pid], pid >= 3)
	}
	o.Codec = s.codec
	b := batch.NewBuilder(o)
	n := 1 + rng.IntN(5)
	for range n {
		r := batch.Record{
			Timestamp: epochTime().UnixMilli() + int64(step)*1000 + rng.Int64N(5000) - 2500,
			Key:       fmt.Appendf(nil, "k%d", rng.IntN(15)), Headers: []batch.RecordHeader{{Key: "step", Value: fmt.Append(nil, step)}},
		}
		if rng.IntN(5) > 0 {
			r.Value = fmt.Appendf(nil, "%d%s", step, strings.Repeat("v", rng.IntN(80)))
		}
		b.Add(r)
	}
	if pid > 0 {
		sequence[pid] += int32(n)
	}
	return b.Bytes()
}

// between is what the settings do before a step of the history.
func (s settings) between(w *world, l *Log, rng *rand.Rand, step int) *Log {
	if step%s.checkpoint == s.checkpoint-1 {
		w.checkpoint()
	}
	if s.compact > 0 && step%s.compact == s.compact-1 {
		w.clean(l)
		w.clock.Advance(45 * time.Second)
	}
	if step%20 != 19 {
		return l
	}
	switch s.restarts {
	case "stop":
		return w.restart()
	case "kill":
		return w.kill()
	case "power cut":
		if err := l.Flush(); err != nil {
			w.t.Fatal(err)
		}
		return w.crash(rng)
	}
	return l
}

// describeLog is what a log answers, independent of how its records are packed into bytes.
func describeLog(t testing.TB, l *Log) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%d-%d epoch %d\n", l.Start(), l.End(), l.LatestEpoch())
	for e := model.LeaderEpoch(-1); e < 6; e++ {
		at, end := l.EndOffsetForEpoch(e)
		fmt.Fprintf(&b, "epoch %d: %d ends at %d\n", e, at, end)
	}
	producers, err := l.Producers()
	fmt.Fprintf(&b, "producers %+v %v\n", producers, err)
	aborted, err := l.AbortedTransactions(l.Start(), l.End())
	fmt.Fprintf(&b, "aborted %+v %v\n", aborted, err)
	for ts := epochTime().UnixMilli() - 5000; ts < epochTime().UnixMilli()+160_000; ts += 1700 {
		found, ok, err := l.OffsetForTimestamp(ts, l.End())
		fmt.Fprintf(&b, "time %d: %+v %v %v\n", ts, found, ok, err)
		found, ok, err = l.OffsetForTimestamp(ts, l.End()/2)
		fmt.Fprintf(&b, "time %d in the first half: %+v %v %v\n", ts, found, ok, err)
	}
	found, ok, err := l.MaxTimestamp(l.End())
	fmt.Fprintf(&b, "latest: %+v %v %v\n", found, ok, err)
	for _, r := range records(t, l) {
		b.WriteString(r + "\n")
	}
	return b.String()
}

// lastValues is what a reader of committed records ends with.
func lastValues(t testing.TB, l *Log) string {
	t.Helper()
	known := map[string]string{}
	aborted, err := l.AbortedTransactions(l.Start(), l.End())
	if err != nil {
		t.Fatal(err)
	}
	skipping := map[model.ProducerID]bool{}
	for _, h := range readAll(t, l, l.Start()) {
		for len(aborted) > 0 && aborted[0].FirstOffset <= h.LastOffset() {
			skipping[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		if h.Attributes.Control() {
			delete(skipping, h.ProducerID)
			continue
		}
		if h.Attributes.Transactional() && skipping[h.ProducerID] {
			continue
		}
		s, err := l.Read(h.BaseOffset, ReadOptions{MaxBytes: 1, End: l.End(), MinOne: true})
		if err != nil {
			t.Fatal(err)
		}
		one, err := s.Bytes(nil)
		s.Release()
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range batch.Records(one, batch.Limits{}) {
			if err != nil {
				t.Fatal(err)
			}
			learn(known, string(r.Key), string(r.Value))
		}
	}
	return strings.ReplaceAll(fmt.Sprint(known), " ", "\n")
}
