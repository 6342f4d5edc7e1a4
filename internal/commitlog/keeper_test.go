package commitlog

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// What nobody waits for is synced in the background, as the topic says.
func TestBackgroundSync(t *testing.T) {
	for _, c := range []struct {
		name    string
		flush   FlushConfig
		at      []time.Duration // when the keeper looks
		durable []model.Offset  // what is durable then; two records are appended before each
	}{
		{name: "fsync: at every look", at: []time.Duration{0, time.Second}, durable: []model.Offset{2, 4}},
		{name: "page cache: never", flush: FlushConfig{Durability: PageCache}, at: []time.Duration{0, time.Hour}, durable: []model.Offset{0, 0}},
		{name: "flush.ms", flush: FlushConfig{Durability: PageCache, Interval: 3 * time.Second}, at: []time.Duration{time.Second, 2 * time.Second, 3 * time.Second},
			durable: []model.Offset{0, 0, 6}},
		{name: "flush.messages", flush: FlushConfig{Durability: PageCache, Messages: 4}, at: []time.Duration{0, 0, 0}, durable: []model.Offset{0, 4, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.cfg.Flush = c.flush
			l := w.open()
			for i, at := range c.at {
				mustAppend(t, l, plain(2))
				w.dir.keeper.syncDue(epochTime().Add(at))
				await(t, w.dir)
				if got := l.DurableEnd(); got != c.durable[i] {
					t.Fatalf("look %d: durable up to %d, want %d", i, got, c.durable[i])
				}
			}
		})
	}
}

// await returns when the committer has done what it was asked for before.
func await(t *testing.T, d *Dir) {
	t.Helper()
	l, err := d.Open(LogOptions{TP: tp("await", int32(len(d.logs()))), TopicID: testID(), Config: DefaultConfig()})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, plain(1))
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
}

// A checkpoint is due when CheckpointBytes were appended, without waiting for its interval.
func TestCheckpointByBytes(t *testing.T) {
	w := newWorld(t)
	w.opts.CheckpointBytes = 1000
	done := make(chan struct{}, 1)
	w.seen = func(e Event) {
		if e.Kind == EventCheckpointed {
			done <- struct{}{}
		}
	}
	w.openDir()
	l := w.open()
	for range 2 {
		mustAppend(t, l, spec{n: 1, size: 600}.build())
	}
	<-done // the clock stands still: nothing else asks for it
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.recoveryPoint != 2 {
		t.Fatalf("recovery point %d", l.mu.recoveryPoint)
	}
}

func openFiles(d *Dir) int {
	d.files.mu.Lock()
	defer d.files.mu.Unlock()
	return len(d.files.mu.files)
}

// Logs that nobody uses hold no descriptor.
func TestIdleLogsHoldNoFiles(t *testing.T) {
	w := newWorld(t)
	w.opts.MaxOpenFiles = 20
	w.openDir()
	var logs []*Log
	for i := range int32(50) {
		l := w.openTP(tp("t", i), testID())
		mustAppend(t, l, plain(1))
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		logs = append(logs, l)
	}
	if n := openFiles(w.dir); n > 20 {
		t.Fatalf("%d files are open", n)
	}
	for range 2 { // used since the first
		w.dir.files.sweep()
	}
	if n := openFiles(w.dir); n != 0 {
		t.Fatalf("%d files are open after a while", n)
	}
	for _, l := range logs {
		readAll(t, l, 0)
	}
}

// Running out of descriptors is a condition that passes.
func TestTooManyOpenFiles(t *testing.T) {
	w := newWorld(t)
	faulty := vfs.NewFaulty(w.fs)
	w.fs = faulty
	l := w.open()
	mustAppend(t, l, plain(1))
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	w.dir.files.closeIdle()
	faulty.Inject(vfs.Fault{Ops: vfs.OpOpen, Err: syscall.EMFILE})
	if _, err := l.Read(0, ReadOptions{MaxBytes: 100, End: 1}); !errors.Is(err, ErrTooManyFiles) {
		t.Fatalf("read: %v", err)
	}
	if _, err := l.AppendLeader(plain(1), 1, AppendOptions{}); !errors.Is(err, ErrTooManyFiles) {
		t.Fatalf("append: %v", err)
	}
	faulty.Heal()
	if err := w.dir.Offline(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, plain(1))
	readAll(t, l, 0)
}
