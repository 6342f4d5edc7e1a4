package inspect

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// segment is the bytes of batches of two records each, the first at base.
func segment(base model.Offset, batches int) []byte {
	var out []byte
	for i := range batches {
		o := batch.PlainBatch()
		o.BaseOffset, o.Codec = base+model.Offset(2*i), batch.Gzip
		b := batch.NewBuilder(o)
		b.Add(batch.Record{Timestamp: 1000, Key: []byte("k"), Value: []byte("v")})
		b.Add(batch.Record{Timestamp: 1001, Value: []byte(strings.Repeat("w", 100))})
		out = append(out, bytes.Clone(b.Bytes())...)
	}
	return out
}

// lay writes files into a new in-memory directory /d.
func lay(t *testing.T, files map[string][]byte) vfs.FS {
	t.Helper()
	fsys := vfs.NewMem(1)
	for name, data := range files {
		dir := "/d"
		if i := strings.LastIndexByte(name, '/'); i > 0 {
			dir += "/" + name[:i]
		}
		if err := fsys.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.OpenFile("/d/"+name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 0 {
			if _, err := f.WriteAt(data, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fsys
}

const (
	first  = "orders-0/00000000000000000000.log"
	second = "orders-0/00000000000000000006.log"
)

func verify(t *testing.T, files map[string][]byte) (Verified, *Directory) {
	t.Helper()
	fsys := lay(t, files)
	d, err := Open(fsys, "/d")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Partitions) != 1 {
		t.Fatalf("%d partitions", len(d.Partitions))
	}
	return Verify(fsys, d.Partitions[0], d.Clean), d
}

func TestWholeDirectory(t *testing.T) {
	v, d := verify(t, map[string][]byte{
		first: segment(0, 3), second: segment(6, 2), ".kafka_cleanshutdown": nil, "orders-1.abc-delete/00000000000000000000.log": segment(0, 1), "recovery-point-offset-checkpoint": nil,
		"orders-0/partition.metadata": []byte("version: 0\ntopic_id: 9gUOy7-DRjya07aSSFmVcA\n"),
	})
	if v.Start != 0 || v.End != 10 || v.Batches != 5 || v.Records != 10 || len(v.Problems) > 0 {
		t.Errorf("%+v", v)
	}
	if !d.Clean || d.InUse || d.Partitions[0].TopicID != "9gUOy7-DRjya07aSSFmVcA" || d.Partitions[0].TP.String() != "orders-0" {
		t.Errorf("%+v", d)
	}
}

func TestDamageIsFound(t *testing.T) {
	whole := segment(0, 3)
	size := len(whole) / 3
	flipped := bytes.Clone(whole)
	flipped[size+80] ^= 1
	index := func(entries ...uint32) []byte {
		var b []byte
		for _, e := range entries {
			b = binary.BigEndian.AppendUint32(b, e)
		}
		return b
	}
	for _, c := range []struct {
		name  string
		files map[string][]byte
		want  string
		tail  bool
	}{
		{"flipped bit", map[string][]byte{first: flipped, second: segment(6, 1)}, "checksum", false},
		{"cut inside", map[string][]byte{first: whole[:size+20], second: segment(6, 1)}, "ends inside a batch", false},
		{"torn tail", map[string][]byte{first: whole[:2*size+70]}, "ends inside a batch", true},
		{"torn tail after a clean end", map[string][]byte{first: whole[:2*size+70], ".kafka_cleanshutdown": nil}, "ends inside a batch", false},
		{"offsets go back", map[string][]byte{first: append(segment(4, 1), segment(0, 1)...)}, "offsets go back", false},
		{"overlap", map[string][]byte{first: segment(0, 4), second: segment(6, 1)}, "inside the one before it", false},
		{"index off a batch", map[string][]byte{first: whole, "orders-0/00000000000000000000.index": index(3, uint32(size+1))}, "where no batch begins", false},
		{"index at the wrong batch", map[string][]byte{first: whole, "orders-0/00000000000000000000.index": index(5, uint32(size))}, "where the batch of 2 to 3 begins", false},
		{"index not in order", map[string][]byte{first: whole, "orders-0/00000000000000000000.index": index(5, uint32(2*size), 3, uint32(size))}, "not in order", false},
		{"time index goes back", map[string][]byte{first: whole, "orders-0/00000000000000000000.timeindex": index(0, 9, 3, 0, 8, 5)}, "not in order", false},
	} {
		v, _ := verify(t, c.files)
		if len(v.Problems) == 0 || !strings.Contains(v.Problems[0].What, c.want) || v.Problems[0].Tail != c.tail {
			t.Errorf("%s: %+v, want %s", c.name, v.Problems, c.want)
		}
	}
	v, _ := verify(t, map[string][]byte{first: whole, "orders-0/00000000000000000000.index": append(index(3, uint32(size), 5, uint32(2*size)), make([]byte, 64)...)})
	if len(v.Problems) > 0 {
		t.Errorf("a sound index with space behind it: %+v", v.Problems)
	}
}

func FuzzSegment(f *testing.F) {
	f.Add(segment(0, 2))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		fsys := lay(t, map[string][]byte{first: data, "orders-0/00000000000000000000.index": data, "orders-0/00000000000000000000.timeindex": data})
		d, err := Open(fsys, "/d")
		if err != nil {
			t.Fatal(err)
		}
		Verify(fsys, d.Partitions[0], true)
	})
}
