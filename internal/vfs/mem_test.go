package vfs

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
)

func crashed(m *Mem, seed uint64) *Mem { return m.CrashClone(rand.New(rand.NewPCG(seed, 7))) }

// outcomes crashes many times and counts what is left of it.
func outcomes(t *testing.T, m *Mem, look func(m *Mem) string) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for seed := range uint64(400) {
		seen[look(crashed(m, seed))]++
	}
	return seen
}

func wantOutcomes(t *testing.T, got map[string]int, want ...string) {
	t.Helper()
	for _, w := range want {
		if got[w] == 0 {
			t.Errorf("never left: %q", w)
		}
		delete(got, w)
	}
	for g, n := range got {
		t.Errorf("left %d times: %q", n, g)
	}
}

// look describes the files in the root directory.
func look(m *Mem) string {
	names, _ := m.List("/")
	for i, n := range names {
		if b, err := ReadFile(m, n, 1<<20); err == nil {
			names[i] += "=" + strings.ReplaceAll(string(b), "\x00", "0")
		}
	}
	return strings.Join(names, " ")
}

func synced(t *testing.T, m *Mem, name, contents string) {
	t.Helper()
	put(t, m, name, contents)
	must(t, m.SyncFS("/"))
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	m := NewMem(1)
	put(t, m, "a", "data")
	wantOutcomes(t, outcomes(t, m, look), "", "a=", "a=data", "a=0000")
	f := open(t, m, "a", os.O_RDWR)
	must(t, f.SyncData())
	wantOutcomes(t, outcomes(t, m, look), "", "a=data")
	must(t, m.SyncDir("/"))
	wantOutcomes(t, outcomes(t, m, look), "a=data")
	_, err := f.WriteAt([]byte("DATA+"), 0)
	must(t, err)
	wantOutcomes(t, outcomes(t, m, look), "a=data", "a=DATA", "a=data0", "a=DATA+")
	must(t, m.SyncFS("/"))
	wantOutcomes(t, outcomes(t, m, look), "a=DATA+")
}

func TestCrashLosesPagesInAnyOrder(t *testing.T) {
	m := NewMem(1)
	synced(t, m, "a", strings.Repeat("-", 3*memPage))
	f := open(t, m, "a", os.O_RDWR)
	for i := range int64(3) {
		_, err := f.WriteAt([]byte{byte('0' + i)}, i*memPage)
		must(t, err)
	}
	seen := outcomes(t, m, func(m *Mem) string {
		b := contents(t, m, "a")
		return string([]byte{b[0], b[memPage], b[2*memPage]})
	})
	wantOutcomes(t, seen, "---", "0--", "-1-", "--2", "01-", "0-2", "-12", "012")
}

func TestCrashTearsPagesAtSectors(t *testing.T) {
	m := NewMem(1)
	synced(t, m, "a", strings.Repeat("o", memPage))
	f := open(t, m, "a", os.O_RDWR)
	_, err := f.WriteAt(bytes.Repeat([]byte("n"), memPage), 0)
	must(t, err)
	torn := 0
	for seed := range uint64(400) {
		b := contents(t, crashed(m, seed), "a")
		changes := 0
		for i := 1; i < len(b); i++ {
			if b[i] != b[i-1] {
				changes++
				if i%memSector != 0 {
					t.Fatalf("seed %d: torn at %d", seed, i)
				}
			}
		}
		torn += changes
	}
	if torn == 0 {
		t.Fatal("no page was ever torn")
	}
}

func TestCrashMayKeepAnEarlierWrite(t *testing.T) {
	m := NewMem(3)
	synced(t, m, "a", "0")
	f := open(t, m, "a", os.O_RDWR)
	for _, s := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		_, err := f.WriteAt([]byte(s), 0)
		must(t, err)
	}
	seen := outcomes(t, m, look)
	if len(seen) != 3 || seen["a=0"] == 0 || seen["a=8"] == 0 {
		t.Fatalf("%v", seen)
	}
}

func TestCrashAfterTruncate(t *testing.T) {
	m := NewMem(1)
	synced(t, m, "a", "longer")
	f := open(t, m, "a", os.O_RDWR)
	must(t, f.Truncate(2))
	wantOutcomes(t, outcomes(t, m, look), "a=longer", "a=lo", "a=lo0000")
	must(t, f.SyncData())
	wantOutcomes(t, outcomes(t, m, look), "a=lo")
}

func TestCrashDuringReplace(t *testing.T) {
	m := NewMem(1)
	synced(t, m, "a", "old")
	must(t, WriteFile(m, "a", []byte("new"), 0o644))
	// The temporary file's own name may survive when the rename does not. Never is there neither.
	wantOutcomes(t, outcomes(t, m, look), "a=old", "a=new", "a=old a.tmp=new")
}

func TestCrashKeepsRenamesWhole(t *testing.T) {
	m := NewMem(1)
	must(t, m.MkdirAll("/d", 0o755))
	synced(t, m, "a", "x")
	must(t, m.Rename("a", "d/b"))
	seen := outcomes(t, m, func(m *Mem) string {
		_, err := m.Stat("d/b")
		return look(m) + " moved=" + map[bool]string{true: "yes", false: "no"}[err == nil]
	})
	wantOutcomes(t, seen, "a=x d moved=no", "d moved=yes")
	must(t, m.SyncDir("/d"))
	seen = outcomes(t, m, look)
	wantOutcomes(t, seen, "d")
}

func TestCrashAfterRemove(t *testing.T) {
	m := NewMem(1)
	synced(t, m, "a", "x")
	must(t, m.Remove("a"))
	put(t, m, "a", "y")
	f := open(t, m, "a", os.O_RDWR)
	must(t, f.SyncData())
	wantOutcomes(t, outcomes(t, m, look), "a=x", "", "a=y")
	must(t, m.SyncDir("/"))
	wantOutcomes(t, outcomes(t, m, look), "a=y")
}

func TestCrashOfNewDirectories(t *testing.T) {
	m := NewMem(1)
	must(t, m.MkdirAll("/d/e", 0o755))
	put(t, m, "d/e/f", "x")
	must(t, m.SyncDir("/d/e"))
	must(t, m.SyncDir("/d"))
	seen := outcomes(t, m, look)
	wantOutcomes(t, seen, "", "d")
	must(t, m.SyncDir("/"))
	wantOutcomes(t, outcomes(t, m, func(m *Mem) string { names, _ := m.List("d/e"); return strings.Join(names, " ") }), "f")
}

func TestCrashIsDeterministic(t *testing.T) {
	for seed := range uint64(20) {
		var trees [2]string
		for i := range trees {
			m := NewMem(seed)
			rng := rand.New(rand.NewPCG(seed, 3))
			must(t, m.MkdirAll("/w", 0o755))
			for range 5 {
				work(t, m, "/w", rng, 20)
				if rng.IntN(2) == 0 {
					must(t, m.SyncFS("/"))
				}
			}
			if clone := crashed(m, seed); exists(clone, "/w") {
				trees[i] = tree(t, clone, "/w")
			}
		}
		if trees[0] != trees[1] {
			t.Fatalf("seed %d: one history, two outcomes\n%s\n%s", seed, trees[0], trees[1])
		}
	}
}

func exists(m *Mem, name string) bool {
	_, err := m.Stat(name)
	return err == nil
}

// A crash of a file system that was synced, and of the clone again, changes nothing; the original goes on.
func TestCrashCloneIsIndependent(t *testing.T) {
	m := NewMem(5)
	must(t, m.MkdirAll("/w", 0o755))
	work(t, m, "/w", rand.New(rand.NewPCG(5, 5)), 60)
	must(t, m.SyncFS("/"))
	before := tree(t, m, "/")
	clone := crashed(crashed(m, 1), 2)
	if got := tree(t, clone, "/"); got != before {
		t.Fatalf("lost what was synced:\n%s\nwant\n%s", got, before)
	}
	put(t, clone, "/new", "x")
	if exists(m, "/new") || tree(t, m, "/") != before {
		t.Fatal("the clone's work is seen in the original")
	}
}

func TestKillCloneKeepsEverythingButLocks(t *testing.T) {
	m := NewMem(6)
	if _, err := m.Lock("lock"); err != nil {
		t.Fatal(err)
	}
	synced(t, m, "a", "old")
	put(t, m, "b", "unsynced")
	must(t, m.Rename("a", "c"))
	k := m.KillClone()
	if look(k) != look(m) {
		t.Fatalf("%s, want %s", look(k), look(m))
	}
	if _, err := k.Lock("lock"); err != nil {
		t.Fatal(err)
	}
	// A power cut after the kill still loses what was not synced.
	seen := outcomes(t, k, look)
	if seen["a=old lock="] == 0 || seen["b=unsynced c=old lock="] == 0 {
		t.Fatalf("%v", seen)
	}
	must(t, k.SyncFS("/"))
	wantOutcomes(t, outcomes(t, k, look), "b=unsynced c=old lock=")
}

func TestCapacity(t *testing.T) {
	m := NewMem(1)
	m.SetCapacity(100)
	put(t, m, "a", strings.Repeat("x", 60))
	f := open(t, m, "b", os.O_RDWR|os.O_CREATE)
	n, err := f.WriteAt(make([]byte, 60), 0)
	if n != 40 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%d, %v", n, err)
	}
	if u, _ := m.Usage("/"); u.Free != 0 || u.Total != 100 {
		t.Fatalf("%+v", u)
	}
	if _, err = f.WriteAt([]byte("over"), 0); err != nil {
		t.Fatalf("overwriting needs no room: %v", err)
	}
	must(t, m.Remove("a"))
	if n, err = f.WriteAt(make([]byte, 60), 0); n != 60 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	must(t, m.Remove("b"))
	if u, _ := m.Usage("/"); u.Free != 40 {
		t.Fatalf("a file that is open still takes its room: %+v", u)
	}
	must(t, f.Close())
	if u, _ := m.Usage("/"); u.Free != 100 {
		t.Fatalf("%+v", u)
	}
}

func TestFaults(t *testing.T) {
	isLog := func(name string) bool { return strings.HasSuffix(name, ".log") }
	f := NewFaulty(NewMem(1), Fault{Ops: OpWrite, Match: isLog, After: 1, Times: 2, Err: syscall.EIO, Torn: true})
	a, b := open(t, f, "a.log", os.O_RDWR|os.O_CREATE), open(t, f, "b", os.O_RDWR|os.O_CREATE)
	for i, want := range []error{nil, syscall.EIO, syscall.EIO, nil} {
		n, err := a.WriteAt([]byte("1234"), int64(i*4))
		wantErr(t, err, want)
		if want != nil && n != 2 {
			t.Fatalf("wrote %d bytes before failing", n)
		}
		_, err = b.WriteAt([]byte("x"), 0)
		must(t, err)
	}
	if got := contents(t, f, "a.log"); got != "123412\x00\x0012\x00\x001234" {
		t.Fatalf("%q", got)
	}
	if got := f.Calls(OpWrite); got != 8 {
		t.Fatalf("%d writes counted", got)
	}
	f.Inject(Fault{Ops: OpAny, Err: syscall.EROFS})
	for name, err := range map[string]error{
		"rename": f.Rename("b", "c"), "remove": f.Remove("b"), "remove all": f.RemoveAll("b"), "mkdir": f.MkdirAll("d", 0o755),
		"sync": a.Sync(), "sync data": a.SyncData(), "sync dir": f.SyncDir("/"), "sync fs": f.SyncFS("/"), "truncate": a.Truncate(0),
		"open": second(f.OpenFile("b", os.O_RDONLY, 0)), "create": second(f.OpenFile("n", os.O_RDWR|os.O_CREATE, 0o644)),
		"list": second(f.List("/")), "stat": second(f.Stat("b")), "size": second(a.Size()), "lock": second(f.Lock("l")),
		"usage": second(f.Usage("/")), "read": second(a.ReadAt(make([]byte, 1), 0)), "close": b.Close(),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", name, err)
		}
		var pe *fs.PathError
		if !errors.As(err, &pe) {
			t.Errorf("%s: %T", name, err)
		}
	}
	f.Heal()
	if got := contents(t, f, "b"); got != "x" {
		t.Fatalf("%q", got)
	}
}

func second[T any](_ T, err error) error { return err }

// What a failed sync should have made durable is lost for good, though it can be read and a second sync succeeds.
func TestFailedSyncLosesData(t *testing.T) {
	for name, ops := range map[string]Op{"file": OpSync, "file system": OpSyncFS} {
		m := NewMem(1)
		f := NewFaulty(m)
		synced(t, m, "a", "old")
		file := open(t, f, "a", os.O_RDWR)
		_, err := file.WriteAt([]byte("new"), 0)
		must(t, err)
		f.Inject(Fault{Ops: ops, Times: 1, Err: syscall.EIO})
		if ops == OpSync {
			wantErr(t, file.SyncData(), syscall.EIO)
		} else {
			wantErr(t, f.SyncFS("/"), syscall.EIO)
		}
		must(t, file.SyncData())
		must(t, f.SyncFS("/"))
		if got := contents(t, f, "a"); got != "new" {
			t.Fatalf("%s: the page cache shows %q", name, got)
		}
		if seen := outcomes(t, m, look); seen["a=old"] == 0 {
			t.Fatalf("%s: a second sync brought the data back: %v", name, seen)
		}
		// Written again, it is dirty again.
		_, err = file.WriteAt([]byte("new"), 0)
		must(t, err)
		must(t, file.SyncData())
		wantOutcomes(t, outcomes(t, m, look), "a=new")
	}
}

func TestHungDisk(t *testing.T) {
	release := make(chan struct{})
	f := NewFaulty(NewMem(1), Fault{Ops: OpSync, Hold: release})
	file := open(t, f, "a", os.O_RDWR|os.O_CREATE)
	done := make(chan error)
	go func() { done <- file.SyncData() }()
	_, err := file.WriteAt([]byte("others go on"), 0)
	must(t, err)
	select {
	case err := <-done:
		t.Fatalf("the sync did not wait: %v", err)
	default:
	}
	close(release)
	must(t, <-done)
}

func TestCrashBetweenTwoCalls(t *testing.T) {
	m := NewMem(1)
	var clone *Mem
	f := NewFaulty(m, Fault{Ops: OpSync, After: 1, Times: 1, Before: func() { clone = m.KillClone() }})
	for i := range 3 {
		file := open(t, f, "a", os.O_RDWR|os.O_CREATE)
		_, err := file.WriteAt([]byte{byte('0' + i)}, int64(i))
		must(t, err)
		must(t, file.Sync())
		must(t, file.Close())
	}
	if got := contents(t, clone, "a"); got != "01" {
		t.Fatalf("the clone has %q", got)
	}
}
