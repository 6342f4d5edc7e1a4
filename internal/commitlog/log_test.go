package commitlog

import (
	"errors"
	"testing"

	"github.com/klamm/klamm/internal/model"
)

func TestAppendAndRead(t *testing.T) {
	w := newWorld(t)
	w.cfg.Segment.Bytes = 4000
	l := w.open()
	var want model.Offset
	for range 40 {
		info := mustAppend(t, l, plain(3))
		if info.Base != want || info.Last != want+2 {
			t.Fatalf("went to %d-%d, want %d", info.Base, info.Last, want)
		}
		want += 3
	}
	for _, step := range []struct {
		name  string
		again func() *Log
	}{{"as appended", func() *Log { return l }}, {"restarted", w.restart}, {"killed", w.kill}} {
		name, l := step.name, step.again()
		if l.End() != want || l.Start() != 0 {
			t.Fatalf("%s: %d-%d", name, l.Start(), l.End())
		}
		for from := range want {
			if h := readAll(t, l, from); h[0].BaseOffset > from || h[0].LastOffset() < from {
				t.Fatalf("%s: reading at %d begins with %d-%d", name, from, h[0].BaseOffset, h[0].LastOffset())
			}
		}
		if _, err := l.Read(want+1, ReadOptions{MaxBytes: 10, End: want}); !errors.Is(err, ErrOffsetOutOfRange) {
			t.Fatalf("%s: behind the end: %v", name, err)
		}
		t.Log(name, list(t, w.fs, dataDir+"/t-0"))
	}
}
