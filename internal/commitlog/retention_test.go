package commitlog

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// at is a batch of one record with a time, minutes after the clock's beginning.
func at(minutes int) []byte {
	return spec{n: 1, size: 300, ts: epochTime().Add(time.Duration(minutes) * time.Minute).UnixMilli()}.build()
}

func TestRetention(t *testing.T) {
	for _, c := range []struct {
		name  string
		cfg   func(*Config)
		times []int // of the batches, two to a segment
		hw    model.Offset
		after int // minutes
		start model.Offset
		left  []model.Offset
	}{
		{name: "nothing is old", times: []int{0, 1, 2, 3, 4, 5}, hw: 6, after: 30, start: 0, left: []model.Offset{0, 2, 4}},
		{name: "by age", times: []int{0, 1, 20, 21, 50, 51}, hw: 6, after: 90, start: 4, left: []model.Offset{4}},
		{name: "a young record keeps its segment and what is behind", times: []int{0, 80, 1, 2, 3, 4}, hw: 6, after: 100, start: 0, left: []model.Offset{0, 2, 4}},
		{name: "not above the high watermark", times: []int{0, 1, 2, 3, 4, 5}, hw: 3, after: 600, start: 2, left: []model.Offset{2, 4}},
		{name: "all of it: an empty segment is left", times: []int{0, 1, 2, 3, 4, 5}, hw: 6, after: 600, start: 6, left: []model.Offset{6}},
		{name: "by size", cfg: func(c *Config) { c.Retention.Age, c.Retention.Bytes = -1, 1000 }, times: []int{0, 1, 2, 3, 4, 5}, hw: 6, start: 2, left: []model.Offset{2, 4}},
		{name: "size 0 keeps nothing that is sealed or not", cfg: func(c *Config) { c.Retention.Age, c.Retention.Bytes = -1, 0 }, times: []int{0, 1, 2, 3}, hw: 4, start: 4, left: []model.Offset{4}},
		{name: "for ever", cfg: func(c *Config) { c.Retention.Age = -1 }, times: []int{0, 1, 2, 3}, hw: 4, after: 1e6, start: 0, left: []model.Offset{0, 2}},
		{name: "compacted only", cfg: func(c *Config) { c.Retention.Delete, c.Compaction.Compact = false, true }, times: []int{0, 1, 2, 3}, hw: 4, after: 1e6, start: 0, left: []model.Offset{0, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.cfg.Segment.Bytes = 800
			w.cfg.Retention.Age = time.Hour
			if c.cfg != nil {
				c.cfg(&w.cfg)
			}
			l := w.open()
			for _, m := range c.times {
				mustAppend(t, l, at(m))
			}
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			l.SetHighWatermark(c.hw)
			w.dir.retain(epochTime().Add(time.Duration(c.after) * time.Minute))
			if got := bases(l); l.Start() != c.start || !slices.Equal(got, c.left) {
				t.Fatalf("starts at %d with segments %v, want %d with %v", l.Start(), got, c.start, c.left)
			}
			for _, again := range []func() *Log{w.kill, w.restart} {
				if l = again(); l.Start() != c.start || l.End() != model.Offset(len(c.times)) {
					t.Fatalf("%d-%d after the next start", l.Start(), l.End())
				}
			}
			readAll(t, l, l.Start())
		})
	}
}

func TestRoll(t *testing.T) {
	hour := func(h int) int64 { return epochTime().Add(time.Duration(h) * time.Hour).UnixMilli() }
	for _, c := range []struct {
		name    string
		cfg     func(*Config)
		batches []spec
		want    []model.Offset
	}{
		{name: "by size", cfg: func(c *Config) { c.Segment.Bytes = 800 }, batches: []spec{{n: 1, size: 300}, {n: 1, size: 300}, {n: 1, size: 300}}, want: []model.Offset{0, 2}},
		{name: "by record time", cfg: func(c *Config) { c.Segment.Age = 2 * time.Hour },
			batches: []spec{{n: 1, ts: hour(0)}, {n: 1, ts: hour(2)}, {n: 1, ts: hour(3)}, {n: 1, ts: hour(4)}}, want: []model.Offset{0, 2}},
		{name: "old records do not roll at once", cfg: func(c *Config) { c.Segment.Age = 2 * time.Hour },
			batches: []spec{{n: 1, ts: hour(-500)}, {n: 1, ts: hour(-499)}, {n: 1, ts: hour(-498)}}, want: []model.Offset{0}},
		{name: "full offset index", cfg: func(c *Config) { c.Segment.IndexIntervalBytes, c.Segment.IndexMaxBytes = 1, 40 },
			batches: []spec{{n: 1}, {n: 1}, {n: 1}, {n: 1}, {n: 1}, {n: 1}, {n: 1}, {n: 1}}, want: []model.Offset{0, 6}},
		{name: "full time index", cfg: func(c *Config) { c.Segment.IndexIntervalBytes, c.Segment.IndexMaxBytes = 1, 36 },
			batches: []spec{{n: 1, ts: hour(1)}, {n: 1, ts: hour(2)}, {n: 1, ts: hour(3)}, {n: 1, ts: hour(4)}, {n: 1, ts: hour(5)}}, want: []model.Offset{0, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.cfg.Segment.Age = 1e6 * time.Hour
			c.cfg(&w.cfg)
			l := w.open()
			for _, b := range c.batches {
				mustAppend(t, l, b.build())
			}
			if got := bases(l); !slices.Equal(got, c.want) {
				t.Fatalf("segments %v, want %v", got, c.want)
			}
			readAll(t, l, 0)
		})
	}
}

func TestRollByTheClockWithoutTimestamps(t *testing.T) {
	w := newWorld(t)
	w.cfg.Segment.Age = time.Hour
	w.cfg.Segment.Jitter = 30 * time.Minute
	l := w.open()
	old := spec{n: 1, ts: -1}.build()
	mustAppend(t, l, old)
	w.clock.Advance(29 * time.Minute)
	mustAppend(t, l, old)
	w.clock.Advance(32 * time.Minute)
	mustAppend(t, l, old)
	if got := bases(l); !slices.Equal(got, []model.Offset{0, 2}) {
		t.Fatalf("segments %v", got)
	}
}

// followed is a batch as a leader has it.
func followed(base model.Offset, epoch model.LeaderEpoch, n int) []byte {
	b := plain(n)
	batch.SetOffset(b, base, epoch)
	return b
}

func TestAppendFollower(t *testing.T) {
	w := newWorld(t)
	l := w.open()
	two := append(followed(0, 3, 2), followed(2, 4, 3)...)
	info, err := l.AppendFollower(append(two, followed(5, 4, 1)[:50]...)) // the third is cut off
	if err != nil || info.Base != 0 || info.Last != 4 || l.End() != 5 {
		t.Fatalf("%+v %v, end %d", info, err, l.End())
	}
	if epoch, end := l.EndOffsetForEpoch(3); epoch != 3 || end != 2 || l.LatestEpoch() != 4 {
		t.Fatalf("epoch 3 ends at %d", end)
	}
	bad := followed(5, 4, 2)
	bad[len(bad)-1] ^= 1
	for name, c := range map[string]struct {
		records []byte
		want    error
	}{
		"behind the end":        {followed(4, 4, 1), ErrInvalidAppend},
		"out of order":          {append(followed(7, 4, 1), followed(6, 4, 1)...), ErrInvalidAppend},
		"failed checksum":       {bad, ErrCorrupt},
		"second one is damaged": {append(followed(5, 4, 1), func() []byte { b := followed(6, 4, 1); b[30] ^= 1; return b }()...), ErrCorrupt},
		"nothing whole":         {followed(5, 4, 1)[:60], ErrInvalidAppend},
		"empty":                 {nil, ErrInvalidAppend},
	} {
		if _, err := l.AppendFollower(c.records); !errors.Is(err, c.want) || l.End() != 5 {
			t.Errorf("%s: %v, end %d", name, err, l.End())
		}
	}
	// A compacted leader leaves gaps, even larger than a segment's index can write.
	for _, base := range []model.Offset{10, 10 + maxRelative, 1 << 40} {
		if _, err := l.AppendFollower(followed(base, 4, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, again := range []func() *Log{func() *Log { return l }, w.kill, w.restart} {
		l = again()
		var got []model.Offset
		for _, h := range readAll(t, l, 0) {
			got = append(got, h.BaseOffset)
		}
		if want := []model.Offset{0, 2, 10, 10 + maxRelative, 1 << 40}; !slices.Equal(got, want) {
			t.Fatalf("read %v, want %v", got, want)
		}
	}
}

func TestTooLargeForASegment(t *testing.T) {
	w := newWorld(t)
	w.cfg.Segment.Bytes = 500
	l := w.open()
	if _, err := l.AppendLeader(spec{n: 1, size: 600}.build(), 1, AppendOptions{}); !errors.Is(err, ErrTooLarge) || l.End() != 0 {
		t.Fatalf("%v, end %d", err, l.End())
	}
}

func TestTruncateFully(t *testing.T) {
	w := newWorld(t)
	w.cfg.Segment.Bytes = 700
	l := w.open()
	for seq := range int32(6) {
		mustAppend(t, l, idem(4, 0, seq*3, 3))
	}
	w.checkpoint()
	if err := l.TruncateFullyTo(100); err != nil {
		t.Fatal(err)
	}
	for _, again := range []func() *Log{func() *Log { return l }, w.kill, w.restart} {
		l = again()
		if l.Start() != 100 || l.End() != 100 || l.LatestEpoch() != model.NoLeaderEpoch {
			t.Fatalf("%d-%d, epoch %d", l.Start(), l.End(), l.LatestEpoch())
		}
		if infos, err := l.Producers(); err != nil || len(infos) != 0 {
			t.Fatalf("knows %v %v", infos, err)
		}
	}
	if _, err := l.AppendFollower(followed(100, 1, 2)); err != nil {
		t.Fatal(err)
	}
	readAll(t, l, 100)
}
