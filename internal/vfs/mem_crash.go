package vfs

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
)

// CrashClone is what a power cut at this moment leaves: a new file system, while m goes on untouched. What was synced is there. Of
// the rest each name, each length and each page of 4 KiB is there or not on its own; a page may be torn at a multiple of 512
// bytes. A rename happens whole or not at all, and not before what gave the file its old name. Locks are gone.
func (m *Mem) CrashClone(rng *rand.Rand) *Mem {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := crash{rng: rng, names: m.survivingNames(rng), nodes: map[*memNode]*memNode{}}
	clone := NewMem(rng.Uint64())
	clone.capacity = m.capacity
	clone.root = c.node(m.root)
	for _, n := range c.nodes {
		clone.used += int64(len(n.data))
	}
	return clone
}

// survivingNames decides which of the changes that no sync has covered are on the medium, and gives the names in each directory then.
func (m *Mem) survivingNames(rng *rand.Rand) map[*memNode]map[string]boundName {
	names := map[*memNode]map[string]boundName{}
	var pending []*nameChange
	m.eachNode(func(n *memNode) {
		if n.entries != nil {
			names[n] = maps.Clone(n.synced)
			pending = append(pending, n.pending...)
		}
	})
	slices.SortFunc(pending, func(a, b *nameChange) int { return cmp.Compare(a.seq, b.seq) })
	for _, c := range slices.Compact(pending) {
		if rng.IntN(2) == 0 || !c.possible(names) {
			continue
		}
		for _, b := range c.bindings {
			if names[b.dir][b.name].seq < c.seq {
				names[b.dir][b.name] = boundName{node: b.node, seq: c.seq}
			}
		}
	}
	return names
}

// possible reports whether a rename finds its file under the old name.
func (c *nameChange) possible(names map[*memNode]map[string]boundName) bool {
	if len(c.bindings) < 2 {
		return true
	}
	from, to := c.bindings[0], c.bindings[1]
	return names[from.dir][from.name].node == to.node
}

// eachNode visits everything that is or was reachable, in any order.
func (m *Mem) eachNode(visit func(*memNode)) {
	seen := map[*memNode]bool{}
	var walk func(n *memNode)
	walk = func(n *memNode) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		visit(n)
		for _, child := range n.entries {
			walk(child)
		}
		for _, b := range n.synced {
			walk(b.node)
		}
		for _, c := range n.pending {
			for _, b := range c.bindings {
				walk(b.dir)
				walk(b.node)
			}
		}
	}
	walk(m.root)
}

// crash builds the file system that is left.
type crash struct {
	rng   *rand.Rand
	names map[*memNode]map[string]boundName
	nodes map[*memNode]*memNode // copies made
}

// node copies what is left of a node. Children are visited by name, so that one seed gives one result.
func (c *crash) node(n *memNode) *memNode {
	if made := c.nodes[n]; made != nil {
		return made
	}
	if n.entries == nil {
		made := &memNode{mode: n.mode, data: c.contents(n)}
		made.onDisk = int64(len(made.data))
		c.nodes[n] = made
		return made
	}
	made := newDirNode(n.mode)
	c.nodes[n] = made
	for _, name := range sortedKeys(c.names[n]) {
		if b := c.names[n][name]; b.node != nil {
			child := c.node(b.node)
			child.names++
			made.entries[name] = child
			made.synced[name] = boundName{node: child}
		}
	}
	return made
}

// contents puts together what the medium has of a file.
func (c *crash) contents(n *memNode) []byte {
	size := n.onDisk
	if k := c.rng.IntN(len(n.lengths) + 1); k > 0 {
		size = n.lengths[k-1]
	}
	b := make([]byte, size)
	copy(b, n.data)
	pages := make([]int64, 0, len(n.dirty))
	for i := range n.dirty {
		pages = append(pages, i)
	}
	slices.Sort(pages)
	for _, i := range pages {
		page := c.page(n, i)
		if at := i * memPage; at < size {
			copy(b[at:], page[:])
		}
	}
	return b
}

// page decides what the medium has of a dirty page: before, after, in between, or sectors of each.
func (c *crash) page(n *memNode, i int64) [memPage]byte {
	var now [memPage]byte
	if at := i * memPage; at < int64(len(n.data)) {
		copy(now[:], n.data[at:])
	}
	p := n.dirty[i]
	pick := func() [memPage]byte {
		if p.between != nil && c.rng.IntN(3) == 0 {
			return *p.between
		}
		if c.rng.IntN(2) == 0 {
			return p.old
		}
		return now
	}
	page := pick()
	if c.rng.IntN(4) == 0 { // torn: the second half of the write, from some sector on, is of another time
		other, from := pick(), c.rng.IntN(memPage/memSector)*memSector
		copy(page[from:], other[from:])
	}
	return page
}

// KillClone is what the end of the process (kill -9) leaves: everything that was written is there, what was not synced can still be
// lost by a CrashClone of the clone, and the locks are gone.
func (m *Mem) KillClone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	clone := NewMem(m.rng.Uint64())
	clone.capacity, clone.seq = m.capacity, m.seq
	nodes := map[*memNode]*memNode{}
	m.eachNode(func(n *memNode) { nodes[n] = n.copyFile() })
	changes := map[*nameChange]*nameChange{}
	for from, to := range nodes {
		from.copyNames(to, nodes, changes)
	}
	clone.root = nodes[m.root]
	for _, n := range nodes {
		if n.names > 0 {
			clone.used += int64(len(n.data))
		}
	}
	return clone
}

// copyFile copies what does not point to other nodes.
func (n *memNode) copyFile() *memNode {
	c := &memNode{mode: n.mode, names: n.names, onDisk: n.onDisk, data: slices.Clone(n.data), lengths: slices.Clone(n.lengths)}
	if n.entries != nil {
		c.entries, c.synced = map[string]*memNode{}, map[string]boundName{}
	}
	if n.dirty != nil {
		c.dirty = make(map[int64]*dirtyPage, len(n.dirty))
		for i, p := range n.dirty {
			page := *p
			c.dirty[i] = &page
		}
	}
	return c
}

// copyNames copies what does. A change of two directories stays one change.
func (n *memNode) copyNames(to *memNode, nodes map[*memNode]*memNode, changes map[*nameChange]*nameChange) {
	for name, child := range n.entries {
		to.entries[name] = nodes[child]
	}
	for name, b := range n.synced {
		to.synced[name] = boundName{node: nodes[b.node], seq: b.seq}
	}
	for _, c := range n.pending {
		if changes[c] == nil {
			copied := &nameChange{seq: c.seq}
			for _, b := range c.bindings {
				copied.bindings = append(copied.bindings, binding{nodes[b.dir], b.name, nodes[b.node]})
			}
			changes[c] = copied
		}
		to.pending = append(to.pending, changes[c])
	}
}
