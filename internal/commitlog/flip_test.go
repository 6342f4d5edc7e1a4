package commitlog

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// L7, S7: one flipped bit anywhere in a segment that was durable is found by whoever reads there, reported, and not served. Everything
// around it is, as far as a length that is wrong does not hide it.
func TestFlippedBitsAreNotServed(t *testing.T) {
	w, l := fullOfEverything(t)
	good := batchesOf(t, l)
	end := l.End()
	if err := w.dir.Close(1); err != nil {
		t.Fatal(err)
	}
	w.dir = nil
	stopped := w.fs.(*vfs.Mem)
	rng := newRand(t)
	var segments []string
	for _, name := range list(t, stopped, dataDir+"/t-0") {
		if strings.HasSuffix(name, logSuffix) && fileSize(t, stopped, dataDir+"/t-0/"+name) > 0 {
			segments = append(segments, dataDir+"/t-0/"+name)
		}
	}
	n := 400
	if testing.Short() {
		n = 50
	}
	for range n {
		name := segments[rng.IntN(len(segments))]
		at := rng.Int64N(fileSize(t, stopped, name))
		if inLeaderEpoch(t, stopped, name, at) {
			continue // Kafka's checksum does not cover it
		}
		x := newWorld(t)
		x.cfg, x.fs = w.cfg, stopped.KillClone()
		flipBit(t, x.fs, name, at, rng.IntN(8))
		l := x.open()
		if l.End() != end {
			t.Fatalf("%s at %d: ends at %d, want %d", name, at, l.End(), end)
		}
		lost := readAround(t, l, good)
		if lost > 0 && x.saw(EventCorrupt) == 0 {
			t.Errorf("%s at %d: nothing was reported", name, at)
		}
		_ = x.dir.Close(1)
		x.dir = nil
		if t.Failed() {
			return
		}
	}
}

// flipBit changes one bit of a file.
func flipBit(t testing.TB, fsys vfs.FS, name string, pos int64, bit int) {
	t.Helper()
	b, err := vfs.ReadFile(fsys, name, 1<<30)
	must(t, err)
	f, err := fsys.OpenFile(name, openExisting, 0)
	must(t, err)
	_, err = f.WriteAt([]byte{b[pos] ^ 1<<bit}, pos)
	must(t, err)
	must(t, f.Close())
}

// inLeaderEpoch reports whether a position of a segment file lies in the leader epoch of a batch.
func inLeaderEpoch(t testing.TB, fsys vfs.FS, name string, at int64) bool {
	t.Helper()
	b, err := vfs.ReadFile(fsys, name, 1<<20)
	must(t, err)
	for pos := int64(0); ; {
		one, _, rest, err := batch.Next(b)
		must(t, err)
		if at < pos+int64(len(one)) {
			return at-pos >= 12 && at-pos < 16
		}
		pos, b = pos+int64(len(one)), rest
	}
}

// batchesOf reads the log's batches, by base offset.
func batchesOf(t testing.TB, l *Log) map[model.Offset][]byte {
	t.Helper()
	good := map[model.Offset][]byte{}
	for _, h := range readAll(t, l, l.Start()) {
		s, err := l.Read(h.BaseOffset, ReadOptions{MaxBytes: 1, End: l.End(), MinOne: true})
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Bytes(nil)
		s.Release()
		if err != nil {
			t.Fatal(err)
		}
		good[h.BaseOffset] = b
	}
	return good
}

// readAround reads every batch, and counts those that are refused. What is served must be what was written.
func readAround(t testing.TB, l *Log, good map[model.Offset][]byte) (lost int) {
	t.Helper()
	for base, want := range good {
		s, err := l.Read(base, ReadOptions{MaxBytes: 2000, End: l.End(), MinOne: true})
		if errors.Is(err, ErrCorrupt) {
			lost++
			continue
		}
		if err != nil {
			t.Fatalf("read at %d: %v", base, err)
		}
		b, err := s.Bytes(nil)
		s.Release()
		if err != nil || !bytes.HasPrefix(b, want) {
			t.Fatalf("read at %d: %d bytes that were not written, %v", base, len(b), err)
		}
		for len(b) > 0 {
			one, h, rest, err := batch.Next(b)
			if err != nil {
				break // cut by MaxBytes
			}
			if !bytes.Equal(one, good[h.BaseOffset]) {
				t.Fatalf("read at %d: batch %d is not what was written", base, h.BaseOffset)
			}
			b = rest
		}
	}
	return lost
}

// The scrubber finds it too, without anybody reading.
func TestScrubberFindsFlippedBits(t *testing.T) {
	w, _ := fullOfEverything(t)
	if err := w.dir.Close(1); err != nil {
		t.Fatal(err)
	}
	w.dir = nil
	x := newWorld(t)
	x.cfg, x.fs = w.cfg, w.fs.(*vfs.Mem).KillClone()
	x.opts.ScrubRate = 1 << 20
	flip(t, x.fs, dataDir+"/t-0/00000000000000000036.log", 700)
	x.open()
	for deadline := time.Now().Add(20 * time.Second); x.saw(EventCorrupt) == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("not found")
		}
		x.clock.Advance(time.Minute)
	}
}
