package history

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// groups is what consumer groups did, by group and key.
type groups struct {
	c *checker
	// newest is the highest generation of a group that a member was told of so far; of a member, when members may differ (KIP-848).
	newest map[string]generation
	owners map[ownership]owner
	member map[string]generation // the last generation of each member
	cells  map[cellKey]*cell
	order  []*cell // in the order in which they appeared
	begun  map[int]generation
}

type generation struct {
	number int32
	op     int
}

// ownership is a partition in a generation of a group.
type ownership struct {
	group  string
	number int32
	key    int32
}

type owner struct {
	member string
	op     int
}

type cellKey struct {
	group string
	key   int32
}

// cell is the committed offset of a group for a key: a register that members write and read.
type cell struct {
	group  string
	key    *keyLog
	writes []write
	reads  []read
	given  []int32 // by rank: 1 + the first poll that gave the record to a member; 0 when none did
}

type write struct {
	offset int64
	begun  int
	done   int // math.MaxInt while it may still happen
	ok     bool
}

type read struct {
	offset      int64
	begun, done int
	ns          int64
}

func newGroups(c *checker) *groups {
	return &groups{c: c, newest: map[string]generation{}, owners: map[ownership]owner{}, member: map[string]generation{}, cells: map[cellKey]*cell{},
		begun: map[int]generation{}}
}

func (g *groups) cell(group string, l *keyLog) *cell {
	k := cellKey{group, l.id}
	x, ok := g.cells[k]
	if !ok {
		x = &cell{group: group, key: l, given: make([]int32, len(l.entries))}
		g.cells[k] = x
		g.order = append(g.order, x)
	}
	return x
}

// scope is whose generations are counted together.
func (g *groups) scope(m *Membership) string {
	if g.c.o.ConsumerProtocol {
		return m.Group + "\x00" + m.Member
	}
	return m.Group
}

// assign: within one generation, or member epoch, a partition has one owner (G3). Generations are the coordinator's clock: a client that was
// thrown out and does not know it yet still holds a partition of an older one, which is legal.
func (g *groups) assign(op *Op) {
	m := op.Group
	if op.F != Assign || m.Generation < 0 {
		return
	}
	me := m.Group + "\x00" + m.Member
	if last, ok := g.member[me]; ok && m.Generation < last.number {
		g.c.report(GenerationOrder, Key{}, []int{last.op, op.Index}, "member %s of group %s was in generation %d and then in %d", m.Member, m.Group, last.number, m.Generation)
	}
	g.member[me] = generation{m.Generation, op.Index}
	if n, ok := g.newest[g.scope(m)]; !ok || m.Generation > n.number {
		g.newest[g.scope(m)] = generation{m.Generation, op.Index}
	}
	for i := range op.Mops {
		l := g.c.log(op.Mops[i].Key)
		at := ownership{m.Group, m.Generation, l.id}
		other, ok := g.owners[at]
		if ok && other.member != m.Member {
			g.c.report(DoubleOwnership, l.key, []int{other.op, op.Index}, "in generation %d of group %s both %s and %s own it", m.Generation, m.Group, other.member, m.Member)
		}
		g.owners[at] = owner{m.Member, op.Index}
	}
}

func (g *groups) poll(op *Op) {
	for i := range op.Mops {
		m := &op.Mops[i]
		l := g.c.log(m.Key)
		x := g.cell(op.Group.Group, l)
		if r := l.rank(m.Offset); r < len(x.given) && l.entries[r].offset == m.Offset && x.given[r] == 0 {
			x.given[r] = int32(op.Index) + 1
		}
	}
}

// commit collects what members committed and what the coordinator answered is committed.
func (g *groups) commit(op *Op) {
	if op.Group == nil {
		return
	}
	if op.Type == Invoke {
		if op.F == Commit {
			g.write(op)
		}
		return
	}
	if op.Type != OK {
		return
	}
	if op.F == Committed {
		for i := range op.Mops {
			m := &op.Mops[i]
			x := g.cell(op.Group.Group, g.c.log(m.Key))
			x.reads = append(x.reads, read{offset: m.Offset, begun: op.Begun, done: op.Index, ns: g.c.h[op.Begun].TimeNs})
		}
		return
	}
	if n, ok := g.begun[op.Begun]; ok && op.Group.Generation >= 0 && op.Group.Generation < n.number {
		g.c.report(StaleCommit, firstKey(op), []int{n.op, op.Begun, op.Index}, "a commit of generation %d of group %s was accepted, begun after a member was told of generation %d",
			op.Group.Generation, op.Group.Group, n.number)
	}
}

func firstKey(op *Op) Key {
	if len(op.Mops) == 0 {
		return Key{}
	}
	return op.Mops[0].Key
}

func (g *groups) write(op *Op) {
	if n, ok := g.newest[g.scope(op.Group)]; ok {
		g.begun[op.Index] = n
	}
	typ, at := g.c.outcome(op.Index)
	if typ == Fail {
		return
	}
	if typ == Info {
		at = math.MaxInt
	}
	for i := range op.Mops {
		m := &op.Mops[i]
		x := g.cell(op.Group.Group, g.c.log(m.Key))
		x.writes = append(x.writes, write{offset: m.Offset, begun: op.Index, done: at, ok: typ == OK})
	}
}

// checkSkips: what a group committed past, its members were given before (at least once, in consumers that commit what they polled).
func (g *groups) checkSkips() {
	for _, x := range g.order {
		ok := slices.DeleteFunc(slices.Clone(x.writes), func(w write) bool { return !w.ok })
		slices.SortFunc(ok, func(a, b write) int { return cmp.Or(cmp.Compare(b.offset, a.offset), cmp.Compare(a.begun, b.begun)) })
		first := write{begun: math.MaxInt} // the first commit that lies behind the record
		next := 0
		for r := len(x.given) - 1; r >= 0; r-- {
			e := &x.key.entries[r]
			for ; next < len(ok) && ok[next].offset > e.offset; next++ {
				if ok[next].begun < first.begun {
					first = ok[next]
				}
			}
			if first.begun == math.MaxInt || x.given[r] > 0 && int(x.given[r]-1) < first.begun || g.c.o.LogStartMoves && e.offset < x.key.logStart {
				continue
			}
			g.c.report(GroupSkip, x.key.key, []int{e.op, first.begun, first.done}, "group %s committed offset %d before a member was given offset %d (value %d)",
				x.group, first.offset, e.offset, e.value)
		}
	}
}

// checkCommits holds each register to linearizability, as far as it can be decided without search: a read must return a write that began before
// the read ended and that no acknowledged write replaced before the read began (G1).
func (g *groups) checkCommits() {
	for _, x := range g.order {
		x.settle()
		// replaced[i]: of the acknowledged writes that ended first, up to i, the one that began last.
		ended := slices.DeleteFunc(slices.Clone(x.writes), func(w write) bool { return !w.ok })
		slices.SortFunc(ended, func(a, b write) int { return cmp.Compare(a.done, b.done) })
		latest := make([]write, len(ended))
		for i, w := range ended {
			latest[i] = w
			if i > 0 && latest[i-1].begun > w.begun {
				latest[i] = latest[i-1]
			}
		}
		for _, r := range x.reads {
			if g.c.o.ZombieReads && r.ns < g.c.o.Healed {
				continue
			}
			n := sort.Search(len(ended), func(i int) bool { return ended[i].done >= r.begun })
			if n == 0 && r.offset < 0 {
				continue
			}
			g.checkRead(x, r, latest[:n])
		}
	}
}

func (g *groups) checkRead(x *cell, r read, latest []write) {
	old := -1 // a write of this value that was replaced
	for _, w := range x.writes {
		if w.offset != r.offset || w.begun > r.done {
			continue
		}
		if len(latest) == 0 || latest[len(latest)-1].begun < w.done {
			return
		}
		old = w.begun
	}
	if len(latest) == 0 || r.offset >= 0 && old < 0 {
		g.c.report(CommitPhantom, x.key.key, []int{r.begun, r.done}, "group %s is said to have committed offset %d, which no member did", x.group, r.offset)
		return
	}
	w := latest[len(latest)-1]
	g.c.report(CommitRegression, x.key.key, []int{old, w.begun, w.done, r.begun, r.done}, "group %s had committed offset %d, and then it is said to be %d",
		x.group, w.offset, r.offset)
}

// settle uses what reads prove: a write that was read had happened by then. It can only be told of a write whose offset no other has.
func (x *cell) settle() {
	count := map[int64]int{}
	at := map[int64]int{}
	for i, w := range x.writes {
		count[w.offset]++
		at[w.offset] = i
	}
	for _, r := range x.reads {
		if count[r.offset] != 1 {
			continue
		}
		if w := &x.writes[at[r.offset]]; w.begun < r.done {
			w.done, w.ok = min(w.done, r.done), true
		}
	}
}
