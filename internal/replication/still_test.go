package replication

import (
	"testing"

	"github.com/klamm/klamm/internal/vfs"
)

// A fetch that waited looks again only at what has changed. Whatever a second read would tell otherwise than the first counts as a change.
func TestReadsAreNotRepeatedWhileNothingChanged(t *testing.T) {
	s := openStand(t, vfs.NewMem(1), Config{MinISR: 1})
	q := &Read{Offset: 0, MaxBytes: 1000, LeaderEpoch: 1, ReplicaID: -1, LastFetchedEpoch: -1}
	look := func() *ReadResult {
		t.Helper()
		res, err := s.part.Read(q)
		if err != nil {
			t.Fatal(err)
		}
		res.Slice.Release()
		return &res
	}
	before := look()
	if !s.part.Still(q, before) {
		t.Fatal("nothing changed")
	}
	if _, err := s.append(1, nil, 0); err != nil {
		t.Fatal(err)
	}
	if s.part.Still(q, before) {
		t.Fatal("there is a record now")
	}
	if s.part.Still(q, look()) {
		t.Fatal("a read that found something has to be done again: what it found was let go")
	}
	q.Offset = 1
	before = look()
	if !s.part.Still(q, before) {
		t.Fatal("nothing changed behind the record")
	}
	if _, err := s.part.DeleteRecords(1); err != nil {
		t.Fatal(err)
	}
	if s.part.Still(q, before) {
		t.Fatal("the log starts elsewhere")
	}
	before = look()
	s.part.BecomeLeader(alone(2, 2))
	if s.part.Still(q, before) {
		t.Fatal("another leader epoch: the reader has to be told")
	}
	q.LeaderEpoch = 2
	before = look()
	s.part.Fail(ErrDeleted)
	if s.part.Still(q, before) {
		t.Fatal("the replica is gone")
	}
	var none ReadResult
	if s.part.Still(q, &none) {
		t.Fatal("there was no read")
	}
}

func BenchmarkStill(b *testing.B) {
	s := openStand(b, vfs.NewMem(1), Config{MinISR: 1})
	q := &Read{Offset: 0, MaxBytes: 1000, LeaderEpoch: 1, ReplicaID: -1, LastFetchedEpoch: -1}
	res, err := s.part.Read(q)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !s.part.Still(q, &res) {
			b.Fatal("changed")
		}
	}
}
