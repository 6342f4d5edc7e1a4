package replication

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

const me model.BrokerID = 1

// stand is a partition on a disk in memory.
type stand struct {
	t    testing.TB
	fs   *vfs.Mem
	dir  *commitlog.Dir
	log  *commitlog.Log
	part *Partition
}

func openStand(t testing.TB, fs *vfs.Mem, c Config) *stand {
	t.Helper()
	s := &stand{t: t, fs: fs}
	var err error
	s.dir, err = commitlog.OpenDir(commitlog.Env{FS: fs, Clock: clock.Real(), Random: zeros{}}, commitlog.DirOptions{Path: "data", NodeID: me, ClusterID: "stand"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.dir.Close(-1) }) // the clones of a crash are left as they are
	tp := model.TopicPartition{Topic: "t"}
	var part atomic.Pointer[Partition]
	s.log, err = s.dir.Open(commitlog.LogOptions{TP: tp, TopicID: model.UUID{1}, Config: commitlog.DefaultConfig(), OnDurable: func(end model.Offset) {
		if p := part.Load(); p != nil {
			p.OnDurable(end)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.Rules = batch.Rules{MaxBytes: 1 << 20, BeforeMaxMs: 1 << 62, AfterMaxMs: 1 << 62, Codec: batch.ProducerCodec}
	s.part = New(Options{TP: tp, TopicID: model.UUID{1}, Me: me, Log: s.log, Clock: clock.Real(), Config: c})
	part.Store(s.part)
	s.part.BecomeLeader(alone(1, 1))
	return s
}

// alone is what the controller says of a partition with one replica.
func alone(epoch model.LeaderEpoch, version model.PartitionEpoch) *metadata.Partition {
	return &metadata.Partition{Leader: me, LeaderEpoch: epoch, PartitionEpoch: version, Replicas: []model.BrokerID{me}, ISR: []model.BrokerID{me}}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(i)
	}
	return len(b), nil
}

func oneRecord(value string) []byte {
	b := batch.NewBuilder(batch.BuildOptions{ProducerID: model.NoProducerID, ProducerEpoch: model.NoProducerEpoch, BaseSequence: -1})
	b.Add(batch.Record{Timestamp: 1, Value: []byte(value)})
	return append([]byte(nil), b.Bytes()...)
}

func (s *stand) append(acks int16, w Waiter, slot int) (AppendResult, error) {
	return s.part.Append(&Append{Records: oneRecord("klamm"), ProduceVersion: 9, Acks: acks, LeaderEpoch: model.NoLeaderEpoch, Waiter: w, Slot: slot})
}

// R1 with one replica: what acks=all acknowledged survives a power cut, at whatever moment it comes.
func TestAcknowledgedRecordsSurviveAPowerCut(t *testing.T) {
	for range 30 {
		seed := rand.Uint64()
		s := openStand(t, vfs.NewMem(seed), Config{MinISR: 1})
		var acked atomic.Int64 // every offset below is acknowledged
		var w waiterFunc = func(slot int, err error) {
			if err == nil {
				acked.Store(max(acked.Load(), int64(slot)+1)) // waits are woken in the order of their offsets, from one goroutine
			}
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		for i := range 20 + rng.IntN(100) {
			acks := int16(AcksAll)
			if rng.IntN(3) == 0 {
				acks = 1
			}
			if _, err := s.append(acks, w, i); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(20) == 0 {
				time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
			}
		}
		promised := acked.Load()
		after := openStand(t, s.fs.CrashClone(rng), Config{MinISR: 1})
		if end := after.log.End(); int64(end) < promised {
			t.Fatalf("seed %d: acknowledged to %d, the log ends at %d after the power cut", seed, promised, end)
		}
		if hw := after.part.HighWatermark(); hw != after.log.End() {
			t.Fatalf("seed %d: high watermark %d, end %d", seed, hw, after.log.End())
		}
	}
}

// Consumers see what acks=1 appended at once; acks=all waits for the disk.
func TestReadersDoNotWaitForTheDisk(t *testing.T) {
	s := openStand(t, vfs.NewMem(1), Config{MinISR: 1})
	done := make(chan error, 1)
	res, err := s.part.Append(&Append{Records: oneRecord("x"), ProduceVersion: 9, Acks: AcksAll, LeaderEpoch: 1, CommitLater: true,
		Waiter: waiterFunc(func(_ int, err error) { done <- err })})
	if err != nil || !res.Wait || !res.Sync {
		t.Fatalf("%+v %v", res, err)
	}
	read, err := s.part.Read(&Read{Offset: 0, MaxBytes: 1000, LeaderEpoch: 1, ReplicaID: -1, LastFetchedEpoch: -1})
	if err != nil || read.Slice.Len == 0 || read.HW != 1 {
		t.Fatalf("%+v %v", read, err)
	}
	read.Slice.Release()
	select {
	case <-done:
		t.Fatal("acknowledged without a sync")
	default:
	}
	s.part.Commit()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Every append that said it waits is woken exactly once, whatever happens to the leader meanwhile.
func TestEveryWaitEndsOnce(t *testing.T) {
	s := openStand(t, vfs.NewMem(2), Config{MinISR: 1})
	const producers, each = 4, 200
	var woken [producers * each]atomic.Int32
	var expected [producers * each]bool
	w := waiterFunc(func(slot int, _ error) { woken[slot].Add(1) })
	var running sync.WaitGroup
	for p := range producers {
		running.Go(func() {
			for i := range each {
				slot := p*each + i
				res, err := s.append(AcksAll, w, slot)
				expected[slot] = err == nil && res.Wait
				if err != nil && !errors.Is(err, ErrNotLeader) {
					t.Error(err)
				}
			}
		})
	}
	epoch, version := model.LeaderEpoch(1), model.PartitionEpoch(1)
	for range 50 {
		epoch, version = epoch+1, version+1
		m := alone(epoch, version)
		m.Leader = 2
		m.Replicas, m.ISR = []model.BrokerID{me, 2}, []model.BrokerID{me, 2}
		s.part.BecomeFollower(m)
		time.Sleep(50 * time.Microsecond)
		epoch, version = epoch+1, version+1
		s.part.BecomeLeader(alone(epoch, version))
		time.Sleep(200 * time.Microsecond)
	}
	running.Wait()
	if err := s.log.Flush(); err != nil {
		t.Fatal(err)
	}
	s.part.Fail(ErrOffline)
	for slot := range woken {
		want := int32(0)
		if expected[slot] {
			want = 1
		}
		if n := woken[slot].Load(); n != want {
			t.Fatalf("append %d was woken %d times, want %d", slot, n, want)
		}
	}
	if _, err := s.append(1, w, 0); !errors.Is(err, ErrOffline) {
		t.Fatal(err)
	}
}

func TestWaitingReadersAreWokenOrCancelled(t *testing.T) {
	s := openStand(t, vfs.NewMem(3), Config{MinISR: 1})
	woken := make(chan error, 10)
	w := waiterFunc(func(_ int, err error) { woken <- err })
	s.part.AwaitData(0, ReadUncommitted, w, 0)
	h := s.part.AwaitData(0, ReadUncommitted, w, 1)
	s.part.Cancel(h)
	if _, err := s.append(1, nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := <-woken; err != nil || len(woken) != 0 {
		t.Fatal(err, len(woken))
	}
	s.part.AwaitData(0, ReadUncommitted, w, 2) // there is more already
	if err := <-woken; err != nil {
		t.Fatal(err)
	}
	s.part.AwaitData(1, ReadUncommitted, w, 3)
	m := alone(2, 2)
	m.Leader = 2
	s.part.BecomeFollower(m)
	if err := <-woken; !errors.Is(err, ErrNotLeader) {
		t.Fatal(err)
	}
	s.part.AwaitData(1, ReadUncommitted, w, 4)
	if err := <-woken; !errors.Is(err, ErrNotLeader) {
		t.Fatal(err)
	}
}

func TestEpochsWithoutRecordsEndWhereTheyBegan(t *testing.T) {
	s := openStand(t, vfs.NewMem(6), Config{MinISR: 1})
	check := func(asked, epoch model.LeaderEpoch, end model.Offset) {
		t.Helper()
		if e, o, err := s.part.EndOffsetForEpoch(asked, model.NoLeaderEpoch); e != epoch || o != end || err != nil {
			t.Errorf("epoch %d: %d ends at %d, want %d at %d (%v)", asked, e, o, epoch, end, err)
		}
	}
	check(0, 0, 0) // an empty log
	check(1, 1, 0)
	check(2, -1, -1)
	if _, err := s.append(1, nil, 0); err != nil { // epoch 1
		t.Fatal(err)
	}
	s.part.BecomeLeader(alone(5, 5))
	for asked, want := range map[model.LeaderEpoch]model.LeaderEpoch{1: 1, 2: 1, 4: 1, 5: 5} {
		check(asked, want, 1)
	}
	check(6, -1, -1)
	if _, err := s.append(1, nil, 0); err != nil { // epoch 5
		t.Fatal(err)
	}
	check(4, 1, 1)
	check(5, 5, 2)
}

func TestFirstOffsetOfAnEmptyLogIsOfTheLeadersEpoch(t *testing.T) {
	s := openStand(t, vfs.NewMem(6), Config{MinISR: 1})
	first := func() FoundOffset {
		t.Helper()
		f, err := s.part.ListOffset(Earliest, ReadUncommitted, model.NoLeaderEpoch)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	s.part.BecomeLeader(alone(3, 3))
	if f := first(); f.Offset != 0 || f.LeaderEpoch != 3 {
		t.Errorf("empty: %+v", f)
	}
	if _, err := s.append(1, nil, 0); err != nil {
		t.Fatal(err)
	}
	s.part.BecomeLeader(alone(4, 4))
	if f := first(); f.Offset != 0 || f.LeaderEpoch != 3 {
		t.Errorf("with a record of an older epoch: %+v", f)
	}
}

// The leader's word travels: a follower that was cut by epochs ends with the leader's records, and knows its high watermark.
func TestFollowerReconcilesByEpoch(t *testing.T) {
	leader, follower := openStand(t, vfs.NewMem(4), Config{MinISR: 1}), openStand(t, vfs.NewMem(5), Config{MinISR: 1})
	for range 3 { // epoch 1 on both
		for _, s := range []*stand{leader, follower} {
			if _, err := s.append(1, nil, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := follower.append(1, nil, 0); err != nil { // what the new leader never got
		t.Fatal(err)
	}
	leader.part.BecomeLeader(alone(2, 2))
	if _, err := leader.append(1, nil, 0); err != nil {
		t.Fatal(err)
	}
	m := alone(2, 2)
	m.Leader = 2
	follower.part.BecomeFollower(m)
	if err := follower.log.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		pos, err := follower.part.FetchPosition()
		if err != nil {
			t.Fatal(err)
		}
		read, err := leader.part.Read(&Read{Offset: pos.Offset, MaxBytes: 1 << 20, LeaderEpoch: 2, ReplicaID: -1, Isolation: ReadAll, LastFetchedEpoch: pos.LastEpoch})
		if err != nil {
			t.Fatal(err)
		}
		if read.Diverging.Set {
			lost, err := follower.part.Diverged(2, read.Diverging.Epoch, read.Diverging.End)
			if err != nil || !lost {
				t.Fatal(lost, err) // it had counted its last record as committed, being alone
			}
			continue
		}
		b, err := read.Slice.Bytes(nil)
		read.Slice.Release()
		if err != nil {
			t.Fatal(err)
		}
		if err := follower.part.AppendAsFollower(&Replicated{LeaderEpoch: 2, Records: b, HW: read.HW, LogStart: read.LogStart}); err != nil {
			t.Fatal(err)
		}
		if err := follower.log.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if follower.log.End() != 4 || follower.part.HighWatermark() != 4 || follower.log.EpochAt(3) != 2 {
		t.Fatalf("end %d, high watermark %d, epoch %d", follower.log.End(), follower.part.HighWatermark(), follower.log.EpochAt(3))
	}
	if err := follower.part.AppendAsFollower(&Replicated{LeaderEpoch: 1}); !errors.Is(err, ErrFencedLeaderEpoch) {
		t.Fatal(err)
	}
}

// A follower that claims what it cannot have counts for nothing: neither the high watermark nor the ISR follows it.
func TestFollowerThatClaimsTooMuch(t *testing.T) {
	s := openStand(t, vfs.NewMem(1), Config{MinISR: 1})
	m := alone(2, 2)
	m.Replicas, m.ISR = []model.BrokerID{me, 2, 3}, []model.BrokerID{me, 2}
	s.part.BecomeLeader(m)
	for i := range 3 {
		if _, err := s.append(1, nil, i); err != nil {
			t.Fatal(err)
		}
	}
	read := func(q Read) (ReadResult, error) {
		q.MaxBytes, q.LeaderEpoch, q.ReplicaEpoch, q.Isolation = 1000, 2, 7, ReadAll
		res, err := s.part.Read(&q)
		res.Slice.Release()
		return res, err
	}
	if _, err := read(Read{Offset: 1000, ReplicaID: 2, LastFetchedEpoch: -1}); !errors.Is(err, commitlog.ErrOffsetOutOfRange) {
		t.Errorf("behind the end, without an epoch: %v", err)
	}
	for name, q := range map[string]Read{
		"behind the end":        {Offset: 1000, ReplicaID: 2, LastFetchedEpoch: 2},
		"in an epoch long over": {Offset: 3, ReplicaID: 2, LastFetchedEpoch: 1},
	} {
		if res, err := read(q); err != nil || !res.Diverging.Set {
			t.Errorf("%s: %+v %v", name, res, err)
		}
	}
	if _, err := read(Read{Offset: 3, ReplicaID: 9, LastFetchedEpoch: 2}); !errors.Is(err, ErrNotReplica) {
		t.Errorf("no replica: %v", err)
	}
	if hw := s.part.HighWatermark(); hw != 0 {
		t.Errorf("high watermark %d", hw)
	}
	if err := s.log.Flush(); err != nil { // the leader's own share
		t.Fatal(err)
	}
	if _, err := read(Read{Offset: 3, ReplicaID: 2, LastFetchedEpoch: 2}); err != nil || s.part.HighWatermark() != 3 {
		t.Errorf("an honest fetch: high watermark %d, %v", s.part.HighWatermark(), err)
	}
}
