package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/test/process"
)

const (
	groupTopic      = "shared"
	groupName       = "under-kills"
	groupPartitions = 6
)

// TestGroupThroughKills lets consumers share a topic, come and go, while the broker, which is their coordinator, is killed again and
// again. An acknowledged commit is never lost and no partition goes back (G1), nobody takes a partition from a member that still holds it
// (G3), static members find their way back (G4), and in the end everything is read and committed (G5).
func TestGroupThroughKills(t *testing.T) {
	kills := 6
	if v := os.Getenv("CHAOS_KILLS"); v != "" {
		var err error
		if kills, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		kills = 2
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d kills", seed, kills)
	rng := rand.New(rand.NewPCG(seed, 2))

	dir := t.TempDir()
	args := []string{"-X", "group.initial.rebalance.delay.ms=0", "-X", "group.min.session.timeout.ms=1000"}
	node := process.Start(t, dir, "", args...)
	addr := node.Kafka
	makeTopic(t, addr, groupTopic, groupPartitions)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()

	load := startProducers(ctx, t, addr, groupTopic, 2)
	w := &watch{t: t, addr: addr}
	w.mu.owners, w.mu.commits = map[int32]string{}, map[int32]int64{}
	var members [4]*groupMember
	for i := range members {
		members[i] = w.join(ctx, i)
	}
	for i := range kills {
		load.awaitProgress(ctx, t, 50)
		if rng.IntN(3) == 0 {
			m := rng.IntN(len(members))
			members[m].stop()
			members[m] = w.join(ctx, m)
		}
		pause := time.NewTimer(time.Duration(rng.IntN(1500)) * time.Millisecond)
		<-pause.C
		node.Kill()
		var err error
		if node, err = process.TryStart(process.Binary(t), dir, addr, args...); err != nil {
			t.Fatalf("restart after kill %d: %v", i+1, err)
		}
		w.checkCommits(ctx)
	}
	defer node.Kill()
	acks, _ := load.stop(t)
	w.awaitEnd(ctx, acks)
	for _, m := range members {
		m.stop()
	}
	t.Logf("%d records through %d kills, %d commits acknowledged", len(acks), kills, w.acknowledged())
}

// watch knows who holds which partition, as the members see it, and what was committed.
type watch struct {
	t    *testing.T
	addr string
	mu   struct {
		sync.Mutex
		owners  map[int32]string
		commits map[int32]int64 // highest acknowledged
		count   int
		lives   int
	}
}

// groupMember is one consumer of the group; every second one is a static member.
type groupMember struct {
	w      *watch
	name   string
	cl     *kgo.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func (w *watch) join(ctx context.Context, i int) *groupMember {
	w.t.Helper()
	m := &groupMember{w: w, name: fmt.Sprint("static-", i)}
	opts := []kgo.Opt{
		kgo.SeedBrokers(w.addr), kgo.ConsumerGroup(groupName), kgo.ConsumeTopics(groupTopic), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(4 * time.Second), kgo.HeartbeatInterval(200 * time.Millisecond), kgo.RebalanceTimeout(5 * time.Second),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.MetadataMinAge(50 * time.Millisecond), kgo.FetchMaxWait(200 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, a map[string][]int32) { w.assigned(m.name, a[groupTopic]) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, a map[string][]int32) { w.released(m.name, a[groupTopic]) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, a map[string][]int32) { w.released(m.name, a[groupTopic]) }),
	}
	if i%2 == 0 {
		opts = append(opts, kgo.InstanceID(m.name))
	} else {
		w.mu.Lock()
		w.mu.lives++
		m.name = fmt.Sprint("dynamic-", w.mu.lives)
		w.mu.Unlock()
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	m.cl = cl
	ctx, m.cancel = context.WithCancel(ctx)
	m.wg.Go(func() { m.consume(ctx) })
	return m
}

// consume polls and commits what it polled, a little at a time.
func (m *groupMember) consume(ctx context.Context) {
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		f := m.cl.PollRecords(poll, 500)
		cancel()
		ends := map[int32]int64{}
		f.EachRecord(func(r *kgo.Record) { ends[r.Partition] = r.Offset + 1 })
		if len(ends) > 0 {
			commit, cancel := context.WithTimeout(ctx, 2*time.Second)
			if m.cl.CommitUncommittedOffsets(commit) == nil {
				m.w.committed(m.name, ends)
			}
			cancel()
		}
		m.cl.AllowRebalance()
	}
}

// stop ends the member: a dynamic one leaves the group, a static one keeps its place there.
func (m *groupMember) stop() {
	m.cancel()
	m.wg.Wait()
	m.cl.CloseAllowingRebalance()
	m.w.releasedAll(m.name)
}

func (w *watch) assigned(name string, parts []int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range parts {
		if o, held := w.mu.owners[p]; held && o != name {
			w.t.Errorf("G3: partition %d goes to %s while %s holds it", p, name, o)
		}
		w.mu.owners[p] = name
	}
}

func (w *watch) released(name string, parts []int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range parts {
		if w.mu.owners[p] == name {
			delete(w.mu.owners, p)
		}
	}
}

func (w *watch) releasedAll(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, o := range w.mu.owners {
		if o == name {
			delete(w.mu.owners, p)
		}
	}
}

func (w *watch) committed(name string, ends map[int32]int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.count++
	for p, end := range ends {
		if end < w.mu.commits[p] {
			w.t.Errorf("G1: %s committed partition %d at %d after %d", name, p, end, w.mu.commits[p])
		}
		w.mu.commits[p] = end
	}
}

func (w *watch) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.count
}

// offsets asks the coordinator.
func (w *watch) offsets(ctx context.Context) map[int32]int64 {
	w.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.addr))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	resp, err := kadm.NewClient(cl).FetchOffsets(ctx, groupName)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[int32]int64{}
	resp.Each(func(o kadm.OffsetResponse) { out[o.Partition] = o.At })
	return out
}

// checkCommits compares the coordinator's offsets with the acknowledged ones. It asks after it has noted them: they may have grown.
func (w *watch) checkCommits(ctx context.Context) {
	w.t.Helper()
	w.mu.Lock()
	want := map[int32]int64{}
	for p, end := range w.mu.commits {
		want[p] = end
	}
	w.mu.Unlock()
	got := w.offsets(ctx)
	for p, end := range want {
		if got[p] < end {
			w.t.Errorf("G1: partition %d is at %d, acknowledged was %d", p, got[p], end)
		}
	}
}

// awaitEnd waits until everything acknowledged to the producers has been read and committed.
func (w *watch) awaitEnd(ctx context.Context, acks []ack) {
	w.t.Helper()
	end := map[int32]int64{}
	for _, a := range acks {
		end[a.partition] = max(end[a.partition], a.offset+1)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		got, behind := w.offsets(ctx), 0
		for p, e := range end {
			if got[p] < e {
				behind++
			}
		}
		if behind == 0 && len(end) > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatalf("G5: committed %v, produced up to %v", got, end)
		}
	}
}
