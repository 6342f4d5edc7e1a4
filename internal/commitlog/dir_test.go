package commitlog

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

func tp(topic string, partition int32) model.TopicPartition {
	return model.TopicPartition{Topic: topic, Partition: partition}
}

func (w *world) openTP(p model.TopicPartition, id model.TopicID) *Log {
	w.t.Helper()
	l, err := w.dir.Open(LogOptions{TP: p, TopicID: id, Config: w.cfg})
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

func TestDirectoryBelongsToOne(t *testing.T) {
	w := newWorld(t)
	d := w.openDir()
	if _, err := OpenDir(w.env(), w.opts); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("a second opening: %v", err)
	}
	if err := d.Close(3); err != nil {
		t.Fatal(err)
	}
	for _, other := range []DirOptions{
		{Path: dataDir, NodeID: 2, ClusterID: w.opts.ClusterID}, {Path: dataDir, NodeID: 1, ClusterID: "another"},
	} {
		if _, err := OpenDir(w.env(), other); !errors.Is(err, ErrWrongDirectory) {
			t.Fatalf("%+v: %v", other, err)
		}
	}
	again := w.openDir()
	if again.Identity() != d.Identity() || again.CleanShutdownEpoch() != 3 {
		t.Fatalf("%+v after %+v, epoch %d", again.Identity(), d.Identity(), again.CleanShutdownEpoch())
	}
	w.stop(w.fs.(*vfs.Mem).KillClone())
	if d := w.openDir(); d.CleanShutdownEpoch() != -1 {
		t.Fatalf("epoch %d after a kill", d.CleanShutdownEpoch())
	}
	flip(t, w.fs, dataDir+"/"+metaFile, 20)
	if err := w.dir.Close(1); err != nil {
		t.Fatal(err)
	}
	w.dir = nil
	if _, err := OpenDir(w.env(), w.opts); !errors.Is(err, ErrWrongDirectory) {
		t.Fatalf("damaged %s: %v", metaFile, err)
	}
}

func TestFoundAndStray(t *testing.T) {
	w := newWorld(t)
	w.openDir()
	first, second := model.TopicID{1}, model.TopicID{2}
	mustAppend(t, w.openTP(tp("a", 0), first), plain(1))
	mustAppend(t, w.openTP(tp("a-b", 10), first), plain(1))
	mustAppend(t, w.openTP(tp("a", 2), first), plain(1))
	if _, err := w.dir.Open(LogOptions{TP: tp("a", 0), TopicID: first}); !errors.Is(err, ErrExists) {
		t.Fatalf("opened twice: %v", err)
	}
	for _, end := range []func(){
		func() {
			if err := w.dir.Close(1); err != nil {
				t.Fatal(err)
			}
		},
		func() { w.stop(w.fs.(*vfs.Mem).KillClone()) },
	} {
		end()
		w.openDir()
		want := []FoundLog{{tp("a", 0), first}, {tp("a", 2), first}, {tp("a-b", 10), first}}
		if got := w.dir.Found(); !slices.Equal(got, want) {
			t.Fatalf("found %v, want %v", got, want)
		}
		_, err := w.dir.Open(LogOptions{TP: tp("a", 0), TopicID: second, Config: w.cfg})
		if !errors.Is(err, ErrTopicIDMismatch) {
			t.Fatalf("another topic's log: %v", err)
		}
	}
	if err := w.dir.DeleteStray(tp("a", 0)); err != nil {
		t.Fatal(err)
	}
	l := w.openTP(tp("a", 0), second)
	if l.End() != 0 {
		t.Fatalf("the new topic begins at %d", l.End())
	}
	if err := w.dir.DeleteStray(tp("a", 0)); !errors.Is(err, ErrExists) {
		t.Fatalf("deleting an open log as stray: %v", err)
	}
}

// M5: a topic that is created again has nothing of its former life, whenever the process dies in between.
func TestRecreatedTopicIsAnother(t *testing.T) {
	w := newWorld(t)
	w.cfg.Retention.DeleteDelay = time.Minute
	l := w.open()
	for range 5 {
		mustAppend(t, l, idem(1, 0, int32(l.End()), 3))
	}
	w.checkpoint()
	if err := l.DeleteRecords(4); err != nil {
		t.Fatal(err)
	}
	if err := w.dir.Delete(l); err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendLeader(plain(1), 1, AppendOptions{}); !errors.Is(err, ErrClosed) {
		t.Fatalf("append to a deleted log: %v", err)
	}
	if _, err := l.Read(4, ReadOptions{MaxBytes: 100, End: 10}); !errors.Is(err, ErrClosed) {
		t.Fatalf("read from a deleted log: %v", err)
	}
	l = w.openTP(testTP(), model.TopicID{9})
	mustAppend(t, l, plain(1))
	w.stop(w.fs.(*vfs.Mem).KillClone())
	w.openDir()
	l = w.openTP(testTP(), model.TopicID{9})
	if l.Start() != 0 || l.End() != 1 || w.saw(EventCorrupt) > 0 {
		t.Fatalf("the new topic's log is %d-%d after a kill", l.Start(), l.End())
	}
	infos, err := l.Producers()
	if err != nil || len(infos) != 0 {
		t.Fatalf("it knows %v %v", infos, err)
	}
}

func TestDeletedDirectoryGoesLater(t *testing.T) {
	w := newWorld(t)
	w.cfg.Retention.DeleteDelay = time.Minute
	l := w.open()
	mustAppend(t, l, plain(1))
	slice, err := l.Read(0, ReadOptions{MaxBytes: 1000, End: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.dir.Delete(l); err != nil {
		t.Fatal(err)
	}
	doomed := func() (n int) {
		for _, name := range list(t, w.fs, dataDir) {
			if strings.HasSuffix(name, deleteDirSuffix) {
				n++
			}
		}
		return n
	}
	k := w.dir.keeper
	if k.removeDoomed(w.clock.Now()); doomed() != 1 {
		t.Fatal("it is gone before file.delete.delay.ms")
	}
	if b, err := slice.Bytes(nil); err != nil || len(b) == 0 {
		t.Fatalf("a reader lost its file: %v", err)
	}
	slice.Release()
	if k.removeDoomed(w.clock.Now().Add(2 * time.Minute)); doomed() != 0 {
		t.Fatal("it is still there after file.delete.delay.ms")
	}
}

// The commits of many logs that wait together cost one sync, and every log hears of it.
func TestGroupCommit(t *testing.T) {
	w := newWorld(t)
	syncs := &countingFS{FS: w.fs}
	w.fs = syncs
	w.openDir()
	const n = 20
	var wg sync.WaitGroup
	wg.Add(n)
	var logs []*Log
	for i := range int32(n) {
		l, err := w.dir.Open(LogOptions{TP: tp("t", i), TopicID: testID(), Config: w.cfg, OnDurable: func(end model.Offset) {
			if end != 2 {
				t.Errorf("durable up to %d", end)
			}
			wg.Done()
		}})
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, l)
		mustAppend(t, l, plain(2))
	}
	c := w.dir.committer
	c.mu.Lock() // nobody is served before all have asked
	for _, l := range logs {
		l.queued.Store(true)
		c.mu.waiting = append(c.mu.waiting, l)
	}
	before := syncs.total()
	c.mu.Unlock()
	c.poke()
	wg.Wait()
	if n := syncs.total() - before; n > 2 {
		t.Fatalf("%d syncs for one round", n)
	}
	for _, l := range logs {
		if l.DurableEnd() != 2 {
			t.Fatalf("%v is durable up to %d", l.tp, l.DurableEnd())
		}
	}
}

// countingFS counts syncs of all kinds.
type countingFS struct {
	vfs.FS
	mu sync.Mutex
	n  int
}

func (c *countingFS) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *countingFS) count() {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
}

func (c *countingFS) SyncFS(dir string) error {
	c.count()
	return c.FS.SyncFS(dir)
}

func (c *countingFS) SyncDir(dir string) error {
	c.count()
	return c.FS.SyncDir(dir)
}

func TestNamesOfSegmentsAndDirectories(t *testing.T) {
	for name, want := range map[string]model.TopicPartition{
		"t-0": tp("t", 0), "a-b-12": tp("a-b", 12), "a--1": tp("a-", 1), "x.y_z-7": tp("x.y_z", 7),
	} {
		if got, ok := parsePartitionDir(name); !ok || got != want {
			t.Errorf("%q is %v %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "t", "t-", "-0", "t-01", "t-+1", "t--0x", "t-99999999999", "t-0.0123456789abcdef0123456789abcdef-delete"} {
		if got, ok := parsePartitionDir(name); ok {
			t.Errorf("%q is taken for %v", name, got)
		}
	}
	long := tp(strings.Repeat("x", 249), 3)
	if n := deleteDirName(long, model.UUID{}); len(n) > 255 || !onItsWayOut(n) {
		t.Errorf("%d bytes: %s", len(n), n)
	}
	if base, suffix, ok := parseSegmentFile("00000000000000000042.log.deleted"); !ok || base != 42 || suffix != ".log.deleted" {
		t.Error(base, suffix, ok)
	}
	if _, _, ok := parseSegmentFile("99999999999999999999.log"); ok {
		t.Error("an offset that does not exist is accepted")
	}
}
