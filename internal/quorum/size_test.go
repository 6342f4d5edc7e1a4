package quorum

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// partitionsPerTopic of a large cluster, each with three replicas.
const partitionsPerTopic = 100

// bigTopic is a topic of a large cluster.
func bigTopic(i int) []metadata.Record {
	var id model.TopicID
	binary.BigEndian.PutUint64(id[:], uint64(i+1)*0x9e3779b97f4a7c15)
	id[15] = 1
	records := []metadata.Record{&metadata.TopicRecord{Name: fmt.Sprintf("some.topic.with.a.name.%d", i), TopicID: id}}
	for p := range partitionsPerTopic {
		r := []int32{int32((i+p)%7 + 1), int32((i+p+1)%7 + 1), int32((i+p+2)%7 + 1)}
		records = append(records, &metadata.PartitionRecord{TopicID: id, PartitionID: int32(p), Replicas: r, ISR: r, Leader: r[0]})
	}
	return records
}

// sizes is what a cluster of that many partitions takes.
type sizes struct {
	fill, snapshot, pause, quiet, follow, restart time.Duration
	file, image, peak                             int64
}

// measure builds metadata of n partitions, takes a snapshot while changes go on, lets a new member have it, and starts both anew.
func measure(tb testing.TB, n int) (s sizes) {
	tb.Helper()
	o := testOptions(vfs.OS())
	o.Dir, o.SnapshotBytes = tb.TempDir(), 1<<40
	pair := &pair{nodes: map[model.BrokerID]*Quorum{}}
	o.Send = pair.send(1)
	before := heap()
	leader := start(tb, o)
	pair.add(1, leader.Quorum, o.Identity.DirectoryID)
	begin := time.Now()
	for i := range n / partitionsPerTopic {
		leader.Append(bigTopic(i), func(model.Offset, error) {})
	}
	leader.create(0)
	s.fill = time.Since(begin)
	leader.deltas = nil
	s.image = heap() - before

	change := metadata.NewPartitionChange()
	change.TopicID, change.Leader = leader.Image().Topic("t0").ID, 1
	propose := func() time.Duration {
		begin := time.Now()
		if _, err := leader.Propose(tb.Context(), []metadata.Record{&change}); err != nil {
			tb.Fatal(err)
		}
		return time.Since(begin)
	}
	for range 100 {
		s.quiet = max(s.quiet, propose())
	}
	old := leader.keep.last.Load()
	leader.keep.logGrew()
	begin = time.Now()
	for leader.keep.last.Load() == old {
		s.pause = max(s.pause, propose())
	}
	s.snapshot, s.file = time.Since(begin), leader.keep.size.Load()

	// A new member: everything comes to it as one snapshot, while changes go on.
	id := Identity{ClusterID: "cluster", NodeID: 2, DirectoryID: model.UUID{8, 8}}
	fo := testOptions(vfs.OS())
	fo.Dir, fo.Identity, fo.Founders, fo.Join, fo.SnapshotBytes, fo.Send = tb.TempDir(), id, nil, true, 1<<40, pair.send(2)
	follower, err := open(tb, fo)
	if err != nil {
		tb.Fatal(err)
	}
	pair.add(2, follower.Quorum, id.DirectoryID)
	begin = time.Now()
	peak := sample()
	if _, err := leader.Propose(tb.Context(), []metadata.Record{(&Member{NodeID: 2, DirectoryID: id.DirectoryID, Learner: true}).record()}); err != nil {
		tb.Fatal(err)
	}
	for follower.Image().Offset < leader.Image().Offset || follower.Image().TopicCount() == 0 {
		s.pause = max(s.pause, propose())
		if time.Since(begin) > time.Minute {
			tb.Fatalf("the new member is at %d of %d", follower.Image().Offset, leader.Image().Offset)
		}
	}
	s.follow = time.Since(begin)
	s.peak = peak() - before
	same := func() {
		tb.Helper()
		for begin := time.Now(); follower.Image().Offset < leader.Image().Offset; {
			if time.Since(begin) > time.Minute {
				tb.Fatal("the follower stays behind")
			}
			runtime.Gosched()
		}
		if follower.Image().Fingerprint() != leader.Image().Fingerprint() {
			tb.Fatal("M3: the images differ")
		}
	}
	same()
	pair.remove(2)
	follower.stop()
	begin = time.Now()
	if follower, err = open(tb, fo); err != nil {
		tb.Fatal(err)
	}
	pair.add(2, follower.Quorum, id.DirectoryID)
	if err := follower.Ready(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	s.restart = time.Since(begin)
	same()
	follower.stop()
	leader.stop()
	return s
}

// TestMetadataAtSize: a snapshot and a new member hold nobody up, and a follower has the same after all. BenchmarkMetadataAtSize is the size itself.
func TestMetadataAtSize(t *testing.T) {
	s := measure(t, 10_000)
	t.Logf("%+v", s)
	// Far above what it takes, far below the time of an election.
	if most := 500 * time.Millisecond; s.pause > most {
		t.Errorf("a proposal took %v while a snapshot was made or sent", s.pause)
	}
}

// BenchmarkMetadataAtSize is 100,000 partitions.
func BenchmarkMetadataAtSize(b *testing.B) {
	for b.Loop() {
		s := measure(b, 100_000)
		for name, d := range map[string]time.Duration{
			"fill": s.fill, "snapshot": s.snapshot, "pause": s.pause, "quiet": s.quiet, "new-member": s.follow, "restart": s.restart,
		} {
			b.ReportMetric(float64(d.Microseconds())/1000, name+"-ms")
		}
		for name, n := range map[string]int64{"snapshot": s.file, "image": s.image, "peak-of-both": s.peak} {
			b.ReportMetric(float64(n)/(1<<20), name+"-MiB")
		}
	}
}

// pair carries messages between quorums of one process.
type pair struct {
	mu    sync.Mutex
	nodes map[model.BrokerID]*Quorum
	dirs  map[model.BrokerID]model.UUID
}

func (p *pair) add(id model.BrokerID, q *Quorum, dir model.UUID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodes[id] = q
	if p.dirs == nil {
		p.dirs = map[model.BrokerID]model.UUID{}
	}
	p.dirs[id] = dir
}

func (p *pair) remove(id model.BrokerID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.nodes, id)
}

func (p *pair) send(from model.BrokerID) func(model.BrokerID, [][]byte) {
	return func(to model.BrokerID, msgs [][]byte) {
		p.mu.Lock()
		q, dir := p.nodes[to], p.dirs[from]
		p.mu.Unlock()
		if q != nil {
			q.Receive(from, dir, msgs)
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// sample watches the heap until it is asked for the most it was.
func sample() func() int64 {
	stop, done := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, int64(m.HeapAlloc))
			select {
			case <-stop:
				done <- most
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-done
	}
}
