package cluster

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// nemesis breaks things for a while. Each fault ends by itself; several may be at work at once.
type nemesis struct {
	s      *Sim
	faults []fault
	wg     sync.WaitGroup
	stop   chan struct{}
	client *kgo.Client
	admin  *kadm.Client
	// lossy is the one machine whose disk may lose what it has confirmed: the others are the good copy that makes the check fair.
	lossy *machine
}

// fault is something that can be done to the cluster.
type fault struct {
	name string
	run  func(n *nemesis)
}

// faults by name. A seed leaves some of them out, so that the others get further (swarm testing).
func faults() []fault {
	return []fault{
		{"kill", func(n *nemesis) { n.down("kill", kill, n.some()) }},
		{"power", func(n *nemesis) { n.down("power", powerCut, n.some()) }},
		{"blackout", func(n *nemesis) { n.down("power", powerCut, n.s.machines) }},
		{"killall", func(n *nemesis) { n.down("kill", kill, n.s.machines) }},
		{"term", (*nemesis).term},
		{"rolling", (*nemesis).rolling},
		{"pause", (*nemesis).pause},
		{"isolate", (*nemesis).isolate},
		{"oneway", (*nemesis).oneWay},
		{"split", (*nemesis).split},
		{"reset", (*nemesis).reset},
		{"slownet", (*nemesis).slowNet},
		{"slowdisk", (*nemesis).slowDisk},
		{"fsync", (*nemesis).failSync},
		{"full", (*nemesis).fillDisk},
		{"wipe", (*nemesis).wipe},
		{"clock", (*nemesis).clock},
		{"elect", (*nemesis).elect},
		{"move", (*nemesis).move},
	}
}

// combined are faults that lead to a certain state, which the others seldom reach by chance. Half of the seeds have none of them.
func combined() []fault {
	return []fault{
		{"lastone", (*nemesis).lastOne},
		{"lostsync", (*nemesis).loseSync},
		{"strand", (*nemesis).strand},
		{"late", (*nemesis).late},
	}
}

func newNemesis(s *Sim, client *kgo.Client) *nemesis {
	n := &nemesis{s: s, stop: make(chan struct{}), client: client, admin: kadm.NewClient(client)}
	for _, f := range faults() {
		out := s.draw()%3 == 0
		if s.opts.topic["min.insync.replicas"] == "1" && (f.name == "wipe" || f.name == "fsync") {
			out = true // what one replica alone was asked to keep is on no other disk
		}
		if !out && !slices.Contains(s.opts.Without, f.name) {
			n.faults = append(n.faults, f)
		}
	}
	n.combine()
	n.lossy = s.machines[s.draw()%uint64(len(s.machines))]
	return n
}

// combine adds combined faults, more than once, so that they are met. They are drawn from a generator of their own: seeds without them stay
// as they are. A topic that does not wait for disks is there for what a late word about a follower does.
func (n *nemesis) combine() {
	rng := rand.New(rand.NewPCG(n.s.opts.Seed, 6))
	some := rng.IntN(2) == 0
	for _, f := range combined() {
		times := 0
		if in := rng.IntN(2) == 0; some && in {
			times = 2
		}
		if f.name == "late" && n.s.opts.pageCache {
			times = 4
		}
		if !slices.Contains(n.s.opts.Without, f.name) {
			n.faults = append(n.faults, slices.Repeat([]fault{f}, times)...)
		}
	}
}

// torment breaks things until the time is over, and returns when nothing is broken by it any more.
func (n *nemesis) torment() {
	time.AfterFunc(n.s.opts.Chaos, func() { close(n.stop) })
	var names []string
	for _, f := range n.faults {
		names = append(names, f.name)
	}
	n.s.trace("faults: %s; lossy disk: %s; page cache %v", strings.Join(slices.Compact(names), " "), n.lossy.name, n.s.opts.pageCache)
	for len(n.faults) > 0 && n.rest(n.between(200*time.Millisecond, 4*time.Second)) {
		f := n.faults[n.s.draw()%uint64(len(n.faults))]
		n.s.sometimes("fault: " + f.name)
		n.wg.Go(func() { f.run(n) })
	}
	<-n.stop
	n.wg.Wait()
}

func (n *nemesis) between(least, most time.Duration) time.Duration {
	return time.Duration(n.s.drawInt64(int64(least), int64(most)))
}

// rest waits, and reports false when the chaos is over.
func (n *nemesis) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-n.stop:
		return false
	case <-n.s.failed():
		return false
	}
}

func (n *nemesis) one() *machine { return n.s.machines[n.s.draw()%uint64(len(n.s.machines))] }

// shuffled is all machines in any order.
func (n *nemesis) shuffled() []*machine {
	list := slices.Clone(n.s.machines)
	for i := len(list) - 1; i > 0; i-- {
		j := int(n.s.draw() % uint64(i+1))
		list[i], list[j] = list[j], list[i]
	}
	return list
}

// some is one machine mostly, sometimes more.
func (n *nemesis) some() []*machine {
	list := n.shuffled()
	count := 1
	if n.s.draw()%3 == 0 {
		count = 1 + int(n.s.draw()%uint64(len(list)))
	}
	return list[:count]
}

func names(list []*machine) string {
	var out []string
	for _, m := range list {
		out = append(out, m.name)
	}
	return strings.Join(out, " ")
}

// FaultNames are the faults that a run can do without.
func FaultNames() []string {
	var out []string
	for _, f := range append(faults(), combined()...) {
		out = append(out, f.name)
	}
	return out
}
