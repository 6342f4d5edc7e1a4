package metadata

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// check proves the invariants of node: sizes, depth, order.
func (t *tree[K, V]) check(tb testing.TB) {
	tb.Helper()
	depth, count := -1, 0
	var visit func(n *node[K, V], level int)
	visit = func(n *node[K, V], level int) {
		count += len(n.items)
		if len(n.items) > maxItems || n != t.root && len(n.items) < minItems {
			tb.Fatalf("node with %d items", len(n.items))
		}
		if n.kids == nil {
			if depth >= 0 && depth != level {
				tb.Fatalf("leaves at depths %d and %d", depth, level)
			}
			depth = level
			return
		}
		if len(n.kids) != len(n.items)+1 {
			tb.Fatalf("%d children of %d items", len(n.kids), len(n.items))
		}
		for _, k := range n.kids {
			visit(k, level+1)
		}
	}
	if t.root != nil {
		visit(t.root, 0)
	}
	if count != t.size {
		tb.Fatalf("size says %d, nodes hold %d", t.size, count)
	}
}

func contents[V any](t *tree[int, V]) map[int]V { return maps.Collect(t.all()) }

// TestTreeVersionsStayAsTheyWere runs random edits, in batches, against maps, and keeps old versions to see that no later edit reached them.
func TestTreeVersionsStayAsTheyWere(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	type version struct {
		tree tree[int, int]
		want map[int]int
	}
	now := version{newTree[int, int](cmp.Compare[int]), map[int]int{}}
	var old []version
	for round := range 400 {
		next := version{now.tree, maps.Clone(now.want)}
		e := &edit{}
		for range rng.IntN(60) {
			key := rng.IntN(2000)
			// The mix drifts, so that the tree grows to thousands and shrinks to nothing again.
			if rng.IntN(400) < round {
				_, had := next.want[key]
				if got := next.tree.remove(e, key); got != had {
					t.Fatalf("remove %d said %v", key, got)
				}
				delete(next.want, key)
			} else {
				next.tree.set(e, key, round)
				next.want[key] = round
			}
		}
		next.tree.check(t)
		if round%20 == 0 {
			old = append(old, now)
		}
		now = next
	}
	for _, v := range append(old, now) {
		v.tree.check(t)
		if got := contents(&v.tree); !maps.Equal(got, v.want) {
			t.Fatalf("a version changed: %d entries, want %d", len(got), len(v.want))
		}
		if keys := slices.Collect(maps.Keys(v.want)); len(keys) > 0 {
			if _, ok := v.tree.get(keys[0]); !ok {
				t.Fatalf("get %d found nothing", keys[0])
			}
		}
	}
}

func TestTreeFromStartsInTheMiddle(t *testing.T) {
	tr := newTree[int, int](cmp.Compare[int])
	e := &edit{}
	for i := range 5000 {
		tr.set(e, i*2, i)
	}
	for _, lo := range []int{-1, 0, 1, 61, 62, 63, 64, 5001, 9998, 9999, 20000} {
		var got []int
		for k := range tr.from(lo) {
			if got = append(got, k); len(got) == 3 {
				break
			}
		}
		var want []int
		for k := max((lo+1)/2*2, 0); k < 10000 && len(want) < 3; k += 2 {
			want = append(want, k)
		}
		if !slices.Equal(got, want) {
			t.Errorf("from %d: %v, want %v", lo, got, want)
		}
	}
}
