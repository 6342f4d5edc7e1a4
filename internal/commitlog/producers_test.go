package commitlog

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// header is the part of a batch that the producers' rules look at.
func header(epoch model.ProducerEpoch, seq, n int32, at model.Offset) *batch.Header {
	return &batch.Header{ProducerID: 1, ProducerEpoch: epoch, BaseSequence: seq, LastOffsetDelta: n - 1, Count: n, BaseOffset: at, MaxTimestamp: 5}
}

// P2: what a producer's next batch is answered, by what is known of it.
func TestAdmit(t *testing.T) {
	const top = math.MaxInt32
	type appended struct {
		epoch  model.ProducerEpoch
		seq, n int32
	}
	six := []appended{{0, 0, 2}, {0, 2, 2}, {0, 4, 2}, {0, 6, 2}, {0, 8, 2}, {0, 10, 2}}
	for _, c := range []struct {
		name      string
		before    []appended
		epoch     model.ProducerEpoch
		seq, n    int32
		origin    Origin
		duplicate model.Offset // where it went the first time; 0: it is no duplicate (offsets begin at 100)
		want      error
	}{
		{name: "unknown producer begins at 0", seq: 0, n: 1},
		{name: "unknown producer goes on where it was: its state has expired", seq: 77, n: 1},
		{name: "next in sequence", before: []appended{{0, 0, 3}}, seq: 3, n: 1},
		{name: "gap", before: []appended{{0, 0, 3}}, seq: 4, n: 1, want: ErrOutOfOrderSequence},
		{name: "the last batch again", before: []appended{{0, 0, 3}}, seq: 0, n: 3, duplicate: 100},
		{name: "the oldest of five again", before: six, seq: 2, n: 2, duplicate: 102},
		{name: "the newest of five again", before: six, seq: 10, n: 2, duplicate: 110},
		{name: "older than five", before: six, seq: 0, n: 2, want: ErrDuplicateSequence},
		{name: "before what is known, but it may not have been appended", before: []appended{{0, 50, 5}}, seq: 45, n: 5, want: ErrOutOfOrderSequence},
		{name: "half a duplicate", before: six, seq: 9, n: 2, want: ErrOutOfOrderSequence},
		{name: "same begin, other length", before: six, seq: 10, n: 3, want: ErrOutOfOrderSequence},
		{name: "new epoch begins at 0", before: six, epoch: 1, seq: 0, n: 1},
		{name: "new epoch begins elsewhere", before: six, epoch: 1, seq: 12, n: 1, want: ErrOutOfOrderSequence},
		{name: "old epoch", before: []appended{{3, 0, 1}}, epoch: 2, seq: 1, n: 1, want: ErrInvalidProducerEpoch},
		{name: "old epoch, a sequence that is known in the new one", before: []appended{{3, 0, 1}}, epoch: 2, seq: 0, n: 1, want: ErrInvalidProducerEpoch},
		{name: "new epoch forgets the old batches", before: []appended{{0, 0, 1}, {1, 0, 1}}, epoch: 1, seq: 0, n: 1, duplicate: 101},
		{name: "wraps between batches", before: []appended{{0, top - 1, 2}}, seq: 0, n: 1},
		{name: "wraps within a batch", before: []appended{{0, top - 1, 4}}, seq: 2, n: 1},
		{name: "gap at the wrap", before: []appended{{0, top - 1, 2}}, seq: 1, n: 1, want: ErrOutOfOrderSequence},
		{name: "duplicate across the wrap", before: []appended{{0, top - 1, 4}}, seq: top - 1, n: 4, duplicate: 100},
		{name: "the coordinator has no sequences", before: []appended{{0, -1, 1}}, seq: -1, n: 1, origin: FromCoordinator},
		{name: "the coordinator's epochs count", before: []appended{{2, -1, 1}}, epoch: 1, seq: -1, n: 1, origin: FromCoordinator, want: ErrInvalidProducerEpoch},
		{name: "replication has been checked", before: six, seq: 99, n: 1, origin: FromReplication},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s producers
			at := model.Offset(100)
			for _, b := range c.before {
				s.note(header(b.epoch, b.seq, b.n, at), epochTime())
				at += model.Offset(b.n)
			}
			p := newProducer(1)
			if known := s.get(1); known != nil {
				p = *known
			}
			h := header(c.epoch, c.seq, c.n, at)
			dup, isDup := p.duplicate(h)
			if isDup != (c.duplicate != 0) || (isDup && dup.firstOffset() != c.duplicate) {
				t.Fatalf("duplicate: %v at %d", isDup, dup.firstOffset())
			}
			if isDup {
				return
			}
			if err := p.admit(h, c.origin); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestSnapshotRemembersFive(t *testing.T) {
	var s producers
	for i := range int32(9) {
		s.note(header(3, i*2, 2, model.Offset(i*2)), epochTime())
	}
	other := header(0, 7, 1, 40)
	other.ProducerID, other.Attributes = 2, 0x10
	s.note(other, epochTime())
	b := s.encode()
	if len(b) != snapshotHeader+4+6*snapshotEntry {
		t.Fatalf("%d bytes", len(b))
	}
	got, err := decodeSnapshot(b, epochTime())
	if err != nil {
		t.Fatal(err)
	}
	if again := got.encode(); !slices.Equal(again, b) {
		t.Fatal("reading and writing a snapshot changes it")
	}
	if !slices.Equal(got.list(), s.list()) || got.unstable() != 40 {
		t.Fatalf("read %+v, wrote %+v, unstable %d", got.list(), s.list(), got.unstable())
	}
	for i := range b {
		bad := slices.Clone(b)
		bad[i] ^= 1
		if _, err := decodeSnapshot(bad, epochTime()); !errors.Is(err, errBadSnapshot) {
			t.Fatalf("a flipped bit in byte %d: %v", i, err)
		}
	}
}

// A producer is forgotten producer.id.expiration.ms after it last wrote, whatever its records' timestamps say.
func TestProducersExpireByLastUse(t *testing.T) {
	w := newWorld(t)
	w.cfg.ProducerExpiry = time.Hour
	l := w.open()
	put := func(pid model.ProducerID, seq int32) {
		t.Helper()
		mustAppend(t, l, spec{n: 1, pid: pid, seq: seq, ts: 1000}.build()) // of 1970
	}
	put(1, 0)
	put(2, 0)
	w.clock.Advance(50 * time.Minute)
	put(2, 1)
	mustAppend(t, l, txn(3, 0, 0, 1))
	w.clock.Advance(20 * time.Minute)
	l.expireProducers(w.clock.Now())
	known := func() (ids []model.ProducerID) {
		t.Helper()
		infos, err := l.Producers()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range infos {
			ids = append(ids, p.ID)
		}
		return ids
	}
	if got := known(); !slices.Equal(got, []model.ProducerID{2, 3}) {
		t.Fatalf("known after an hour: %v", got)
	}
	// A restart counts as use: nobody knows better.
	l = w.restart()
	w.clock.Advance(50 * time.Minute)
	l.expireProducers(w.clock.Now())
	if got := known(); !slices.Equal(got, []model.ProducerID{2, 3}) {
		t.Fatalf("known after a restart: %v", got)
	}
	w.clock.Advance(time.Hour)
	l.expireProducers(w.clock.Now())
	if got := known(); !slices.Equal(got, []model.ProducerID{3}) {
		t.Fatalf("an open transaction keeps its producer, others go: %v", got)
	}
	put(2, 500) // unknown again: any sequence is the next
}

func TestTransactions(t *testing.T) {
	w := newWorld(t)
	l := w.open()
	unstable := func(want model.Offset) {
		t.Helper()
		if got, ok := l.FirstUnstable(); got != want || ok != (want >= 0) {
			t.Fatalf("first unstable %d %v, want %d", got, ok, want)
		}
	}
	unstable(-1)
	mustAppend(t, l, plain(2))
	mustAppend(t, l, txn(1, 0, 0, 3)) // 2-4
	unstable(2)
	mustAppend(t, l, txn(2, 0, 0, 1)) // 5
	if _, err := l.AppendLeader(idem(1, 0, 3, 1), 1, AppendOptions{}); !errors.Is(err, ErrInvalidTxnState) {
		t.Fatalf("a plain batch within a transaction: %v", err)
	}
	mustAppend(t, l, endTxn(1, 0, false, 7)) // 6
	unstable(2)                              // the marker is not replicated yet
	l.SetHighWatermark(7)
	unstable(5)
	if _, err := l.AppendLeader(endTxn(2, 0, true, 6), 1, AppendOptions{Origin: FromCoordinator}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendLeader(endTxn(1, 0, true, 6), 1, AppendOptions{Origin: FromCoordinator}); !errors.Is(err, ErrCoordinatorFenced) {
		t.Fatalf("a marker of an older coordinator: %v", err)
	}
	l.SetHighWatermark(l.End())
	unstable(-1)
	want := []AbortedTxn{{ProducerID: 1, FirstOffset: 2}}
	for _, again := range []func() *Log{func() *Log { return l }, w.restart, w.kill} {
		l = again()
		for _, c := range []struct {
			from, end model.Offset
			want      []AbortedTxn
		}{{0, 8, want}, {4, 5, want}, {0, 2, nil}, {7, 8, nil}} {
			if got, err := l.AbortedTransactions(c.from, c.end); err != nil || !slices.Equal(got, c.want) {
				t.Fatalf("aborted in %d-%d: %v %v", c.from, c.end, got, err)
			}
		}
	}
}
