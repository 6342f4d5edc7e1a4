package commitlog

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// The tests' small language: a world is a disk, a clock and a directory on it; batches are made with recs, plain, idem and marker.

const dataDir = "/data"

func testTP() model.TopicPartition { return model.TopicPartition{Topic: "t", Partition: 0} }

func testID() model.TopicID {
	return model.TopicID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
}

// epochTime is where every test's clock begins: 2023-11-14T22:13:20Z.
func epochTime() time.Time { return time.UnixMilli(1_700_000_000_000) }

type world struct {
	t     testing.TB
	fs    vfs.FS
	clock *clock.Manual
	cfg   Config
	opts  DirOptions
	dir   *Dir

	seen func(Event) // may be nil

	mu     sync.Mutex
	events []Event
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, fs: vfs.NewMem(1), clock: clock.NewManual(epochTime()), cfg: DefaultConfig()}
	w.cfg.Segment.IndexIntervalBytes = 200
	w.opts = DirOptions{Path: dataDir, NodeID: 1, ClusterID: "test-cluster", walked: 1} // small segments are looked at like large ones
	t.Cleanup(func() {
		if w.dir != nil {
			_ = w.dir.Close(1)
		}
	})
	return w
}

func (w *world) env() Env {
	return Env{FS: w.fs, Clock: w.clock, Random: &counter{}, Events: func(e Event) {
		w.mu.Lock()
		w.events = append(w.events, e)
		w.mu.Unlock()
		if w.seen != nil {
			w.seen(e)
		}
	}}
}

// counter is a source of ids that differ and are the same in every run.
type counter struct{ n uint64 }

func (c *counter) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 0
	}
	c.n++
	binary.BigEndian.PutUint64(b[max(len(b)-8, 0):], c.n)
	return len(b), nil
}

func (w *world) openDir() *Dir {
	w.t.Helper()
	d, err := OpenDir(w.env(), w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	w.dir = d
	return d
}

func (w *world) open() *Log {
	w.t.Helper()
	if w.dir == nil {
		w.openDir()
	}
	l, err := w.dir.Open(LogOptions{TP: testTP(), TopicID: testID(), Config: w.cfg})
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// restart closes the directory in order and opens the log again.
func (w *world) restart() *Log {
	w.t.Helper()
	if err := w.dir.Close(7); err != nil {
		w.t.Fatal(err)
	}
	w.dir = nil
	return w.open()
}

// kill ends the process: everything written is still there.
func (w *world) kill() *Log {
	w.t.Helper()
	w.stop(w.fs.(*vfs.Mem).KillClone())
	return w.open()
}

// crash cuts the power: what was not synced may be gone.
func (w *world) crash(rng *rand.Rand) *Log {
	w.t.Helper()
	w.stop(w.fs.(*vfs.Mem).CrashClone(rng))
	return w.open()
}

// stop leaves the running directory to its own disk and goes on with another.
func (w *world) stop(fs vfs.FS) {
	old := w.dir
	w.dir, w.fs = nil, fs
	_ = old.Close(1)
	w.mu.Lock()
	w.events = nil
	w.mu.Unlock()
}

func (w *world) checkpoint() { w.dir.keeper.checkpoint() }

// saw counts the events of a kind.
func (w *world) saw(k EventKind) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

// spec is what a test batch says.
type spec struct {
	n     int // records
	size  int // bytes of each value
	ts    int64
	pid   model.ProducerID
	epoch model.ProducerEpoch
	seq   int32
	txn   bool
	codec batch.Codec
	value []byte // instead of size
}

func (s spec) build() []byte {
	o := batch.PlainBatch()
	o.Codec, o.Transactional = s.codec, s.txn
	if s.pid > 0 {
		o.ProducerID, o.ProducerEpoch, o.BaseSequence = s.pid, s.epoch, s.seq
	}
	b := batch.NewBuilder(o)
	for i := range s.n {
		value := s.value
		if value == nil {
			value = []byte(strings.Repeat(string(rune('a'+i%26)), max(s.size, 1)))
		}
		b.Add(batch.Record{Timestamp: s.ts + int64(i), Key: fmt.Appendf(nil, "k%d", i), Value: value})
	}
	return b.Bytes()
}

// plain is a batch of n records of no producer.
func plain(n int) []byte { return spec{n: n, ts: epochTime().UnixMilli(), size: 40}.build() }

// idem is a batch of an idempotent producer.
func idem(pid model.ProducerID, epoch model.ProducerEpoch, seq int32, n int) []byte {
	return spec{n: n, pid: pid, epoch: epoch, seq: seq, ts: epochTime().UnixMilli(), size: 40}.build()
}

// setSequence gives a batch another base sequence, without a new checksum: nothing looks at it.
func setSequence(b []byte, seq int32) { binary.BigEndian.PutUint32(b[53:], uint32(seq)) }

// txn is a batch of a transaction.
func txn(pid model.ProducerID, epoch model.ProducerEpoch, seq int32, n int) []byte {
	return spec{n: n, pid: pid, epoch: epoch, seq: seq, ts: epochTime().UnixMilli(), size: 40, txn: true}.build()
}

// endTxn is a transaction marker.
func endTxn(pid model.ProducerID, epoch model.ProducerEpoch, commit bool, coordinator int32) []byte {
	o := batch.PlainBatch()
	o.ProducerID, o.ProducerEpoch, o.Transactional, o.Control = pid, epoch, true, true
	kind := uint16(controlAbort)
	if commit {
		kind = controlCommit
	}
	b := batch.NewBuilder(o)
	key := binary.BigEndian.AppendUint16([]byte{0, 0}, kind)
	value := binary.BigEndian.AppendUint32([]byte{0, 0}, uint32(coordinator))
	b.Add(batch.Record{Timestamp: epochTime().UnixMilli(), Key: key, Value: value})
	return b.Bytes()
}

func mustAppend(t testing.TB, l *Log, b []byte) AppendInfo {
	t.Helper()
	info, err := l.AppendLeader(b, 1, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// readAll reads the log from an offset to its end, and returns the batches' headers.
func readAll(t testing.TB, l *Log, from model.Offset) []batch.Header {
	t.Helper()
	var headers []batch.Header
	for from < l.End() {
		s, err := l.Read(from, ReadOptions{MaxBytes: 1 << 20, End: l.End(), MinOne: true})
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Bytes(nil)
		s.Release()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 {
			t.Fatalf("nothing at %d of %d", from, l.End())
		}
		for len(b) > 0 {
			one, h, rest, err := batch.Next(b)
			if err != nil {
				break // cut off by MaxBytes
			}
			if err := batch.VerifyCRC(one); err != nil {
				t.Fatalf("at %d: %v", h.BaseOffset, err)
			}
			headers = append(headers, h)
			from = h.NextOffset()
			b = rest
		}
	}
	return headers
}

func list(t testing.TB, fs vfs.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// flip changes one bit of a file.
func flip(t testing.TB, fs vfs.FS, name string, pos int64) {
	t.Helper()
	f, err := fs.OpenFile(name, openExisting, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], pos); err != nil && !isEOF(err) {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], pos); err != nil {
		t.Fatal(err)
	}
}
