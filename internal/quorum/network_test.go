package quorum

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// world is some quorums in one process, on disks in memory and a network that loses, delays, doubles and cuts. All of it runs in a
// synctest bubble: time is simulated.
type world struct {
	t        *testing.T
	seed     uint64
	clusterQ []Member // the founders
	snapshot int64

	mu      sync.Mutex
	rng     *rand.Rand
	nodes   map[model.BrokerID]*member
	cut     map[[2]model.BrokerID]bool
	loss    float64
	sudden  float64                  // how likely a power failure is in the moment of sending
	leaders map[int32]model.BrokerID // by term
	prints  map[model.Offset]uint64  // fingerprints of images by offset
	acked   map[int]bool
	next    int
}

// member is one node: its disk outlives its processes.
type member struct {
	id  Identity
	fs  *vfs.Mem
	q   *Quorum
	run int // counts processes; what an older one sends or is told does not count
	// cut is what the disk holds since the power failed in the very moment of sending something; the process does not know it yet.
	cut *vfs.Mem
}

func newWorld(t *testing.T, seed uint64, founders int) *world {
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), nodes: map[model.BrokerID]*member{}, cut: map[[2]model.BrokerID]bool{},
		leaders: map[int32]model.BrokerID{}, prints: map[model.Offset]uint64{}, acked: map[int]bool{}, snapshot: 1 << 20,
	}
	for i := range founders {
		w.clusterQ = append(w.clusterQ, Member{NodeID: model.BrokerID(i + 1), DirectoryID: model.UUID{byte(i + 1), 1}})
	}
	for _, m := range w.clusterQ {
		w.add(m.NodeID, m.DirectoryID)
		w.start(m.NodeID, false)
	}
	return w
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d: %s", w.seed, fmt.Sprintf(format, args...))
}

func (w *world) add(id model.BrokerID, dir model.UUID) {
	fs := vfs.NewMem(w.seed + uint64(id))
	if err := errors.Join(fs.MkdirAll("/data", 0o700), fs.SyncDir("/")); err != nil {
		w.fatalf("%v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[id] = &member{id: Identity{ClusterID: "cluster", NodeID: id, DirectoryID: dir}, fs: fs}
}

func (w *world) start(id model.BrokerID, join bool) {
	w.t.Helper()
	w.mu.Lock()
	n := w.nodes[id]
	n.run++
	run := n.run
	w.mu.Unlock()
	o := testOptions(n.fs)
	o.Identity, o.Founders, o.Join, o.SnapshotBytes = n.id, w.clusterQ, join, w.snapshot
	o.Send = func(to model.BrokerID, msgs [][]byte) { w.send(n, run, to, msgs) }
	last := model.Offset(-1)
	o.Publish = func(img *metadata.Image, d *metadata.Delta) {
		if img.Offset < last || d.To != img.Offset || last >= 0 && d.From != last {
			w.t.Errorf("seed %d: node %d published %d (delta %d to %d) after %d", w.seed, id, img.Offset, d.From, d.To, last)
		}
		last = img.Offset
		print := img.Fingerprint()
		w.mu.Lock()
		defer w.mu.Unlock()
		if old, ok := w.prints[img.Offset]; ok && old != print {
			w.t.Errorf("seed %d: M3: node %d has another image at offset %d", w.seed, id, img.Offset)
		}
		w.prints[img.Offset] = print
	}
	q, err := Open(o)
	if err != nil {
		w.fatalf("node %d: %v", id, err)
	}
	q.Watch(func(term int32) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if old, ok := w.leaders[term]; ok && old != id {
			w.t.Errorf("seed %d: M2: nodes %d and %d lead in term %d", w.seed, old, id, term)
		}
		w.leaders[term] = id
	}, func() {})
	w.mu.Lock()
	n.q = q
	w.mu.Unlock()
}

// send is the network.
func (w *world) send(from *member, run int, to model.BrokerID, msgs [][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if from.run != run {
		return
	}
	if w.sudden > 0 && w.rng.Float64() < w.sudden {
		// What is sent has been promised: it must be on the disk already.
		from.run++
		from.cut = from.fs.CrashClone(w.rng)
	}
	copies := 1
	if w.rng.Float64() < w.loss {
		copies = w.rng.IntN(3) // none, one, or two
	}
	for range copies {
		delay := time.Duration(w.rng.IntN(3000)) * time.Microsecond
		if w.rng.Float64() < w.loss {
			delay *= 100
		}
		time.AfterFunc(delay, func() {
			w.mu.Lock()
			target := w.nodes[to]
			var q *Quorum
			if target != nil && !w.cut[[2]model.BrokerID{from.id.NodeID, to}] {
				q = target.q
			}
			w.mu.Unlock()
			if q != nil {
				q.Receive(from.id.NodeID, from.id.DirectoryID, msgs)
			}
		})
	}
}

// crash cuts the power of a node.
func (w *world) crash(id model.BrokerID) {
	w.mu.Lock()
	n := w.nodes[id]
	q := n.q
	n.q = nil
	n.run++ // from here on the old process is not heard
	switch {
	case n.cut != nil:
		n.fs, n.cut = n.cut, nil
	case q != nil:
		n.fs = n.fs.CrashClone(w.rng)
	}
	w.mu.Unlock()
	if q != nil {
		_ = q.Close() // of a process that is dead already
	}
}

func (w *world) stopAll() {
	for _, n := range w.nodes {
		if n.q != nil {
			if err := n.q.Close(); err != nil {
				w.t.Errorf("seed %d: %v", w.seed, err)
			}
		}
	}
}

// leader is a node that thinks it leads, or nil.
func (w *world) leader() *member {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(w.nodes)) {
		if n := w.nodes[id]; n.q != nil && n.cut == nil && n.q.Leads() {
			return n
		}
	}
	return nil
}

// await waits in simulated time.
func (w *world) await(what string, limit time.Duration, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.fatalf("%s: not within %v", what, limit)
		}
	}
}

// create proposes a topic to who leads; what is acknowledged must stay.
func (w *world) create() {
	n := w.leader()
	if n == nil {
		return
	}
	w.mu.Lock()
	i, run := w.next, n.run
	w.next++
	w.mu.Unlock()
	n.q.Append(topic(i), func(_ model.Offset, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil && n.run == run {
			w.acked[i] = true
		}
	})
}

// agree waits until every node has everything that was acknowledged.
func (w *world) agree() {
	w.t.Helper()
	var images map[model.BrokerID]*metadata.Image
	var acked map[int]bool
	w.await("agreement", time.Minute, func() bool {
		w.create()
		time.Sleep(100 * time.Millisecond)
		w.mu.Lock()
		defer w.mu.Unlock()
		offsets := map[model.Offset]bool{}
		images, acked = map[model.BrokerID]*metadata.Image{}, maps.Clone(w.acked)
		for id, n := range w.nodes {
			images[id] = n.q.Image()
			offsets[images[id].Offset] = true
		}
		return len(offsets) == 1
	})
	for id, img := range images {
		for i := range acked {
			if img.Topic(fmt.Sprintf("t%d", i)) == nil {
				w.fatalf("M1: topic %d was acknowledged and node %d does not have it", i, id)
			}
		}
	}
}

// TestThreeVotersUnderFaults: M1, M2, M3 while messages are lost, doubled, late and out of order, links are cut, and power fails.
func TestThreeVotersUnderFaults(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 8
	}
	acked := 0
	for range seeds {
		seed := rand.Uint64()
		synctest.Test(t, func(t *testing.T) { acked += faults(t, seed) })
	}
	if acked < 20*seeds {
		t.Errorf("%d acknowledged proposals in %d runs: too quiet to prove anything", acked, seeds)
	}
}

func faults(t *testing.T, seed uint64) int {
	w := newWorld(t, seed, 3)
	defer w.stopAll()
	w.mu.Lock()
	w.loss = w.rng.Float64() * 0.2
	w.snapshot = int64(500 + w.rng.IntN(20_000))
	w.sudden = 0.002
	w.mu.Unlock()
	for range 300 {
		w.mu.Lock()
		event, a, b := w.rng.IntN(40), model.BrokerID(1+w.rng.IntN(3)), model.BrokerID(1+w.rng.IntN(3))
		pause := time.Duration(w.rng.IntN(200)) * time.Millisecond
		switch event {
		case 0, 1:
			w.cut[[2]model.BrokerID{a, b}] = true // one way
		case 2:
			w.cut[[2]model.BrokerID{a, b}], w.cut[[2]model.BrokerID{b, a}] = true, true
		case 3, 4, 5:
			clear(w.cut)
		}
		up, dead := w.nodes[a].q != nil, w.nodes[a].cut != nil
		w.mu.Unlock()
		switch {
		case dead, event == 6 && up:
			w.crash(a)
		case event <= 12 && !up:
			w.start(a, false)
		case event == 13 && w.nodes[a].q != nil:
			w.nodes[a].q.Lost(b)
		default:
			w.create()
		}
		time.Sleep(pause)
	}
	w.mu.Lock()
	clear(w.cut)
	w.loss, w.sudden = 0, 0
	var dead []model.BrokerID
	for id, n := range w.nodes {
		if n.cut != nil {
			dead = append(dead, id)
		}
	}
	w.mu.Unlock()
	for _, id := range dead {
		w.crash(id)
	}
	for id, n := range w.nodes {
		if n.q == nil {
			w.start(id, false)
		}
	}
	w.agree()
	return len(w.acked)
}

// change proposes a membership change until it is done.
func (w *world) change(records ...metadata.Record) {
	w.t.Helper()
	w.await("membership change", 20*time.Second, func() bool {
		n := w.leader()
		if n == nil {
			return false
		}
		_, err := n.q.Propose(w.t.Context(), records)
		if err != nil && !errors.Is(err, ErrChanging) && !errors.Is(err, ErrNotLeader) {
			w.fatalf("%v", err)
		}
		return err == nil
	})
}

// TestGrowingFromOneToThree: learners get a snapshot, follow, and become voters; then the first may die.
func TestGrowingFromOneToThree(t *testing.T) {
	seed := rand.Uint64()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, 1)
		defer w.stopAll()
		w.await("leader", time.Second, func() bool { return w.leader() != nil })
		for range 50 {
			w.create()
		}
		var joined []Member
		for id := model.BrokerID(2); id <= 3; id++ {
			m := Member{NodeID: id, DirectoryID: model.UUID{byte(id), 1}, Learner: true}
			w.add(id, m.DirectoryID)
			w.start(id, true)
			w.change(m.record())
			w.await("learner is ready", 2*time.Second, func() bool {
				ctx, cancel := contextOf(t, time.Millisecond)
				defer cancel()
				return w.nodes[id].q.Ready(ctx) == nil
			})
			m.Learner = false
			joined = append(joined, m)
		}
		w.change(joined[0].record(), joined[1].record())
		w.agree()
		for _, n := range w.nodes {
			if s := n.q.Status(); len(s.Voters) != 3 || len(s.Learners) != 0 || s.Leader != 1 {
				w.fatalf("status on node %d: %+v", n.id.NodeID, s)
			}
		}
		w.crash(1)
		begin := time.Now()
		w.nodes[2].q.Lost(1)
		w.nodes[3].q.Lost(1)
		w.await("another leader", 500*time.Millisecond, func() bool { return w.leader() != nil })
		t.Logf("another leader after %v", time.Since(begin))
		w.start(1, false)
		w.agree()

		w.leader().q.Transfer(t.Context())
		w.agree()

		// The voter that lost its disk is nobody: it neither votes nor counts.
		w.crash(3)
		w.crash(1)
		w.add(3, model.UUID{3, 9})
		w.start(3, true)
		time.Sleep(10 * time.Second)
		if n := w.leader(); n != nil {
			w.fatalf("M6: node %d leads with one voter of three and a wiped one", n.id.NodeID)
		}
		w.start(1, false)
		w.await("two of three", 10*time.Second, func() bool { return w.leader() != nil })
		again := Member{NodeID: 3, DirectoryID: model.UUID{3, 9}, Learner: true}
		w.change(&metadata.RemoveVoter{NodeID: 3, DirectoryID: model.UUID{3, 1}})
		w.change(again.record())
		w.agree()
	})
}

// TestLearnerSurvivesPowerCutsWhileItInstallsSnapshots: the log it comes back to is the old one or the new one, and never a mixture.
func TestLearnerSurvivesPowerCutsWhileItInstallsSnapshots(t *testing.T) {
	for range 5 {
		seed := rand.Uint64()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed, 1)
			defer w.stopAll()
			w.snapshot = 1000
			w.await("leader", time.Second, func() bool { return w.leader() != nil })
			m := Member{NodeID: 2, DirectoryID: model.UUID{2, 1}, Learner: true}
			w.add(2, m.DirectoryID)
			w.start(2, true)
			w.change(m.record())
			for range 3 {
				for range 1100 { // more than the leader keeps in memory
					w.create()
				}
				w.mu.Lock()
				pause := time.Duration(w.rng.IntN(300)) * time.Millisecond
				w.mu.Unlock()
				time.Sleep(pause)
				w.crash(2)
				for range 200 {
					w.create()
				}
				w.start(2, true)
			}
			w.agree()
		})
	}
}

// TestRestartBehindAMembershipChange: a lone voter stands again although its log ends with a change that it has to apply first.
func TestRestartBehindAMembershipChange(t *testing.T) {
	fs := vfs.NewMem(1)
	o := testOptions(fs)
	n := start(t, o)
	moved := o.Founders[0]
	moved.Endpoints = []metadata.Endpoint{{Name: "NODE", Host: "elsewhere", Port: 1}}
	for range 2 {
		if _, err := n.Propose(t.Context(), []metadata.Record{moved.record()}); err != nil {
			t.Fatal(err)
		}
		n.stop()
		n = start(t, o)
	}
	if got := n.Members(); len(got) != 1 || got[0].Endpoints[0].Host != "elsewhere" {
		t.Errorf("members %+v", got)
	}
	n.stop()
}

func contextOf(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// TestFollowersLearnThatTheyDoNotDecide: what waits for a first election is refused when somebody else has won it; it would wait for ever.
func TestFollowersLearnThatTheyDoNotDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3)
		defer w.stopAll()
		told := map[model.BrokerID]chan struct{}{}
		for id := range w.nodes {
			c := make(chan struct{}, 100)
			told[id] = c
			w.nodes[id].q.Watch(func(int32) {}, func() { c <- struct{}{} })
		}
		w.await("two are told that another one leads", 10*time.Second, func() bool {
			followers := 0
			for id, n := range w.nodes {
				if !n.q.Leads() && len(told[id]) > 0 {
					followers++
				}
			}
			return w.leader() != nil && followers == 2
		})
	})
}

// TestFirstFounderStandsUntilItIsHeard: the founder that is first to form the cluster stands before the others have any metadata, and they cannot
// stand themselves. It took the term it began with for news, and stood only once: for the next election everybody waited up to two seconds.
func TestFirstFounderStandsUntilItIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		defer w.stopAll()
		for id := model.BrokerID(1); id <= 3; id++ {
			w.clusterQ = append(w.clusterQ, Member{NodeID: id, DirectoryID: model.UUID{byte(id), 1}})
			w.add(id, w.clusterQ[id-1].DirectoryID)
		}
		w.start(1, false)
		time.Sleep(60 * time.Millisecond) // of the bubble: the first asks for votes while the others are not there
		w.start(2, true)
		w.start(3, true)
		w.await("a leader", 150*time.Millisecond, func() bool { return w.leader() != nil })
		w.agree()
	})
}

// TestOldReasonsToStandAreForgotten: a voter that has just started was still to stand, at the time of its rank, when a leader had been found long ago.
// When that one died at the wrong moment, both others stood at once, and the split vote cost two seconds.
func TestOldReasonsToStandAreForgotten(t *testing.T) {
	for seed := range uint64(20) { // who hears whom first is chance
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed, 3)
			defer w.stopAll()
			w.await("a leader", time.Second, func() bool { return w.leader() == w.nodes[1] })
			w.crash(3)
			w.start(3, false)
			time.Sleep(450 * time.Millisecond) // of the bubble: when the second of the others stands, the third would have
			w.crash(1)
			w.nodes[2].q.Lost(1)
			w.nodes[3].q.Lost(1)
			w.await("another leader", 300*time.Millisecond, func() bool { return w.leader() != nil })
			w.start(1, false)
			w.agree()
		})
	}
}
