//go:build !race

package commitlog

import (
	"testing"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// The paths of produce and fetch allocate nothing in steady state. The race detector allocates by itself, hence the build tag.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	w.fs = vfs.OS()
	w.opts.Path = t.TempDir()
	w.cfg = DefaultConfig()
	l := w.open()
	plain := plain(10)
	keyed := idem(1, 0, 0, 1)
	seq := int32(0)
	for range 5000 {
		mustAppend(t, l, plain)
	}
	read := func(from model.Offset, maxBytes int) {
		s, err := l.Read(from, ReadOptions{MaxBytes: maxBytes, End: l.End(), MinOne: true})
		if err != nil || s.Len == 0 {
			t.Fatal(s.Len, err)
		}
		s.Release()
	}
	for name, do := range map[string]func(){
		"append": func() { mustAppend(t, l, plain) },
		"append of an idempotent producer": func() {
			setSequence(keyed, seq)
			seq++
			mustAppend(t, l, keyed)
		},
		"read at the tail":         func() { read(l.End()-1, 1<<20) },
		"read from the beginning":  func() { read(0, 4096) },
		"read through the index":   func() { read(l.End()/2, 1<<20) },
		"nothing to read":          func() { _, _ = l.Read(l.End(), ReadOptions{MaxBytes: 1, End: l.End()}) },
		"looking at the log's end": func() { l.SetHighWatermark(l.End()) },
	} {
		for range 200 {
			do()
		}
		// The index grows now and then; what counts is that nothing is allocated per call.
		if n := testing.AllocsPerRun(2000, do); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
