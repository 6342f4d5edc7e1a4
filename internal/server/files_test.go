package server

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// noDescriptor hides the descriptor of a file, as a test's file system does.
type noDescriptor struct{ f *os.File }

func (n noDescriptor) ReadAt(b []byte, off int64) (int, error) { return n.f.ReadAt(b, off) }

func TestFileRangesBetweenBytes(t *testing.T) {
	content := make([]byte, 3<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(rng.Uint32())
	}
	name := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type piece struct{ off, n int }
	pieces := []piece{{0, 100}, {5, smallRange - 1}, {77, smallRange}, {1000, 2 << 20}, {3<<20 - 1, 1}, {42, 100_000}}
	for _, file := range map[string]File{"descriptor": f, "plain": noDescriptor{f}} {
		s := start(t, Limits{}, handlerFunc(func(_ *Conn, r *Request) {
			b := r.Reply.Bytes()
			for i, p := range pieces {
				*b = append(*b, bytes.Repeat([]byte{byte(i)}, i*20_000)...)
				r.Reply.File(len(*b), file, int64(p.off), int64(p.n))
			}
			*b = append(*b, "end"...)
			r.Reply.Send()
		}))
		var want []byte
		for i, p := range pieces {
			want = append(want, bytes.Repeat([]byte{byte(i)}, i*20_000)...)
			want = append(want, content[p.off:p.off+p.n]...)
		}
		want = append(want, "end"...)
		c := s.dial()
		f := frame(keyMetadata, 1, nil)
		c.send(f, f, f)
		for range 3 {
			if _, got := c.receive(); !bytes.Equal(got, want) {
				t.Fatalf("got %d bytes, want %d, or they differ", len(got), len(want))
			}
		}
		eventually(t, "memory is free", func() bool { return s.QueuedBytes() == 0 })
	}
}

func TestFileThatShrankClosesTheConnection(t *testing.T) {
	name := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(name, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, file := range []File{f, noDescriptor{f}} {
		s := start(t, Limits{}, handlerFunc(func(_ *Conn, r *Request) {
			r.Reply.File(len(*r.Reply.Bytes()), file, 900_000, 1<<20)
			r.Reply.Send()
		}))
		c := s.dial()
		c.send(frame(keyMetadata, 1, nil))
		c.wantClosed()
	}
}

// coldFile is a file whose pages are taken out of the page cache before each test that wants it cold.
func coldFile(t *testing.T, size int) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "segment"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(bytes.Repeat([]byte("klamm..."), size/8)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestColdRangesAreReadAside(t *testing.T) {
	const size = 3 << 20
	f := coldFile(t, size)
	evict(t, f, size)
	s := start(t, Limits{ColdReads: 1}, handlerFunc(func(_ *Conn, r *Request) {
		r.Reply.File(len(*r.Reply.Bytes()), f, 0, size)
		r.Reply.File(len(*r.Reply.Bytes()), f, 8, 80)
		r.Reply.Send()
	}))
	c := s.dial()
	c.send(frame(keyMetadata, 1, nil), frame(keyMetadata, 2, nil))
	for range 2 {
		if _, b := c.receive(); len(b) != size+80 || !bytes.Equal(b[:80], b[size:]) {
			t.Fatalf("%d bytes", len(b))
		}
	}
	if s.Stats().ColdReads.Load() == 0 {
		t.Skip("the file system keeps everything in memory")
	}
}
