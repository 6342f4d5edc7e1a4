package cluster

import (
	"slices"
	"time"

	"github.com/klamm/klamm/internal/model"
)

// mayEnd are those of the machines whose processes may end without having been stopped, at least one.
func (n *nemesis) mayEnd(list []*machine) []*machine {
	if n.s.opts.pageCache {
		return []*machine{n.lossy}
	}
	return list
}

// oneToEnd is one of the machines whose processes may end without having been stopped.
func (n *nemesis) oneToEnd() *machine {
	m := n.one()
	return n.mayEnd([]*machine{m})[0]
}

// down ends processes, at once or one after the other, and starts them again.
func (n *nemesis) down(what string, how ending, list []*machine) {
	list = n.mayEnd(list)
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

// lastOne ends processes one after the other, slowly enough that the others notice, so that in the end one replica is alone in the ISR and
// knows it; and starts them in another order.
func (n *nemesis) lastOne() {
	list := n.mayEnd(n.shuffled())
	how := []ending{kill, powerCut}[n.s.draw()%2]
	n.s.trace("one after the other, %v: %s", how, names(list))
	for _, m := range list {
		m.end(how)
		n.rest(n.between(0, 1500*time.Millisecond))
	}
	for _, m := range n.shuffled() {
		m.start()
		n.rest(n.between(0, 2*time.Second))
	}
}

// late makes what a leader says to the controller about a follower arrive when it is not true any more.
func (n *nemesis) late() {
	m, active := n.oneToEnd(), n.active()
	leader := n.leaderOf(m, active)
	if leader == nil || active == nil || m == active {
		return
	}
	n.s.trace("what %s tells %s about %s is late", leader.name, active.name, m.name)
	if n.s.draw()%2 == 0 {
		n.lateForRestart(m, leader, active)
	} else {
		n.lateTwice(m, leader, active)
	}
	n.apart(m, leader, false)
}

// lateForRestart lets a follower catch up and restart before the controller hears that the leader wants it in the ISR. It has less then, and cannot
// get the rest.
func (n *nemesis) lateForRestart(m, leader, active *machine) {
	m.end(powerCut)
	n.rest(n.between(0, 200*time.Millisecond))
	n.s.net.Strand(leader.addr, active.addr, n.between(2*time.Second, 4*time.Second))
	n.startAndWait(m)
	n.rest(n.between(20*time.Millisecond, 300*time.Millisecond))
	m.end(powerCut)
	n.apart(m, leader, true)
	n.startAndWait(m)
	n.rest(n.between(0, 200*time.Millisecond))
	n.s.net.Orphan(leader.addr, active.addr)
	n.rest(n.between(100*time.Millisecond, time.Second))
}

// lateTwice has the controller hear twice that the leader wants a follower in the ISR, and between the two that it does not want it any more.
func (n *nemesis) lateTwice(m, leader, active *machine) {
	lag := n.s.lagTime()
	n.apart(m, leader, true)
	n.rest(n.between(lag, 2*lag))
	known, again := n.between(50*time.Millisecond, 300*time.Millisecond), n.between(lag, 2*lag)
	n.s.net.Strand(leader.addr, active.addr, known+again)
	n.apart(m, leader, false)
	n.rest(known)
	n.s.net.Orphan(leader.addr, active.addr)
	n.rest(n.between(20*time.Millisecond, 100*time.Millisecond))
	n.apart(m, leader, true)
	n.rest(again + 100*time.Millisecond)
}

// apart cuts two machines off from each other, or lets them talk again.
func (n *nemesis) apart(a, b *machine, cut bool) {
	n.s.net.Cut(a.addr, b.addr, cut)
	n.s.net.Cut(b.addr, a.addr, cut)
}

// startAndWait starts a process and waits a while for it to be ready.
func (n *nemesis) startAndWait(m *machine) {
	m.start()
	for end := time.Now().Add(3 * time.Second); m.ready() == nil && time.Now().Before(end) && n.rest(10*time.Millisecond); {
	}
}

// leaderOf is a machine, not the active controller's, that a machine's replica follows; nil when there is none.
func (n *nemesis) leaderOf(m, active *machine) *machine {
	t := n.s.newestImage().Topic(topic)
	if t == nil {
		return nil
	}
	var list []*machine
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if l := n.s.machine(p.Leader); l != nil && l != m && l != active && slices.Contains(p.Replicas, model.BrokerID(m.id)) {
			list = append(list, l)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[n.s.draw()%uint64(len(list))]
}

// active is the machine of the active controller, nil when nobody knows one.
func (n *nemesis) active() *machine {
	var term int32
	leader := model.NoBroker
	for _, l := range n.s.living() {
		if st := l.n.QuorumStatus(); st.Leader != model.NoBroker && st.Term >= term {
			leader, term = st.Leader, st.Term
		}
	}
	return n.s.machine(leader)
}
