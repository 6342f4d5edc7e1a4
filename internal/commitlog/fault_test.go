package commitlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// voyage is some work on a disk that may fail at any call: it goes on until something fails.
type voyage struct {
	*world
	mem       *vfs.Mem
	faulty    *vfs.Faulty
	offline   atomic.Int64 // calls of OnOffline
	durable   atomic.Int64 // the largest end OnDurable told
	confirmed model.Offset // the largest end that anything promised to keep
	start     model.Offset // what DeleteRecords was told to be durable
	appended  []string
	tried     string // the append that failed, which may be there all the same
}

func newVoyage(t testing.TB, mem *vfs.Mem, faults ...vfs.Fault) *voyage {
	v := &voyage{world: compacted(t), mem: mem, faulty: vfs.NewFaulty(mem, faults...)}
	v.fs = v.faulty
	v.cfg.Segment.Bytes = 900
	v.opts.OnOffline = func(error) { v.offline.Add(1) }
	return v
}

func (v *voyage) launch() (*Log, error) {
	synced := v.faulty.Calls(vfs.OpSyncFS)
	d, err := OpenDir(v.env(), v.opts)
	if err != nil {
		return nil, err
	}
	v.dir = d
	for v.faulty.Calls(vfs.OpSyncFS) == synced { // the first one of a directory comes by itself
		runtime.Gosched()
	}
	return d.Open(LogOptions{TP: testTP(), TopicID: testID(), Config: v.cfg, OnDurable: func(end model.Offset) {
		if int64(end) < v.durable.Swap(int64(end)) {
			v.t.Errorf("durable end went back to %d", end)
		}
	}})
}

// sail does the work and returns the first error.
func (v *voyage) sail() error {
	l, err := v.launch()
	for i := 0; err == nil && i < 40; i++ {
		err = v.append(l, fmt.Sprintf("k%d=%d%s", i%6, i, strings.Repeat(".", 40)))
		if err == nil && i%5 == 4 {
			if err = l.Flush(); err == nil {
				v.confirmed = l.End()
			}
		}
		if err == nil && i%13 == 12 {
			v.checkpoint()
			err = v.dir.Offline()
		}
		if err == nil && i == 21 {
			if err = l.DeleteRecords(4); err == nil {
				v.start = 4
			}
		}
		if err == nil && i == 30 {
			l.SetHighWatermark(v.confirmed)
			c := newCleaner(v.dir)
			c.quit = make(chan struct{})
			c.work()
			err = v.dir.Offline()
		}
		if err == nil && i == 33 {
			if err = v.dir.Close(1); err == nil {
				v.confirmed = l.End()
				v.durable.Store(0)
				l, err = v.launch()
			}
		}
	}
	return err
}

func (v *voyage) append(l *Log, record string) error {
	v.tried = record
	info, err := l.AppendLeader(kv(record), 1, AppendOptions{})
	if err == nil {
		v.appended, v.tried = append(v.appended, fmt.Sprintf("%d:%s", info.Base, record)), ""
	}
	return err
}

// ashore opens what a power cut left, on a healthy disk, and checks that everything confirmed is there.
func (v *voyage) ashore(rng *rand.Rand) {
	v.t.Helper()
	confirmed := max(v.confirmed, model.Offset(v.durable.Load()))
	w := compacted(v.t)
	w.fs, w.cfg = v.mem.CrashClone(rng), v.cfg
	l := w.open()
	if l.End() < confirmed {
		v.t.Errorf("ends at %d, confirmed were %d", l.End(), confirmed)
	}
	if l.Start() < v.start {
		v.t.Errorf("starts at %d, records up to %d were deleted", l.Start(), v.start)
	}
	last := map[string]string{}
	for _, s := range records(v.t, l) {
		var off int
		if _, err := fmt.Sscanf(s, "%d:", &off); err != nil {
			v.t.Fatal(err)
		}
		if off < len(v.appended) && v.appended[off] != s {
			v.t.Errorf("holds %s, appended was %s", s, v.appended[off])
		}
		if off >= len(v.appended) && s != fmt.Sprintf("%d:%s", off, v.tried) {
			v.t.Errorf("holds %s, which nobody appended", s)
		}
		key, _, _ := strings.Cut(s[strings.Index(s, ":")+1:], "=")
		last[key] = s
	}
	for off := l.Start(); off < l.End() && int(off) < len(v.appended); off++ {
		want := v.appended[off]
		key, _, _ := strings.Cut(want[strings.Index(want, ":")+1:], "=")
		if have, ok := last[key]; !ok || offsetOf(have) < offsetOf(want) {
			v.t.Errorf("%s is missing, the last of its key is %q", want, have)
		}
	}
}

func offsetOf(record string) (off int) {
	_, _ = fmt.Sscanf(record, "%d:", &off)
	return off
}

// S5: whatever call fails with EIO, the directory goes offline once, confirms nothing any more, does not sync again, and after a restart
// all that it had confirmed is there.
func TestEveryCallMayFail(t *testing.T) {
	kinds := map[string]vfs.Op{
		"read": vfs.OpRead, "write": vfs.OpWrite, "sync": vfs.OpSync, "sync dir": vfs.OpSyncDir, "sync fs": vfs.OpSyncFS, "rename": vfs.OpRename,
		"create": vfs.OpCreate, "open": vfs.OpOpen, "truncate": vfs.OpTruncate, "remove": vfs.OpRemove, "list": vfs.OpList, "stat": vfs.OpStat,
	}
	for name, op := range kinds {
		for _, syncFS := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, syncfs %v", name, syncFS), func(t *testing.T) {
				struck := 0
				for n := 0; n < 400; n += 1 + n/12 {
					if !failOnce(t, op, n, syncFS) {
						break
					}
					struck++
				}
				if struck == 0 && op != vfs.OpTruncate && (op != vfs.OpSyncFS || syncFS) {
					t.Error("no call of the kind was ever made")
				}
			})
		}
	}
}

// failOnce lets the nth call of a kind fail, and reports whether there was one.
func failOnce(t *testing.T, op vfs.Op, n int, syncFS bool) bool {
	mem := vfs.NewMem(uint64(n))
	v := newVoyage(t, mem, vfs.Fault{Ops: op, After: n, Times: 1, Err: syscall.EIO})
	if !syncFS {
		v.faulty.Inject(vfs.Fault{Ops: vfs.OpSyncFS, Err: errors.ErrUnsupported})
	}
	err := v.sail()
	struck := v.faulty.Calls(op) > n
	if err != nil && !struck {
		t.Fatalf("call %d: %v without a fault", n, err)
	}
	if v.dir != nil && v.dir.Offline() != nil {
		v.sunk(n)
	} else if v.dir == nil && err == nil {
		t.Fatalf("call %d: no directory and no error", n)
	}
	if v.dir != nil {
		_ = v.dir.Close(1)
		v.dir = nil
	}
	v.ashore(rand.New(rand.NewPCG(uint64(n), 1)))
	if t.Failed() {
		t.Fatalf("call %d of the kind failed: %v", n, err)
	}
	return struck
}

// sunk is what must hold of a directory that is offline.
func (v *voyage) sunk(n int) {
	v.t.Helper()
	v.dir.awaitTold()
	if got := v.offline.Load(); got != 1 {
		v.t.Errorf("call %d: OnOffline was called %d times", n, got)
	}
	for _, l := range v.dir.logs() {
		_ = v.dir.committer.flush(l) // waits for a sync that is under way
	}
	durable, syncs := v.durable.Load(), v.faulty.Calls(vfs.OpAnySync)
	for _, l := range v.dir.logs() {
		if _, err := l.AppendLeader(kv("x=1"), 1, AppendOptions{}); !errors.Is(err, ErrOffline) && !errors.Is(err, ErrClosed) {
			v.t.Errorf("call %d: append: %v", n, err)
		}
		if err := l.Flush(); !errors.Is(err, ErrOffline) && !errors.Is(err, ErrClosed) {
			v.t.Errorf("call %d: flush: %v", n, err)
		}
		l.Commit()
		_ = l.DeleteRecords(l.End())
		_ = l.TruncateTo(l.Start())
	}
	v.checkpoint()
	_ = v.dir.Close(1)
	v.dir = nil
	if v.durable.Load() != durable {
		v.t.Errorf("call %d: confirmed %d after going offline", n, v.durable.Load())
	}
	if got := v.faulty.Calls(vfs.OpAnySync); got != syncs {
		v.t.Errorf("call %d: %d syncs after going offline", n, got-syncs)
	}
}

// S4: a full disk refuses appends, serves reads, loses nothing, and works again by itself when there is room.
func TestFullDisk(t *testing.T) {
	for n := 0; n < 120; n++ {
		mem := vfs.NewMem(uint64(n))
		v := newVoyage(t, mem)
		l, err := v.launch()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			if err := v.append(l, fmt.Sprintf("k%d=%d", i%3, i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		v.confirmed = l.End()
		refused := vfs.OpAnyWrite &^ vfs.OpTruncate // which only ever gives room back
		v.faulty.Inject(vfs.Fault{Ops: refused, After: n / 2, Err: syscall.ENOSPC, Torn: n%2 == 0})
		full := 0
		for i := 0; i < 60; i++ {
			err := v.append(l, fmt.Sprintf("k%d=%d%s", i%3, i, strings.Repeat("+", 50)))
			switch {
			case errors.Is(err, ErrNoSpace):
				full++
				v.tried = ""
			case err != nil:
				t.Fatalf("full after %d calls: %v", n/2, err)
			}
			if i%7 == 0 {
				v.checkpoint()
				_ = l.Flush()
			}
			if got := records(t, l); len(got) != len(v.appended) {
				t.Fatalf("full after %d calls: %d records are read of %d", n/2, len(got), len(v.appended))
			}
		}
		if full == 0 {
			t.Fatalf("full after %d calls: no append was refused", n/2)
		}
		v.faulty.Heal()
		for i := range 20 {
			if err := v.append(l, fmt.Sprintf("k%d=again%d%s", i%3, i, strings.Repeat("-", 50))); err != nil {
				t.Fatalf("full after %d calls, then room: %v", n/2, err)
			}
		}
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		v.confirmed = l.End()
		v.checkpoint()
		if err := v.dir.Offline(); err != nil {
			t.Fatalf("full after %d calls: %v", n/2, err)
		}
		v.ashore(rand.New(rand.NewPCG(uint64(n), 2)))
	}
}

// The same with a disk that really fills up, down to the last byte.
func TestDiskFillsUp(t *testing.T) {
	for room := int64(3000); room < 9000; room += 997 {
		mem := vfs.NewMem(uint64(room))
		mem.SetCapacity(room)
		v := newVoyage(t, mem)
		v.cfg.Retention.DeleteDelay = 1
		l, err := v.launch()
		if err != nil {
			t.Fatal(err)
		}
		full := false
		for i := 0; i < 200 && !full; i++ {
			err := v.append(l, fmt.Sprintf("k%d=%d%s", i%3, i, strings.Repeat(".", 30)))
			if full = errors.Is(err, ErrNoSpace); err != nil && !full {
				t.Fatal(err)
			}
			if i%10 == 0 {
				v.checkpoint()
			}
		}
		if !full || len(records(t, l)) != len(v.appended) {
			t.Fatalf("full: %v, %d records of %d", full, len(records(t, l)), len(v.appended))
		}
		mem.SetCapacity(room + 20_000)
		for i := range 20 {
			if err := v.append(l, fmt.Sprintf("k%d=again%d", i%3, i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		v.confirmed = l.End()
		v.ashore(rand.New(rand.NewPCG(uint64(room), 3)))
	}
}

// S6: while a disk hangs nothing is confirmed, and appends to the page cache go on.
func TestHungDiskConfirmsNothing(t *testing.T) {
	release := make(chan struct{})
	v := newVoyage(t, vfs.NewMem(1))
	l, err := v.launch()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	v.faulty.Inject(vfs.Fault{Ops: vfs.OpAnySync, Hold: release})
	for i := range 5 {
		if err := v.append(l, fmt.Sprintf("k=%d", i)); err != nil {
			t.Fatal(err)
		}
		l.Commit()
	}
	flushed := make(chan error)
	go func() { flushed <- l.Flush() }()
	if got := len(records(t, l)); got != 5 {
		t.Fatalf("%d records can be read", got)
	}
	select {
	case err := <-flushed:
		t.Fatalf("flush came back from a hung disk: %v", err)
	default:
	}
	if l.DurableEnd() != 0 || v.durable.Load() != 0 {
		t.Fatalf("durable up to %d, told %d", l.DurableEnd(), v.durable.Load())
	}
	close(release)
	if err := <-flushed; err != nil || l.DurableEnd() != 5 {
		t.Fatalf("durable up to %d, %v", l.DurableEnd(), err)
	}
}
