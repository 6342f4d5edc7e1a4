package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/vfs"
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
	n.lossy = s.machines[s.draw()%uint64(len(s.machines))]
	return n
}

// torment breaks things until the time is over, and returns when nothing is broken by it any more.
func (n *nemesis) torment() {
	time.AfterFunc(n.s.opts.Chaos, func() { close(n.stop) })
	var names []string
	for _, f := range n.faults {
		names = append(names, f.name)
	}
	n.s.trace("faults: %s; lossy disk: %s", strings.Join(names, " "), n.lossy.name)
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

// some is one machine mostly, sometimes more.
func (n *nemesis) some() []*machine {
	list := slices.Clone(n.s.machines)
	for i := len(list) - 1; i > 0; i-- {
		j := int(n.s.draw() % uint64(i+1))
		list[i], list[j] = list[j], list[i]
	}
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

// down ends processes, at once or one after the other, and starts them again.
func (n *nemesis) down(what string, how ending, list []*machine) {
	n.s.trace("%s %s", what, names(list))
	stagger := n.s.draw()%2 == 0
	for _, m := range list {
		m.end(how)
		if stagger {
			n.rest(n.between(0, 300*time.Millisecond))
		}
	}
	for _, m := range list {
		n.rest(n.between(0, 4*time.Second))
		m.start()
	}
}

func (n *nemesis) term() {
	m := n.one()
	n.s.trace("stop %s", m.name)
	_ = m.stop()
	n.rest(n.between(0, 4*time.Second))
	m.start()
}

func (n *nemesis) rolling() {
	n.s.trace("rolling restart")
	for _, m := range n.s.machines {
		_ = m.stop()
		m.start()
		if !n.rest(n.between(0, 2*time.Second)) {
			return
		}
	}
}

func (n *nemesis) pause() {
	m := n.one()
	m.mu.Lock()
	p := m.proc
	m.mu.Unlock()
	if p == nil {
		return
	}
	d := n.between(50*time.Millisecond, 15*time.Second)
	n.s.trace("pause %s for %v", m.name, d)
	p.gate.shut()
	n.rest(d)
	p.gate.reopen()
	n.s.trace("resume %s", m.name)
}

// cut cuts links for a while.
func (n *nemesis) cut(what string, pairs func(a, b *machine) bool) {
	d := n.between(100*time.Millisecond, 12*time.Second)
	n.s.trace("%s for %v", what, d)
	each := func(cut bool) {
		for _, a := range n.s.machines {
			for _, b := range n.s.machines {
				if a != b && pairs(a, b) {
					n.s.net.Cut(a.addr, b.addr, cut)
				}
			}
		}
	}
	each(true)
	n.rest(d)
	each(false)
	n.s.trace("end of %s", what)
}

func (n *nemesis) isolate() {
	m := n.one()
	n.cut("isolate "+m.name, func(a, b *machine) bool { return a == m || b == m })
}

func (n *nemesis) oneWay() {
	m, in := n.one(), n.s.draw()%2 == 0
	n.cut(fmt.Sprintf("one-way cut of %s, inbound %v", m.name, in), func(a, b *machine) bool { return in && b == m || !in && a == m })
}

// split cuts the cluster in two, or all links of a bridge but one node's.
func (n *nemesis) split() {
	side := map[*machine]uint64{}
	var left []*machine
	for _, m := range n.s.machines {
		side[m] = n.s.draw() % 2
		if side[m] == 0 {
			left = append(left, m)
		}
	}
	bridge := n.one()
	whole := n.s.draw()%2 == 0
	n.cut(fmt.Sprintf("split off [%s], bridge %s %v", names(left), bridge.name, !whole), func(a, b *machine) bool {
		return side[a] != side[b] && (whole || a != bridge && b != bridge)
	})
}

func (n *nemesis) reset() {
	a, b := n.one(), n.one()
	n.s.trace("reset connections of %s and %s", a.name, b.name)
	n.s.net.Reset(a.addr, b.addr)
}

func (n *nemesis) slowNet() {
	a, b := n.one(), n.one()
	d, slow, lossy := n.between(time.Second, 10*time.Second), n.between(0, 400*time.Millisecond), float64(n.s.draw()%30)/100
	n.s.trace("slow link from %s to %s for %v: %v, %.2f lost", a.name, b.name, d, slow, lossy)
	n.s.net.Disturb(a.addr, b.addr, slow, lossy)
	n.rest(d)
	n.s.net.Disturb(a.addr, b.addr, 0, 0)
}

func (n *nemesis) slowDisk() {
	m := n.one()
	d, slow := n.between(time.Second, 10*time.Second), n.between(20*time.Millisecond, 2*time.Second)
	n.s.trace("slow disk of %s for %v: %v", m.name, d, slow)
	was := m.syncs.Swap(int64(slow))
	n.rest(d)
	m.syncs.Store(was)
}

// failSync makes syncs fail, as a dying disk does: what was to be synced is lost although it can still be read. The process ends itself, and the
// operator replaces the disk: nothing that is read from it now is worth anything (docs/durability.md).
func (n *nemesis) failSync() {
	m := n.lossy
	m.mu.Lock()
	p := m.proc
	m.mu.Unlock()
	if p == nil || !n.s.settled() {
		return
	}
	n.s.trace("failing sync on %s", m.name)
	m.suspect.Store(true)
	m.held.Store(true)
	p.faults.Inject(vfs.Fault{Ops: vfs.OpAnySync, Times: 1 + int(n.s.draw()%3), Err: syscall.EIO})
	n.rest(n.between(time.Second, 5*time.Second))
	n.replaceDisk(m)
}

// replaceDisk gives a machine an empty disk, and starts it when the old registration is gone.
func (n *nemesis) replaceDisk(m *machine) {
	m.held.Store(true)
	m.end(wipe)
	n.rest(n.between(0, 4*time.Second))
	for n.unregister(m) != nil { // the faults end, and then it succeeds
		time.Sleep(500 * time.Millisecond)
	}
	m.held.Store(false)
	m.start()
}

func (n *nemesis) fillDisk() {
	m := n.one()
	d := n.between(time.Second, 8*time.Second)
	m.mu.Lock()
	disk := m.disk
	m.mu.Unlock()
	u, err := disk.Usage("/")
	if err != nil {
		return
	}
	n.s.trace("disk of %s is full for %v", m.name, d)
	m.full.Add(1)
	disk.SetCapacity(int64(u.Total-u.Free) + int64(n.s.draw()%(64<<10)))
	n.rest(d)
	m.mu.Lock()
	m.disk.SetCapacity(0)
	disk.SetCapacity(0)
	m.mu.Unlock()
	n.s.trace("disk of %s has room", m.name)
	n.rest(2 * time.Second)
	m.full.Add(-1)
	m.start() // if it could not go on without
}

// wipe replaces a disk by an empty one, when every other copy is whole.
func (n *nemesis) wipe() {
	if !n.s.settled() {
		return
	}
	m := n.lossy
	n.s.trace("wipe %s", m.name)
	n.s.sometimes("a disk was wiped")
	n.replaceDisk(m)
}

// unregister is what an operator does before a machine comes back under its old id with another disk.
func (n *nemesis) unregister(m *machine) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = int32(m.id)
	resp, err := req.RequestWith(ctx, n.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	n.s.trace("unregister %s: %v", m.name, err)
	if errors.Is(err, kerr.BrokerIDNotRegistered) {
		return nil
	}
	return err
}

// clock moves a wall clock forward, or, from the next process on, back: within a process a clock that goes back would also take back the
// monotonic time that intervals are measured by, which no machine does.
func (n *nemesis) clock() {
	m := n.one()
	jump := n.between(-10*time.Minute, 10*time.Minute)
	n.s.trace("clock of %s jumps by %v", m.name, jump)
	if jump < 0 {
		m.behind.Add(int64(jump))
		return
	}
	m.offset.Add(int64(jump))
}

func (n *nemesis) elect() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	n.s.trace("elect preferred leaders")
	_, err := n.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil)
	n.s.trace("elected: %v", err)
}

// move gives some partitions other replicas, and does so again while that is under way.
func (n *nemesis) move() {
	for range 1 + n.s.draw()%4 {
		n.moveSome()
		if !n.rest(n.between(0, 2*time.Second)) {
			return
		}
	}
}

func (n *nemesis) moveSome() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var req kadm.AlterPartitionAssignmentsReq
	var said []string
	for range 1 + n.s.draw()%3 {
		p := int32(n.s.draw() % uint64(n.s.opts.Partitions))
		ids := n.s.brokerIDs()
		for i := len(ids) - 1; i > 0; i-- {
			j := int(n.s.draw() % uint64(i+1))
			ids[i], ids[j] = ids[j], ids[i]
		}
		copies := 3
		if n.s.draw()%4 == 0 {
			copies = 2 // so that three machines have something to move, too
		}
		if len(ids) < copies {
			return
		}
		req.Assign(topic, p, ids[:copies])
		said = append(said, fmt.Sprintf("%d to %v", p, ids[:copies]))
	}
	if n.s.draw()%4 == 0 {
		req = kadm.AlterPartitionAssignmentsReq{}
		for p := range n.s.opts.Partitions {
			req.CancelAssign(topic, p)
		}
		said = []string{"cancel"}
	}
	n.s.trace("move %s", strings.Join(said, ", "))
	_, err := n.admin.AlterPartitionAssignments(ctx, req)
	n.s.trace("moving: %v", err)
}

// FaultNames are the faults that a run can do without.
func FaultNames() []string {
	var out []string
	for _, f := range faults() {
		out = append(out, f.name)
	}
	return out
}
