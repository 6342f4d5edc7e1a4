package commitlog

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// benchLog opens a log on the real disk with nothing done in the background.
func benchLog(b *testing.B) *Log {
	w := newWorld(b)
	w.fs = vfs.OS()
	w.opts.Path = b.TempDir()
	w.cfg = DefaultConfig()
	w.cfg.Segment.Bytes = 256 << 20
	w.cfg.Retention.Bytes = 256 << 20
	w.cfg.Retention.DeleteDelay = 0
	return w.open()
}

// benchBatch is a batch of random bytes of about size.
func benchBatch(size int) []byte {
	value := make([]byte, size-100)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range value {
		value[i] = byte('a' + rng.IntN(26))
	}
	return spec{n: 1, ts: epochTime().UnixMilli(), value: value}.build()
}

func benchAppend(b *testing.B, size int) {
	l := benchLog(b)
	batch := benchBatch(size)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := l.AppendLeader(batch, 1, AppendOptions{}); err != nil {
			b.Fatal(err)
		}
		if n%(256<<20/size) == 0 { // keep two segments at most
			l.SetHighWatermark(l.End())
			if err := l.DeleteRecords(l.segments.Load().active().base); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkAppend64K(b *testing.B) { benchAppend(b, 64<<10) }

func BenchmarkAppend1K(b *testing.B) { benchAppend(b, 1<<10) }

// BenchmarkAppendIdempotent1K is the same with a producer whose state is checked and kept.
func BenchmarkAppendIdempotent1K(b *testing.B) {
	l := benchLog(b)
	value := make([]byte, 900)
	seq := int32(0)
	b.ReportAllocs()
	batch := spec{n: 1, ts: epochTime().UnixMilli(), value: value, pid: 1}.build()
	for b.Loop() {
		setSequence(batch, seq)
		seq++
		if _, err := l.AppendLeader(batch, 1, AppendOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// fill appends batches of size until the log has total bytes.
func fill(b *testing.B, l *Log, size, total int) {
	batch := benchBatch(size)
	for range total / size {
		mustAppend(b, l, batch)
	}
}

// BenchmarkReadTail reads the last batch, as a consumer does that keeps up.
func BenchmarkReadTail(b *testing.B) {
	l := benchLog(b)
	fill(b, l, 64<<10, 1<<20)
	from := l.End() - 1
	b.ReportAllocs()
	for b.Loop() {
		s, err := l.Read(from, ReadOptions{MaxBytes: 1 << 20, End: l.End(), MinOne: true})
		if err != nil || s.Len == 0 {
			b.Fatal(s.Len, err)
		}
		s.Release()
	}
}

func benchCatchUp(b *testing.B, batchSize, maxBytes int) {
	l := benchLog(b)
	fill(b, l, batchSize, 200<<20)
	rng := rand.New(rand.NewPCG(1, 1))
	end := l.End()
	b.ReportAllocs()
	for b.Loop() {
		s, err := l.Read(model.Offset(rng.Int64N(int64(end))), ReadOptions{MaxBytes: maxBytes, End: end, MinOne: true})
		if err != nil || s.Len == 0 {
			b.Fatal(s.Len, err)
		}
		s.Release()
	}
}

// BenchmarkReadAnywhere finds a random offset through the index and returns a range of 64 KiB or 1 MiB; the bytes are not read.
func BenchmarkReadAnywhere64K(b *testing.B) { benchCatchUp(b, 64<<10, 64<<10) }

// BenchmarkReadAnywhere1K does so in a log of small batches.
func BenchmarkReadAnywhere1K(b *testing.B) { benchCatchUp(b, 1<<10, 1<<20) }

// BenchmarkCommit is one append of 4 KiB made durable, and for comparison what the disk takes for that alone.
func BenchmarkCommit(b *testing.B) {
	b.Run("log", func(b *testing.B) {
		l, durable := durableLog(b)
		batch := benchBatch(4 << 10)
		b.ReportAllocs()
		for b.Loop() {
			info, err := l.AppendLeader(batch, 1, AppendOptions{})
			if err != nil {
				b.Fatal(err)
			}
			l.Commit()
			for end := range durable {
				if end > info.Last {
					break
				}
			}
		}
	})
	b.Run("disk", func(b *testing.B) {
		f, err := vfs.OS().OpenFile(b.TempDir()+"/raw", openCreate, filePerm)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		batch := benchBatch(4 << 10)
		for pos := int64(0); b.Loop(); pos += int64(len(batch)) {
			if _, err := f.WriteAt(batch, pos); err != nil {
				b.Fatal(err)
			}
			if err := f.SyncData(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// durableLog opens a log that tells how far it is durable.
func durableLog(b *testing.B) (*Log, <-chan model.Offset) {
	durable := make(chan model.Offset, 16)
	env := Env{FS: vfs.OS(), Clock: clock.NewManual(time.Now()), Random: &counter{}}
	d, err := OpenDir(env, DirOptions{Path: b.TempDir(), NodeID: 1, ClusterID: "c"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Close(1) })
	l, err := d.Open(LogOptions{TP: testTP(), TopicID: testID(), Config: DefaultConfig(), OnDurable: func(end model.Offset) { durable <- end }})
	if err != nil {
		b.Fatal(err)
	}
	return l, durable
}
