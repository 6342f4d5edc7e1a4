package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"sync"
	"testing"
)

// disks are the implementations every conformance test runs on, each with a directory to work in.
func disks(t *testing.T) map[string]func(t *testing.T) (FS, string) {
	t.Helper()
	return map[string]func(t *testing.T) (FS, string){
		"OS":     func(t *testing.T) (FS, string) { return OS(), t.TempDir() },
		"Mem":    func(t *testing.T) (FS, string) { return memDir(t, NewMem(1)) },
		"Faulty": func(t *testing.T) (FS, string) { return memDir(t, NewFaulty(NewMem(1))) },
		"FaultyOS": func(t *testing.T) (FS, string) {
			return NewFaulty(OS(), Fault{Ops: OpAny, Match: func(string) bool { return false }, Err: fs.ErrInvalid}), t.TempDir()
		},
	}
}

func memDir(t *testing.T, fsys FS) (FS, string) {
	t.Helper()
	must(t, fsys.MkdirAll("/data/here", 0o755))
	return fsys, "/data/here"
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

// put writes a whole file without syncing it.
func put(t testing.TB, fsys FS, name, contents string) {
	t.Helper()
	f := open(t, fsys, name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	_, err := f.WriteAt([]byte(contents), 0)
	must(t, err)
	must(t, f.Close())
}

func open(t testing.TB, fsys FS, name string, flag int) File {
	t.Helper()
	f, err := fsys.OpenFile(name, flag, 0o644)
	must(t, err)
	return f
}

func contents(t testing.TB, fsys FS, name string) string {
	t.Helper()
	b, err := ReadFile(fsys, name, 1<<30)
	must(t, err)
	return string(b)
}

func TestConformance(t *testing.T) {
	for disk, make := range disks(t) {
		for name, test := range map[string]func(t *testing.T, fsys FS, dir string){
			"open flags":        testOpenFlags,
			"read at":           testReadAt,
			"write at":          testWriteAt,
			"truncate":          testTruncate,
			"handles":           testHandles,
			"rename":            testRename,
			"remove":            testRemove,
			"directories":       testDirectories,
			"removed stays":     testRemovedStaysReadable,
			"lock":              testLock,
			"usage":             testUsage,
			"sync":              testSync,
			"whole files":       testWholeFiles,
			"concurrent writes": testConcurrentWrites,
		} {
			t.Run(disk+"/"+name, func(t *testing.T) {
				fsys, dir := make(t)
				test(t, fsys, dir)
			})
		}
	}
}

func testOpenFlags(t *testing.T, fsys FS, dir string) {
	name := dir + "/a"
	_, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	wantErr(t, err, fs.ErrNotExist)
	_, err = fsys.OpenFile(dir+"/none/a", os.O_RDWR|os.O_CREATE, 0o644)
	wantErr(t, err, fs.ErrNotExist)
	put(t, fsys, name, "hello")
	_, err = fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	wantErr(t, err, fs.ErrExist)
	f := open(t, fsys, name, os.O_RDWR|os.O_CREATE)
	if f.Name() != name {
		t.Fatalf("name %q", f.Name())
	}
	must(t, f.Close())
	if got := contents(t, fsys, name); got != "hello" {
		t.Fatalf("opening changed it to %q", got)
	}
	must(t, open(t, fsys, name, os.O_RDWR|os.O_TRUNC).Close())
	if got := contents(t, fsys, name); got != "" {
		t.Fatalf("truncated to %q", got)
	}
	r := open(t, fsys, name, os.O_RDONLY)
	if _, err := r.WriteAt([]byte("x"), 0); err == nil {
		t.Fatal("wrote through a file opened for reading")
	}
	if err := r.Truncate(1); err == nil {
		t.Fatal("truncated through a file opened for reading")
	}
	must(t, r.Close())
	if _, err := fsys.OpenFile(dir, os.O_RDWR, 0); err == nil {
		t.Fatal("opened a directory for writing")
	}
	if _, err := fsys.OpenFile(name+"/below", os.O_RDWR|os.O_CREATE, 0o644); err == nil {
		t.Fatal("created a file below a file")
	}
}

func testReadAt(t *testing.T, fsys FS, dir string) {
	put(t, fsys, dir+"/a", "0123456789")
	f := open(t, fsys, dir+"/a", os.O_RDONLY)
	defer f.Close()
	b := make([]byte, 4)
	n, err := f.ReadAt(b, 6)
	if n != 4 || (err != nil && !errors.Is(err, io.EOF)) || string(b) != "6789" {
		t.Fatalf("%d %q %v", n, b, err)
	}
	n, err = f.ReadAt(b, 8)
	if n != 2 || !errors.Is(err, io.EOF) {
		t.Fatalf("across the end: %d %v", n, err)
	}
	n, err = f.ReadAt(b, 10)
	if n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("at the end: %d %v", n, err)
	}
	if _, err = f.ReadAt(b, -1); err == nil {
		t.Fatal("read before the start")
	}
	if n, err = f.ReadAt(nil, 3); n != 0 || err != nil {
		t.Fatalf("nothing: %d %v", n, err)
	}
}

func testWriteAt(t *testing.T, fsys FS, dir string) {
	f := open(t, fsys, dir+"/a", os.O_RDWR|os.O_CREATE)
	defer f.Close()
	_, err := f.WriteAt([]byte("end"), 5000)
	must(t, err)
	size, err := f.Size()
	if size != 5003 || err != nil {
		t.Fatalf("size %d, %v", size, err)
	}
	_, err = f.WriteAt([]byte("start"), 0)
	must(t, err)
	want := "start" + string(make([]byte, 4995)) + "end"
	if got := contents(t, fsys, dir+"/a"); got != want {
		t.Fatalf("%d bytes that differ", len(got))
	}
	if _, err := f.WriteAt([]byte("x"), -1); err == nil {
		t.Fatal("wrote before the start")
	}
	info, err := fsys.Stat(dir + "/a")
	if err != nil || info.Size() != 5003 || info.IsDir() || info.Name() != "a" || !info.Mode().IsRegular() {
		t.Fatalf("%+v %v", info, err)
	}
}

func testTruncate(t *testing.T, fsys FS, dir string) {
	put(t, fsys, dir+"/a", "0123456789")
	f := open(t, fsys, dir+"/a", os.O_RDWR)
	defer f.Close()
	must(t, f.Truncate(4))
	must(t, f.Truncate(8))
	if got := contents(t, fsys, dir+"/a"); got != "0123\x00\x00\x00\x00" {
		t.Fatalf("%q", got)
	}
	if err := f.Truncate(-1); err == nil {
		t.Fatal("negative length")
	}
}

func testHandles(t *testing.T, fsys FS, dir string) {
	put(t, fsys, dir+"/a", "one")
	f, g := open(t, fsys, dir+"/a", os.O_RDWR), open(t, fsys, dir+"/a", os.O_RDONLY)
	_, err := f.WriteAt([]byte("two"), 0)
	must(t, err)
	b := make([]byte, 3)
	if _, err := g.ReadAt(b, 0); (err != nil && !errors.Is(err, io.EOF)) || string(b) != "two" {
		t.Fatalf("the other handle reads %q, %v", b, err)
	}
	must(t, f.Close())
	must(t, g.Close())
	_, err = f.ReadAt(b, 0)
	wantErr(t, err, fs.ErrClosed)
	_, err = f.WriteAt(b, 0)
	wantErr(t, err, fs.ErrClosed)
	_, err = f.Size()
	wantErr(t, err, fs.ErrClosed)
	wantErr(t, f.Truncate(0), fs.ErrClosed)
	wantErr(t, f.SyncData(), fs.ErrClosed)
	wantErr(t, f.Sync(), fs.ErrClosed)
	wantErr(t, f.Close(), fs.ErrClosed)
}

func testRename(t *testing.T, fsys FS, dir string) {
	put(t, fsys, dir+"/a", "new")
	put(t, fsys, dir+"/b", "old")
	held := open(t, fsys, dir+"/b", os.O_RDONLY)
	defer held.Close()
	must(t, fsys.Rename(dir+"/a", dir+"/b"))
	if got := contents(t, fsys, dir+"/b"); got != "new" {
		t.Fatalf("%q", got)
	}
	b := make([]byte, 3)
	if _, err := held.ReadAt(b, 0); (err != nil && !errors.Is(err, io.EOF)) || string(b) != "old" {
		t.Fatalf("the replaced file reads %q, %v", b, err)
	}
	wantErr(t, fsys.Rename(dir+"/a", dir+"/c"), fs.ErrNotExist)
	wantErr(t, fsys.Rename(dir+"/b", dir+"/none/b"), fs.ErrNotExist)
	must(t, fsys.Rename(dir+"/b", dir+"/b"))
	must(t, fsys.MkdirAll(dir+"/d1/sub", 0o755))
	put(t, fsys, dir+"/d1/sub/f", "deep")
	must(t, fsys.Rename(dir+"/d1", dir+"/d2"))
	if got := contents(t, fsys, dir+"/d2/sub/f"); got != "deep" {
		t.Fatalf("%q", got)
	}
	for _, bad := range [][2]string{{"b", "d2"}, {"d2", "b"}, {"d2", "d2/sub/d3"}} {
		if err := fsys.Rename(dir+"/"+bad[0], dir+"/"+bad[1]); err == nil {
			t.Fatalf("renamed %s to %s", bad[0], bad[1])
		}
	}
	must(t, fsys.MkdirAll(dir+"/empty", 0o755))
	if err := fsys.Rename(dir+"/d2", dir+"/empty"); err == nil {
		t.Fatal("replaced a directory")
	}
}

func testRemove(t *testing.T, fsys FS, dir string) {
	wantErr(t, fsys.Remove(dir+"/a"), fs.ErrNotExist)
	must(t, fsys.RemoveAll(dir+"/a"))
	put(t, fsys, dir+"/a", "x")
	must(t, fsys.Remove(dir+"/a"))
	_, err := fsys.Stat(dir + "/a")
	wantErr(t, err, fs.ErrNotExist)
	must(t, fsys.MkdirAll(dir+"/d/e", 0o755))
	put(t, fsys, dir+"/d/e/f", "x")
	if err := fsys.Remove(dir + "/d"); err == nil {
		t.Fatal("removed a directory that is not empty")
	}
	must(t, fsys.RemoveAll(dir+"/d"))
	_, err = fsys.Stat(dir + "/d")
	wantErr(t, err, fs.ErrNotExist)
	must(t, fsys.MkdirAll(dir+"/d", 0o755))
	must(t, fsys.Remove(dir+"/d"))
}

func testDirectories(t *testing.T, fsys FS, dir string) {
	must(t, fsys.MkdirAll(dir+"/x/y/z", 0o755))
	must(t, fsys.MkdirAll(dir+"/x/y/z", 0o755))
	put(t, fsys, dir+"/x/b", "")
	put(t, fsys, dir+"/x/a", "")
	names, err := fsys.List(dir + "/x")
	if err != nil || !slices.Equal(names, []string{"a", "b", "y"}) {
		t.Fatalf("%v %v", names, err)
	}
	_, err = fsys.List(dir + "/none")
	wantErr(t, err, fs.ErrNotExist)
	if _, err = fsys.List(dir + "/x/a"); err == nil {
		t.Fatal("listed a file")
	}
	if err = fsys.MkdirAll(dir+"/x/a/b", 0o755); err == nil {
		t.Fatal("made a directory below a file")
	}
	info, err := fsys.Stat(dir + "/x/y")
	if err != nil || !info.IsDir() || info.Name() != "y" {
		t.Fatalf("%+v %v", info, err)
	}
}

func testRemovedStaysReadable(t *testing.T, fsys FS, dir string) {
	put(t, fsys, dir+"/a", "still here")
	f := open(t, fsys, dir+"/a", os.O_RDWR)
	defer f.Close()
	must(t, fsys.Remove(dir+"/a"))
	put(t, fsys, dir+"/a", "another")
	b := make([]byte, 10)
	if _, err := f.ReadAt(b, 0); (err != nil && !errors.Is(err, io.EOF)) || string(b) != "still here" {
		t.Fatalf("%q %v", b, err)
	}
	_, err := f.WriteAt([]byte("x"), 0)
	must(t, err)
	must(t, f.SyncData())
	if got := contents(t, fsys, dir+"/a"); got != "another" {
		t.Fatalf("%q", got)
	}
}

func testLock(t *testing.T, fsys FS, dir string) {
	l, err := fsys.Lock(dir + "/.lock")
	must(t, err)
	_, err = fsys.Lock(dir + "/.lock")
	wantErr(t, err, ErrLocked)
	other, err := fsys.Lock(dir + "/.other")
	must(t, err)
	must(t, other.Close())
	must(t, l.Close())
	l, err = fsys.Lock(dir + "/.lock")
	must(t, err)
	must(t, l.Close())
	_, err = fsys.Lock(dir + "/none/.lock")
	wantErr(t, err, fs.ErrNotExist)
}

func testUsage(t *testing.T, fsys FS, dir string) {
	u, err := fsys.Usage(dir)
	if err != nil || u.Total == 0 || u.Free > u.Total {
		t.Fatalf("%+v %v", u, err)
	}
	_, err = fsys.Usage(dir + "/none")
	wantErr(t, err, fs.ErrNotExist)
}

func testSync(t *testing.T, fsys FS, dir string) {
	f := open(t, fsys, dir+"/a", os.O_RDWR|os.O_CREATE)
	defer f.Close()
	_, err := f.WriteAt([]byte("x"), 0)
	must(t, err)
	must(t, f.SyncData())
	must(t, f.Sync())
	must(t, fsys.SyncDir(dir))
	if err := fsys.SyncFS(dir); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	}
	wantErr(t, fsys.SyncDir(dir+"/none"), fs.ErrNotExist)
	wantErr(t, fsys.SyncFS(dir+"/none"), fs.ErrNotExist)
}

func testWholeFiles(t *testing.T, fsys FS, dir string) {
	must(t, WriteFile(fsys, dir+"/a", []byte("one"), 0o644))
	must(t, WriteFile(fsys, dir+"/a", []byte("three"), 0o644))
	if got := contents(t, fsys, dir+"/a"); got != "three" {
		t.Fatalf("%q", got)
	}
	if _, err := ReadFile(fsys, dir+"/a", 4); err == nil {
		t.Fatal("read a file over the limit")
	}
	_, err := ReadFile(fsys, dir+"/none", 4)
	wantErr(t, err, fs.ErrNotExist)
	wantErr(t, WriteFile(fsys, dir+"/none/a", nil, 0o644), fs.ErrNotExist)
	names, err := fsys.List(dir)
	if err != nil || !slices.Equal(names, []string{"a"}) {
		t.Fatalf("left behind: %v %v", names, err)
	}
}

func testConcurrentWrites(t *testing.T, fsys FS, dir string) {
	f := open(t, fsys, dir+"/a", os.O_RDWR|os.O_CREATE)
	defer f.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 50 {
				if _, err := f.WriteAt(bytes.Repeat([]byte{byte('a' + i)}, 100), int64(k*800+i*100)); err != nil {
					t.Error(err)
				}
				if _, err := fsys.Stat(dir + "/a"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := contents(t, fsys, dir+"/a")
	if len(got) != 50*800 {
		t.Fatalf("%d bytes", len(got))
	}
	for k := range len(got) / 100 {
		if want := bytes.Repeat([]byte{byte('a' + k%8)}, 100); got[k*100:k*100+100] != string(want) {
			t.Fatalf("block %d is %q", k, got[k*100:k*100+100])
		}
	}
}

// The same random work must leave the same files on every disk.
func TestDisksAgree(t *testing.T) {
	for seed := range uint64(30) {
		var want string
		for _, disk := range []string{"OS", "Mem", "Faulty"} {
			fsys, dir := disks(t)[disk](t)
			got := work(t, fsys, dir, rand.New(rand.NewPCG(seed, 0)), 120)
			if want == "" {
				want = got
			}
			if got != want {
				t.Fatalf("seed %d: %s differs from OS:\n%s\nwant\n%s", seed, disk, got, want)
			}
		}
	}
}

// work does random things in dir and describes what came of it.
func work(t *testing.T, fsys FS, dir string, rng *rand.Rand, steps int) string {
	t.Helper()
	var log []string
	name := func() string {
		n := string(rune('a' + rng.IntN(5)))
		if rng.IntN(3) == 0 {
			n = "d" + n + "/" + string(rune('a'+rng.IntN(3)))
		}
		return dir + "/" + n
	}
	for range steps {
		var err error
		switch rng.IntN(8) {
		case 0, 1, 2:
			f, oerr := fsys.OpenFile(name(), os.O_RDWR|os.O_CREATE, 0o644)
			if err = oerr; err == nil {
				_, err = f.WriteAt(bytes.Repeat([]byte{byte(rng.Uint32())}, 1+rng.IntN(3000)), rng.Int64N(9000))
				must(t, f.Close())
			}
		case 3:
			f, oerr := fsys.OpenFile(name(), os.O_RDWR, 0)
			if err = oerr; err == nil {
				err = f.Truncate(rng.Int64N(9000))
				must(t, f.Close())
			}
		case 4:
			err = fsys.Rename(name(), name())
		case 5:
			err = fsys.Remove(name())
		case 6:
			err = fsys.MkdirAll(path.Dir(name()+"/x"), 0o755)
		case 7:
			err = fsys.RemoveAll(name())
		}
		log = append(log, fmt.Sprint(err == nil))
	}
	return fmt.Sprint(log) + tree(t, fsys, dir)
}

// tree describes everything below dir.
func tree(t testing.TB, fsys FS, dir string) string {
	t.Helper()
	names, err := fsys.List(dir)
	must(t, err)
	var s string
	for _, n := range names {
		info, err := fsys.Stat(dir + "/" + n)
		must(t, err)
		if info.IsDir() {
			s += n + "/ (" + tree(t, fsys, dir+"/"+n) + ")\n"
			continue
		}
		c := contents(t, fsys, dir+"/"+n)
		s += fmt.Sprintf("%s %d %x\n", n, len(c), sum(c))
	}
	return s
}

// sum tells contents apart.
func sum(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
