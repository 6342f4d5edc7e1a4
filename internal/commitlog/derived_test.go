package commitlog

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// fullOfEverything is a log with several segments, epochs, producers, transactions, a raised start and times out of order.
func fullOfEverything(t *testing.T) (*world, *Log) {
	w := newWorld(t)
	w.cfg.Segment.Bytes = 2500
	w.cfg.Segment.IndexIntervalBytes = 300
	l := w.open()
	base := epochTime().UnixMilli()
	var seq, txnSeq int32
	for i := range 60 {
		epoch := model.LeaderEpoch(i / 15)
		put := func(b []byte) {
			t.Helper()
			if _, err := l.AppendLeader(b, epoch, AppendOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		put(spec{n: 1 + i%3, ts: base + int64(i*1000) - int64(i%5)*7000, size: 30}.build())
		put(spec{n: 2, pid: 5, seq: seq, ts: base + int64(i*1000), size: 20, codec: batch.Codec(i % 5)}.build())
		seq += 2
		if i%9 == 4 {
			put(txn(8, 0, txnSeq, 1))
			txnSeq++
			put(endTxn(8, 0, i%2 == 0, 1))
		}
		if i == 40 {
			if err := l.DeleteRecords(7); err != nil {
				t.Fatal(err)
			}
		}
		if i%20 == 19 {
			w.checkpoint()
		}
	}
	l.SetHighWatermark(l.End())
	return w, l
}

// answers is everything a log can be asked, as text.
func answers(t testing.TB, l *Log) string {
	t.Helper()
	l.SetHighWatermark(l.End()) // as its owner does once it knows
	var b strings.Builder
	fmt.Fprintf(&b, "log %d-%d, epoch %d", l.Start(), l.End(), l.LatestEpoch())
	first, unstable := l.FirstUnstable()
	fmt.Fprintf(&b, ", unstable %d %v\n", first, unstable)
	for e := model.LeaderEpoch(-1); e < 6; e++ {
		at, end := l.EndOffsetForEpoch(e)
		fmt.Fprintf(&b, "epoch %d: %d ends at %d\n", e, at, end)
	}
	producers, err := l.Producers()
	fmt.Fprintf(&b, "producers %+v %v\n", producers, err)
	aborted, err := l.AbortedTransactions(l.Start(), l.End())
	fmt.Fprintf(&b, "aborted %+v %v\n", aborted, err)
	for ts := epochTime().UnixMilli() - 30_000; ts < epochTime().UnixMilli()+70_000; ts += 3_500 {
		found, ok, err := l.OffsetForTimestamp(ts, l.End())
		fmt.Fprintf(&b, "time %d: %+v %v %v\n", ts, found, ok, err)
	}
	found, ok, err := l.MaxTimestamp(l.End())
	fmt.Fprintf(&b, "latest %+v %v %v\n", found, ok, err)
	for from := l.Start(); from < l.End(); from++ {
		s, err := l.Read(from, ReadOptions{MaxBytes: 700, End: l.End(), MinOne: true})
		h := fnv.New64()
		data, berr := s.Bytes(nil)
		_, _ = h.Write(data)
		s.Release()
		fmt.Fprintf(&b, "read %d: %d bytes %x %v %v\n", from, len(data), h.Sum64(), err, berr)
	}
	for seq := int32(0); seq < 120; seq += 2 {
		info, err := l.AppendLeader(spec{n: 2, pid: 5, seq: seq, ts: 1}.build(), 9, AppendOptions{})
		if info.Duplicate || err != nil {
			fmt.Fprintf(&b, "again %d: %d %v\n", seq, info.Base, err)
			continue
		}
		t.Fatalf("sequence %d was appended again: %+v", seq, info)
	}
	return b.String()
}

// S3: every file but the segments themselves can be lost or damaged. The log answers the same after the next start.
func TestDerivedFilesAreDerivable(t *testing.T) {
	w, l := fullOfEverything(t)
	want := answers(t, l)
	killed := w.fs.(*vfs.Mem).KillClone()
	l = w.restart()
	if got := answers(t, l); got != want {
		t.Fatalf("a clean restart changes the answers:\n%s", firstDifference(got, want))
	}
	if err := w.dir.Close(1); err != nil {
		t.Fatal(err)
	}
	w.dir = nil
	rng := newRand(t)
	for state, disk := range map[string]*vfs.Mem{"after a kill": killed, "after a clean stop": w.fs.(*vfs.Mem)} {
		for _, name := range derivedFiles(t, disk) {
			for damage, do := range map[string]func(fsys vfs.FS){
				"deleted":   func(fsys vfs.FS) { must(t, fsys.Remove(name)) },
				"emptied":   func(fsys vfs.FS) { resize(t, fsys, name, 0) },
				"cut":       func(fsys vfs.FS) { resize(t, fsys, name, rng.Int64N(fileSize(t, fsys, name)+1)) },
				"flipped":   func(fsys vfs.FS) { flipOne(t, fsys, name, rng) },
				"flipped 2": func(fsys vfs.FS) { flipOne(t, fsys, name, rng) },
				"flipped 3": func(fsys vfs.FS) { flipOne(t, fsys, name, rng) },
			} {
				t.Run(fmt.Sprintf("%s/%s/%s", state, strings.TrimPrefix(name, dataDir+"/"), damage), func(t *testing.T) {
					x := newWorld(t)
					x.cfg = w.cfg
					x.fs = disk.KillClone()
					do(x.fs)
					if got := answers(t, x.open()); got != want {
						t.Errorf("%s", firstDifference(got, want))
					}
					if x.saw(EventCorrupt) > 0 {
						t.Error("records are reported as damaged")
					}
				})
			}
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRand(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(os.Getpid())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 9))
}

// derivedFiles lists every file but segments, the lock, the directory's identity, without which a start is refused, and transaction indexes.
func derivedFiles(t *testing.T, fsys vfs.FS) []string {
	t.Helper()
	var files []string
	for _, dir := range []string{dataDir, dataDir + "/t-0"} {
		for _, name := range list(t, fsys, dir) {
			// A transaction index in Kafka's format can be lost without a trace: see docs/format/compaction.md.
			if strings.HasSuffix(name, logSuffix) || strings.HasSuffix(name, txnSuffix) || slices.Contains([]string{lockFile, metaFile, "t-0"}, name) {
				continue
			}
			files = append(files, dir+"/"+name)
		}
	}
	return files
}

func fileSize(t testing.TB, fsys vfs.FS, name string) int64 {
	t.Helper()
	info, err := fsys.Stat(name)
	must(t, err)
	return info.Size()
}

func resize(t testing.TB, fsys vfs.FS, name string, size int64) {
	t.Helper()
	f, err := fsys.OpenFile(name, openExisting, 0)
	must(t, err)
	must(t, f.Truncate(size))
	must(t, f.Close())
}

func flipOne(t testing.TB, fsys vfs.FS, name string, rng *rand.Rand) {
	t.Helper()
	if size := fileSize(t, fsys, name); size > 0 {
		flipBit(t, fsys, name, rng.Int64N(size), rng.IntN(8))
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("got  %s\nwant %s", a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}
