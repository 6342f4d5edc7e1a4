package metadata

import (
	"iter"
	"slices"
)

// tree is a sorted map whose versions share structure: a B-tree in which a change copies the nodes on its path, three for
// 30,000 entries, and leaves the older versions as they were.
//
// Rejected: Go maps in copied shards (sorting every listing of topics costs more than all lookups save, and a shard of a
// 100,000-topic cluster is copied whole), a treap (one cache miss per binary step on the produce path), a hash trie (no order).
type tree[K, V any] struct {
	root *node[K, V]
	size int
	cmp  func(a, b K) int
}

// maxItems is the capacity of a node. 31 keeps a node of names and pointers under a kilobyte.
const (
	maxItems = 31
	minItems = maxItems / 2
)

type item[K, V any] struct {
	key K
	val V
}

// node holds len(items) sorted items; an inner node has one child more than items.
//
// Invariant: minItems <= len(items) <= maxItems, but for the root; all leaves are equally deep.
type node[K, V any] struct {
	owner *edit
	items []item[K, V]
	kids  []*node[K, V]
}

// edit is a run of changes that no reader has seen yet. Nodes made by it are changed in place, so that a batch of n changes
// does not copy the root n times. It must not be an empty struct: all of those may have one address.
type edit struct{ _ byte }

func newTree[K, V any](cmp func(a, b K) int) tree[K, V] { return tree[K, V]{cmp: cmp} }

// find is the place of key among the items of n, and whether it is there.
func (t *tree[K, V]) find(n *node[K, V], key K) (int, bool) {
	lo, hi := 0, len(n.items)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch c := t.cmp(n.items[mid].key, key); {
		case c < 0:
			lo = mid + 1
		case c > 0:
			hi = mid
		default:
			return mid, true
		}
	}
	return lo, false
}

func (t *tree[K, V]) get(key K) (v V, ok bool) {
	for n := t.root; n != nil; {
		i, found := t.find(n, key)
		if found {
			return n.items[i].val, true
		}
		if n.kids == nil {
			break
		}
		n = n.kids[i]
	}
	return v, false
}

// from yields the entries whose key is at least lo, ascending.
func (t *tree[K, V]) from(lo K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.walk(t.root, &lo, yield) }
}

// all yields every entry, ascending.
func (t *tree[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.walk(t.root, nil, yield) }
}

func (t *tree[K, V]) walk(n *node[K, V], lo *K, yield func(K, V) bool) bool {
	if n == nil {
		return true
	}
	i := 0
	if lo != nil {
		i, _ = t.find(n, *lo)
	}
	for ; i <= len(n.items); i++ {
		if n.kids != nil && !t.walk(n.kids[i], lo, yield) {
			return false
		}
		lo = nil // everything to the right of the first path is larger
		if i < len(n.items) && !yield(n.items[i].key, n.items[i].val) {
			return false
		}
	}
	return true
}

// own returns n if e made it, or a copy that e may change.
func (n *node[K, V]) own(e *edit) *node[K, V] {
	if n.owner == e {
		return n
	}
	c := &node[K, V]{owner: e, items: append(make([]item[K, V], 0, maxItems+1), n.items...)}
	if n.kids != nil {
		c.kids = append(make([]*node[K, V], 0, maxItems+2), n.kids...)
	}
	return c
}

// set puts or replaces one entry.
func (t *tree[K, V]) set(e *edit, key K, val V) {
	if t.root == nil {
		t.root = &node[K, V]{owner: e, items: append(make([]item[K, V], 0, maxItems+1), item[K, V]{key, val})}
		t.size++
		return
	}
	t.root = t.insert(e, t.root, item[K, V]{key, val})
	if len(t.root.items) > maxItems {
		left := t.root
		up, right := left.split(e)
		t.root = &node[K, V]{
			owner: e,
			items: append(make([]item[K, V], 0, maxItems+1), up),
			kids:  append(make([]*node[K, V], 0, maxItems+2), left, right),
		}
	}
}

// insert returns n, owned by e, with the entry below it. The node may hold one item too many; its parent splits it.
func (t *tree[K, V]) insert(e *edit, n *node[K, V], it item[K, V]) *node[K, V] {
	n = n.own(e)
	i, found := t.find(n, it.key)
	switch {
	case found:
		n.items[i] = it
	case n.kids == nil:
		n.items = slices.Insert(n.items, i, it)
		t.size++
	default:
		kid := t.insert(e, n.kids[i], it)
		n.kids[i] = kid
		if len(kid.items) > maxItems {
			up, right := kid.split(e)
			n.items = slices.Insert(n.items, i, up)
			n.kids = slices.Insert(n.kids, i+1, right)
		}
	}
	return n
}

// split halves an owned node: it keeps the left half and returns the item between and the right half.
func (n *node[K, V]) split(e *edit) (up item[K, V], right *node[K, V]) {
	mid := len(n.items) / 2
	up = n.items[mid]
	right = &node[K, V]{owner: e, items: append(make([]item[K, V], 0, maxItems+1), n.items[mid+1:]...)}
	clear(n.items[mid:])
	n.items = n.items[:mid]
	if n.kids != nil {
		right.kids = append(make([]*node[K, V], 0, maxItems+2), n.kids[mid+1:]...)
		clear(n.kids[mid+1:])
		n.kids = n.kids[:mid+1]
	}
	return up, right
}

// remove takes one entry out and reports whether it was there.
func (t *tree[K, V]) remove(e *edit, key K) bool {
	if _, ok := t.get(key); !ok {
		return false
	}
	t.root = t.delete(e, t.root, key)
	t.size--
	if len(t.root.items) == 0 {
		if t.root.kids == nil {
			t.root = nil
		} else {
			t.root = t.root.kids[0]
		}
	}
	return true
}

// delete returns n, owned by e, without key, which is below it. The node may be left one item short; its parent mends it.
func (t *tree[K, V]) delete(e *edit, n *node[K, V], key K) *node[K, V] {
	n = n.own(e)
	i, found := t.find(n, key)
	switch {
	case n.kids == nil:
		n.items = slices.Delete(n.items, i, i+1)
		return n
	case found: // the largest entry on the left takes its place
		last := n.kids[i].last()
		n.items[i] = last
		n.kids[i] = t.delete(e, n.kids[i], last.key)
	default:
		n.kids[i] = t.delete(e, n.kids[i], key)
	}
	if len(n.kids[i].items) < minItems {
		n.mend(e, i)
	}
	return n
}

func (n *node[K, V]) last() item[K, V] {
	for n.kids != nil {
		n = n.kids[len(n.kids)-1]
	}
	return n.items[len(n.items)-1]
}

// mend gives child i, which is one item short, an item of a sibling, or joins the two.
func (n *node[K, V]) mend(e *edit, i int) {
	switch {
	case i > 0 && len(n.kids[i-1].items) > minItems:
		left, kid := n.kids[i-1].own(e), n.kids[i].own(e)
		n.kids[i-1], n.kids[i] = left, kid
		l := len(left.items) - 1
		kid.items = slices.Insert(kid.items, 0, n.items[i-1])
		n.items[i-1] = left.items[l]
		left.items = slices.Delete(left.items, l, l+1)
		if left.kids != nil {
			kid.kids = slices.Insert(kid.kids, 0, left.kids[l+1])
			left.kids = slices.Delete(left.kids, l+1, l+2)
		}
	case i < len(n.items) && len(n.kids[i+1].items) > minItems:
		kid, right := n.kids[i].own(e), n.kids[i+1].own(e)
		n.kids[i], n.kids[i+1] = kid, right
		kid.items = append(kid.items, n.items[i])
		n.items[i] = right.items[0]
		right.items = slices.Delete(right.items, 0, 1)
		if right.kids != nil {
			kid.kids = append(kid.kids, right.kids[0])
			right.kids = slices.Delete(right.kids, 0, 1)
		}
	default:
		n.join(e, max(i-1, 0))
	}
}

// join merges children i and i+1 with the item between them.
func (n *node[K, V]) join(e *edit, i int) {
	left, right := n.kids[i].own(e), n.kids[i+1]
	left.items = append(append(left.items, n.items[i]), right.items...)
	left.kids = append(left.kids, right.kids...)
	n.kids[i] = left
	n.items = slices.Delete(n.items, i, i+1)
	n.kids = slices.Delete(n.kids, i+1, i+2)
}
