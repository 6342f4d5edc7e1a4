package cluster

import (
	"time"

	"github.com/klamm/klamm/internal/model"
)

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
	list := n.shuffled()
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

// late makes what a leader says to the controller about a follower arrive late, twice, or both: the follower comes back, the leader wants it in
// the ISR, and before that is heard, or between the two times that it is, the follower restarts or falls behind again.
func (n *nemesis) late() {
	m, leader := n.one(), n.aLeader()
	active := n.active()
	if leader == nil || active == nil || m == leader || leader == active {
		return
	}
	lag := n.s.lagTime()
	restarts := n.s.draw()%2 == 0
	n.s.trace("%s goes and comes back while what %s tells %s about it is late, restarts %v", m.name, leader.name, active.name, restarts)
	n.behind(m, leader, restarts, lag)
	stuck, known := n.between(time.Second, 2*time.Second+2*lag), n.between(50*time.Millisecond, time.Second)
	n.s.net.Strand(leader.addr, active.addr, stuck)
	n.wg.Go(func() {
		n.rest(known)
		n.s.net.Orphan(leader.addr, active.addr)
	})
	n.rest(n.between(50*time.Millisecond, known+500*time.Millisecond))
	n.behind(m, leader, restarts, lag)
}

// behind makes a follower fall out of the ISR: by a restart, or by having it cut off from its leader alone.
func (n *nemesis) behind(m, leader *machine, restarts bool, lag time.Duration) {
	if restarts {
		m.end([]ending{kill, powerCut}[n.s.draw()%2])
		n.rest(n.between(0, 200*time.Millisecond))
		m.start()
		for end := time.Now().Add(3 * time.Second); m.ready() == nil && time.Now().Before(end) && n.rest(10*time.Millisecond); {
		}
		return
	}
	n.s.net.Cut(m.addr, leader.addr, true)
	n.s.net.Cut(leader.addr, m.addr, true)
	n.rest(n.between(lag, 2*lag))
	n.s.net.Cut(m.addr, leader.addr, false)
	n.s.net.Cut(leader.addr, m.addr, false)
}

// aLeader is the machine that leads some partition, nil when none does.
func (n *nemesis) aLeader() *machine {
	t := n.s.newestImage().Topic(topic)
	if t == nil {
		return nil
	}
	return n.s.machine(t.Partitions[n.s.draw()%uint64(len(t.Partitions))].Leader)
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
