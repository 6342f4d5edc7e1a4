package replication

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klamm/klamm/internal/model"
)

func TestAckQueueKeepsTheOrderOfOffsets(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var q ackQueue
	var want []model.Offset
	next := model.Offset(0)
	for range 2000 {
		if rng.IntN(3) > 0 {
			next += model.Offset(rng.IntN(3))
			off := next
			if rng.IntN(5) == 0 { // a retry of something older
				off = max(0, next-model.Offset(rng.IntN(20)))
			}
			q.push(ackWait{offset: off})
			want = append(want, off)
			continue
		}
		slices.Sort(want)
		acked := next - model.Offset(rng.IntN(10))
		var got [3]ackWait
		n := q.popUpTo(acked, got[:])
		for i := range n {
			if got[i].offset != want[i] || got[i].offset > acked {
				t.Fatalf("popped %d where %d was due, acknowledged %d", got[i].offset, want[i], acked)
			}
		}
		if n < len(got) && n < len(want) && want[n] <= acked {
			t.Fatalf("left %d although %d is acknowledged", want[n], acked)
		}
		want = want[n:]
	}
}

func TestDataListWakesWhomItConcerns(t *testing.T) {
	var l dataList
	w := waiterFunc(func(int, error) {})
	add := func(slot int, seen model.Offset, kind Isolation) WaitHandle {
		return l.add(dataWait{waiter: w, slot: slot, seen: seen, kind: kind})
	}
	limits := map[Isolation]model.Offset{ReadUncommitted: 10, ReadCommitted: 5, ReadAll: 20}
	limit := func(k Isolation) model.Offset { return limits[k] }
	a := add(1, 10, ReadUncommitted)
	add(2, 9, ReadUncommitted)
	add(3, 5, ReadCommitted)
	add(4, 4, ReadCommitted)
	add(5, 19, ReadAll)
	var got [2]dataWait
	slots := []int{}
	for n := l.take(limit, got[:]); n > 0; n = l.take(limit, got[:]) {
		for _, g := range got[:n] {
			slots = append(slots, g.slot)
		}
	}
	if !slices.Equal(slots, []int{2, 4, 5}) {
		t.Fatalf("woke %v", slots)
	}
	l.remove(a)
	l.remove(a)
	b := add(6, 0, ReadUncommitted) // takes a freed place
	l.remove(a)                     // a void handle must not hit whoever came after
	if l.n != 2 {
		t.Fatalf("%d waits, want 3 and 6", l.n)
	}
	l.remove(b)
	if l.n != 1 {
		t.Fatalf("%d waits, want 3", l.n)
	}
	l.remove(WaitHandle{})
}

type waiterFunc func(slot int, err error)

func (f waiterFunc) Wake(slot int, err error) { f(slot, err) }
