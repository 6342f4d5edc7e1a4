package quorum

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testDir = "/data/metadata"

// node is one quorum under test and what it published.
type node struct {
	*Quorum
	t        testing.TB
	mu       sync.Mutex
	deltas   []*metadata.Delta
	failures []error
}

func testOptions(fs vfs.FS) Options {
	return Options{
		FS: fs, Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler), Dir: testDir,
		Identity: Identity{ClusterID: "cluster", NodeID: 1, DirectoryID: model.UUID{7, 7}}, ReserveBytes: -1,
		Founders: []Member{{NodeID: 1, DirectoryID: model.UUID{7, 7}, Endpoints: []metadata.Endpoint{{Name: "CONTROLLER", Host: "h", Port: 9093}}}},
	}
}

func open(t testing.TB, o Options) (*node, error) {
	t.Helper()
	n := &node{t: t}
	o.Publish = func(_ *metadata.Image, d *metadata.Delta) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.deltas = append(n.deltas, d)
	}
	o.Failed = func(err error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.failures = append(n.failures, err)
	}
	q, err := Open(o)
	if err != nil {
		return nil, err
	}
	n.Quorum = q
	return n, nil
}

func start(t testing.TB, o Options) *node {
	t.Helper()
	n, err := open(t, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) stop() {
	n.t.Helper()
	if err := n.Close(); err != nil {
		n.t.Fatal(err)
	}
}

// topic is the record of one topic, named and numbered by i.
func topic(i int) []metadata.Record {
	id := model.UUID{1: byte(i), 2: byte(i >> 8), 15: 1}
	return []metadata.Record{
		&metadata.TopicRecord{Name: fmt.Sprintf("t%d", i), TopicID: id},
		&metadata.PartitionRecord{TopicID: id, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1},
	}
}

func (n *node) create(i int) {
	n.t.Helper()
	if _, err := n.Propose(n.t.Context(), topic(i)); err != nil {
		n.t.Fatalf("topic %d: %v", i, err)
	}
}

func TestLoneVoterLeadsAtOnceAndRemembers(t *testing.T) {
	fs := vfs.NewMem(1)
	begin := time.Now()
	n := start(t, testOptions(fs))
	t.Logf("ready after %v", time.Since(begin))
	if v := n.Image().Voters(); len(v) != 1 || v[0].NodeID != 1 || v[0].Endpoints[0].Port != 9093 {
		t.Fatalf("voters %+v", v)
	}
	if n.Image().FeatureLevel(metadata.MetadataVersion) != 30 {
		t.Fatal("features are not there")
	}
	at, err := n.Propose(t.Context(), topic(1))
	if err != nil || n.Image().Topic("t1") == nil || n.Image().Offset < at {
		t.Fatalf("offset %d, image at %d, %v", at, n.Image().Offset, err)
	}
	if s := n.Status(); s.Leader != 1 || len(s.Voters) != 1 || s.Commit != s.End || s.Term < 1 {
		t.Fatalf("status %+v", s)
	}
	term := n.Status().Term
	n.stop()
	if _, err := n.Propose(t.Context(), topic(2)); !errors.Is(err, ErrClosed) {
		t.Fatalf("proposal after close: %v", err)
	}

	n = start(t, testOptions(fs))
	defer n.stop()
	if n.Image().Topic("t1") == nil || n.Image().Topic("t2") != nil {
		t.Fatal("topics are not as before")
	}
	if got := n.Status().Term; got <= term {
		t.Fatalf("term %d after %d", got, term)
	}
	if first := n.deltas[0]; first.From != 0 || len(first.Topics) != 1 {
		t.Fatalf("the first delta begins at %d with %d topics", first.From, len(first.Topics))
	}
}

func TestConcurrentProposalsShareASync(t *testing.T) {
	fs := vfs.NewFaulty(vfs.NewMem(1))
	n := start(t, testOptions(fs))
	defer n.stop()
	hold := make(chan struct{})
	fs.Inject(vfs.Fault{Ops: vfs.OpSync, Times: 1, Hold: hold})
	before := fs.Calls(vfs.OpSync)
	const count = 200
	var wg sync.WaitGroup
	for i := range count {
		wg.Add(1)
		n.Append(topic(i), func(_ model.Offset, err error) {
			if err != nil {
				t.Error(err)
			}
			wg.Done()
		})
	}
	close(hold)
	wg.Wait()
	if syncs := fs.Calls(vfs.OpSync) - before; syncs > 5 {
		t.Errorf("%d syncs for %d proposals made at once", syncs, count)
	}
	if n.Image().TopicCount() != count {
		t.Errorf("%d topics", n.Image().TopicCount())
	}
}

func TestAnswersComeInOrderAndAfterPublish(t *testing.T) {
	fs := vfs.NewMem(1)
	n := start(t, testOptions(fs))
	defer n.stop()
	var got []model.Offset
	last := make(chan struct{})
	for i := range 50 {
		n.Append(topic(i), func(at model.Offset, err error) {
			if err != nil || n.Image().Topic(fmt.Sprintf("t%d", i)) == nil {
				t.Errorf("topic %d answered (%v) before it was published", i, err)
			}
			if got = append(got, at); len(got) == 50 {
				close(last)
			}
		})
	}
	<-last
	if !slices.IsSorted(got) || got[0] == got[49] {
		t.Errorf("offsets %v", got)
	}
}

func TestWatchTellsOfLeadership(t *testing.T) {
	n := start(t, testOptions(vfs.NewMem(1)))
	events := make(chan string, 4)
	n.Watch(func(term int32) { events <- fmt.Sprint("lead ", term) }, func() { events <- "resign" })
	if e := <-events; e != fmt.Sprint("lead ", n.Status().Term) {
		t.Fatal(e)
	}
	n.stop()
	if e := <-events; e != "resign" {
		t.Fatal(e)
	}
}

// TestM1M2PowerCutsForgetNothingAcknowledged cuts the power at random moments under load, again and again on what the cut before left.
func TestM1M2PowerCutsForgetNothingAcknowledged(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	for range seeds {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) { powerCuts(t, seed) })
	}
}

func powerCuts(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	fs := vfs.NewMem(seed)
	if err := errors.Join(fs.MkdirAll("/data", 0o700), fs.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	acked := map[int]bool{}
	next := 0
	for range 6 {
		o := testOptions(fs)
		o.SnapshotBytes = int64(200 + rng.IntN(4000))
		n, err := open(t, o)
		if err != nil {
			t.Fatalf("open after a cut: %v", err)
		}
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range acked {
			if n.Image().Topic(fmt.Sprintf("t%d", i)) == nil {
				t.Fatalf("topic %d was acknowledged and is gone", i)
			}
		}
		var mu sync.Mutex
		cut := make(chan struct{})
		after := rng.IntN(60)
		answered, cutDone := 0, false
		var wg sync.WaitGroup
		for range 60 {
			i := next
			next++
			wg.Add(1)
			n.Append(topic(i), func(_ model.Offset, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err == nil && !cutDone {
					acked[i] = true
				}
				if answered++; answered == after+1 {
					close(cut)
				}
				wg.Done()
			})
			if rng.IntN(4) == 0 {
				time.Sleep(time.Duration(rng.IntN(50)) * time.Microsecond) // lets batches differ in size, orders nothing
			}
		}
		<-cut
		mu.Lock()
		after2 := fs.CrashClone(rng) // what was acknowledged up to here must be in it
		cutDone = true
		mu.Unlock()
		wg.Wait()
		n.stop()
		fs = after2
	}
}

func TestSnapshotCutsTheLog(t *testing.T) {
	fs := vfs.NewMem(1)
	o := testOptions(fs)
	o.SnapshotBytes = 2000
	n := start(t, o)
	for i := range 300 {
		n.create(i)
	}
	// The keeper cuts when it comes to it; on a busy machine that is after all of them.
	for cut, begin := false, time.Now(); !cut && time.Since(begin) < 10*time.Second; {
		seen := make(chan bool)
		n.drive.call(func() { seen <- n.drive.store.base > 50 })
		cut = <-seen
	}
	n.stop()
	snapshots, err := listSnapshots(fs, testDir)
	if err != nil || len(snapshots) == 0 || snapshots[0] < 50 {
		t.Fatalf("snapshots %v, %v", snapshots, err)
	}
	log, content, err := openLog(fs, testDir)
	if err != nil {
		t.Fatal(err)
	}
	_ = log.close()
	if content.base.Index <= firstIndex || len(content.entries) > 250 {
		t.Fatalf("log begins at %d and holds %d entries", content.base.Index, len(content.entries))
	}
	n = start(t, o)
	defer n.stop()
	if n.Image().TopicCount() != 300 {
		t.Fatalf("%d topics", n.Image().TopicCount())
	}
}

// damage opens the closed log's bytes, lets change edit them, and says how opening goes.
func damage(t *testing.T, change func(b []byte, end int64) []byte) error {
	t.Helper()
	fs := vfs.NewMem(1)
	n := start(t, testOptions(fs))
	for i := range 20 {
		n.create(i)
	}
	end := n.drive.store.log.end // the driver rests: every proposal is answered
	n.stop()
	b, err := vfs.ReadFile(fs, testDir+"/"+logName, maxLogSize)
	if err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(fs, testDir+"/"+logName, change(b, end), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err = open(t, testOptions(fs))
	if err != nil {
		return err
	}
	defer n.stop()
	if err := n.Ready(t.Context()); err != nil {
		return err
	}
	if got := n.Image().TopicCount(); got != 20 {
		return fmt.Errorf("%d topics", got)
	}
	return nil
}

func TestDamageIsToldFromATornTail(t *testing.T) {
	flip := func(at func(end int64) int64) func([]byte, int64) []byte {
		return func(b []byte, end int64) []byte {
			b[at(end)] ^= 1
			return b
		}
	}
	for _, c := range []struct {
		name   string
		change func(b []byte, end int64) []byte
		want   error
	}{
		{"untouched", func(b []byte, _ int64) []byte { return b }, nil},
		{"garbage behind the end", func(b []byte, _ int64) []byte { return append(b, "half a frame"...) }, nil},
		{"zeros cut off", func(b []byte, end int64) []byte { return b[:end+100] }, nil},
		{"flip in the middle", flip(func(end int64) int64 { return sectorSize + (end-sectorSize)/2 }), ErrCorrupt},
		{"flip in the last entry", flip(func(end int64) int64 { return end - 60 }), ErrCorrupt}, // the frame written at close says so
		{"flip in the header", flip(func(int64) int64 { return 20 }), ErrCorrupt},
		{"empty file", func([]byte, int64) []byte { return nil }, ErrCorrupt},
	} {
		if err := damage(t, c.change); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestMissingOrDamagedFilesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(fs vfs.FS, newest string) error
	}{
		{"log removed", func(fs vfs.FS, _ string) error { return fs.Remove(testDir + "/" + logName) }},
		{"snapshot removed", func(fs vfs.FS, newest string) error { return fs.Remove(newest) }},
		{"snapshot flipped", func(fs vfs.FS, newest string) error {
			b, err := vfs.ReadFile(fs, newest, maxSnapshotSize)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 4
			return vfs.WriteFile(fs, newest, b, 0o600)
		}},
	} {
		fs := vfs.NewMem(1)
		o := testOptions(fs)
		o.SnapshotBytes = 2000
		n := start(t, o)
		for i := range 200 {
			n.create(i)
		}
		n.stop()
		snapshots, err := listSnapshots(fs, testDir)
		if err != nil {
			t.Fatal(err)
		}
		for _, index := range snapshots { // a crash may have left two of them
			if err := c.harm(fs, testDir+"/"+snapshotName(index)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
				t.Fatal(err)
			}
		}
		if _, err := open(t, o); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestMissingLogOfANodeWithPartitionsIsNoNewCluster(t *testing.T) {
	o := testOptions(vfs.NewMem(1))
	o.MustExist = true
	if _, err := open(t, o); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("formed a new cluster: %v", err)
	}
	o.MustExist = false
	start(t, o).stop()
	o.MustExist = true
	start(t, o).stop()
}

func TestM6AnotherIdentityIsRefused(t *testing.T) {
	fs := vfs.NewMem(1)
	start(t, testOptions(fs)).stop()
	for _, change := range []func(*Identity){
		func(id *Identity) { id.NodeID = 2 },
		func(id *Identity) { id.ClusterID = "other" },
		func(id *Identity) { id.DirectoryID = model.UUID{8} },
	} {
		o := testOptions(fs)
		change(&o.Identity)
		if _, err := open(t, o); !errors.Is(err, ErrWrongDirectory) {
			t.Errorf("%+v: %v", o.Identity, err)
		}
	}
	wiped := Identity{DirectoryID: model.UUID{9, 9}}
	if wiped.voterID() == testOptions(fs).Identity.voterID() {
		t.Error("a wiped directory votes under the old identity")
	}
}

func TestFullDiskUsesTheReserveAndRecovers(t *testing.T) {
	mem := vfs.NewMem(1)
	o := testOptions(mem)
	o.ReserveBytes = 1 << 20
	o.SnapshotBytes = 1 << 30
	n := start(t, o)
	for !n.keep.reserve.held.Load() {
		time.Sleep(time.Millisecond) // waits for another goroutine's file, whatever it takes
	}
	mem.SetCapacity(1<<20 + 300<<10)
	var failed error
	created := 0
	// The batch that meets the full disk waits for room; those behind it are refused. A slow machine lets others wait, too.
	for i := 0; (failed == nil || errors.Is(failed, context.DeadlineExceeded)) && i < 20000; i++ {
		if _, failed = n.proposeSoon(topic(i)); failed == nil {
			created++
		}
	}
	if !errors.Is(failed, ErrNoSpace) {
		t.Fatalf("%d created, then %v", created, failed)
	}
	if n.keep.reserve.held.Load() {
		t.Fatal("the reserve was not used")
	}
	if _, err := n.proposeSoon(topic(30000)); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("on a full disk: %v", err)
	}
	mem.SetCapacity(0)
	for {
		if _, err := n.proposeSoon(topic(30001)); err == nil {
			break
		}
	}
	n.stop()
	n = start(t, o)
	defer n.stop()
	if got := n.Image().TopicCount(); got < created+1 {
		t.Fatalf("%d topics, %d were acknowledged", got, created+1)
	}
}

func (n *node) proposeSoon(r []metadata.Record) (model.Offset, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), 100*time.Millisecond)
	defer cancel()
	return n.Propose(ctx, r)
}

func TestFailedSyncStopsEverything(t *testing.T) {
	mem := vfs.NewMem(1)
	fs := vfs.NewFaulty(mem)
	n := start(t, testOptions(fs))
	n.create(1)
	fs.Inject(vfs.Fault{Ops: vfs.OpSync, Times: 1, Err: errors.New("EIO")})
	if _, err := n.Propose(t.Context(), topic(2)); !errors.Is(err, ErrFailed) {
		t.Fatalf("failed sync: %v", err)
	}
	if _, err := n.Propose(t.Context(), topic(3)); !errors.Is(err, ErrFailed) {
		t.Fatalf("after a failed sync: %v", err)
	}
	<-n.drive.ended
	n.mu.Lock()
	if len(n.failures) != 1 || !errors.Is(n.failures[0], ErrFailed) {
		t.Errorf("failures %v", n.failures)
	}
	n.mu.Unlock()
	_ = n.Close()
	n = start(t, testOptions(mem))
	defer n.stop()
	if n.Image().Topic("t1") == nil || n.Image().Topic("t3") != nil {
		t.Error("topics are not as acknowledged")
	}
}

func TestUnreadableRecordStopsTheNode(t *testing.T) {
	fs := vfs.NewMem(1)
	n := start(t, testOptions(fs))
	if _, err := n.Propose(t.Context(), []metadata.Record{&metadata.RemoveTopic{TopicID: model.UUID{9}}}); !errors.Is(err, metadata.ErrReplay) {
		t.Fatalf("a record that does not fit: %v", err)
	}
	<-n.drive.ended
	_ = n.Close()
	n, err := open(t, testOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(t.Context()); !errors.Is(err, metadata.ErrReplay) {
		t.Fatalf("started over it: %v", err)
	}
	_ = n.Close()
}

func FuzzOpenLog(f *testing.F) {
	fs := vfs.NewMem(1)
	l, err := createLog(fs, "/", logBase{Identity{ClusterID: "c", NodeID: 1, DirectoryID: model.UUID{1}}, 1, 1}, func(*logFile) {})
	if err != nil {
		f.Fatal(err)
	}
	_ = l.close()
	b, err := vfs.ReadFile(fs, "/"+logName, maxLogSize)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:2048])
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := vfs.NewMem(1)
		if err := vfs.WriteFile(fs, "/"+logName, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, _, err := openLog(fs, "/")
		if err != nil {
			return
		}
		if l.end > l.size || l.end < sectorSize {
			t.Fatalf("end %d of %d", l.end, l.size)
		}
		_ = l.close()
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	img, _, err := metadata.Empty("c").Apply(1, append(metadata.BootstrapRecords(), topic(1)...))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encodeSnapshot(snapshotHead{Index: 1, Term: 1, ClusterID: "c"}, img))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = decodeSnapshot(b, metadata.NewReplay(metadata.Empty("c")))
	})
}

// BenchmarkOpen10000Partitions is the start of a node whose log is about to be snapshotted: 4 MiB of changes over 10,000 partitions.
func BenchmarkOpen10000Partitions(b *testing.B) {
	o := testOptions(vfs.OS())
	o.Dir = b.TempDir()
	o.SnapshotBytes = 1 << 40
	n := start(b, o)
	for i := range 10_000 {
		n.Append(topic(i), func(model.Offset, error) {})
	}
	n.create(20_000)
	for n.drive.store.log.end < defaultSnapshotBytes {
		var changes []metadata.Record
		for t := range n.Image().Topics() {
			c := metadata.NewPartitionChange()
			c.TopicID, c.Leader = t.ID, 1
			changes = append(changes, &c)
		}
		if _, err := n.Propose(b.Context(), changes); err != nil {
			b.Fatal(err)
		}
	}
	n.stop()
	for b.Loop() {
		n := start(b, o)
		if n.Image().TopicCount() != 10_001 {
			b.Fatal("topics are missing")
		}
		n.stop()
	}
}

func BenchmarkPropose(b *testing.B) {
	o := testOptions(vfs.OS())
	o.Dir = b.TempDir()
	n := start(b, o)
	defer n.stop()
	c := metadata.NewPartitionChange()
	n.create(1)
	c.TopicID, c.Leader = n.Image().Topic("t1").ID, 1
	for b.Loop() {
		if _, err := n.Propose(b.Context(), []metadata.Record{&c}); err != nil {
			b.Fatal(err)
		}
	}
}
