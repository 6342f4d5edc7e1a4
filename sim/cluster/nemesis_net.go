package cluster

import (
	"fmt"
	"time"
)

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

// strand makes what is on its way between two machines late, while new connections work; and, at one end, ends the connections that it is on,
// so that what had no answer is sent again and overtakes it.
func (n *nemesis) strand() {
	a, b := n.one(), n.one()
	d, known := n.between(time.Second, 10*time.Second), n.between(50*time.Millisecond, 2*time.Second)
	n.s.trace("what %s says to %s is late by %v, its end known after %v", a.name, b.name, d, known)
	n.s.net.Strand(a.addr, b.addr, d)
	n.rest(known)
	n.s.net.Orphan(a.addr, b.addr)
	n.rest(d - known)
}
