package replication

import (
	"sort"

	"github.com/klamm/klamm/internal/model"
)

// Waiter is told that what it waits for has happened, or with err that it never will. Wake is called without locks of this room, from the
// goroutine that brought the news, and must neither block nor write to a socket.
type Waiter interface {
	Wake(slot int, err error)
}

// wakeBatch is how many waiters are taken out under one hold of the lock.
const wakeBatch = 32

// ackWait is an acks=all append that waits for everything below offset to be acknowledged.
type ackWait struct {
	offset model.Offset
	waiter Waiter
	slot   int
}

// ackQueue holds waits in order of their offsets. It is a ring that keeps its size.
type ackQueue struct {
	b    []ackWait
	head int
	n    int
}

func (q *ackQueue) at(i int) *ackWait { return &q.b[(q.head+i)&(len(q.b)-1)] }

// push adds w in order. Offsets come in order but for retries of batches appended before.
func (q *ackQueue) push(w ackWait) {
	if q.n == len(q.b) {
		b := make([]ackWait, max(8, 2*len(q.b)))
		for i := range q.n {
			b[i] = *q.at(i)
		}
		q.b, q.head = b, 0
	}
	i := q.n
	if i > 0 && q.at(i-1).offset > w.offset {
		i = sort.Search(q.n, func(i int) bool { return q.at(i).offset > w.offset })
	}
	q.n++
	for j := q.n - 1; j > i; j-- {
		*q.at(j) = *q.at(j - 1)
	}
	*q.at(i) = w
}

// popUpTo moves waits for offsets up to acked to dst and returns how many.
func (q *ackQueue) popUpTo(acked model.Offset, dst []ackWait) (n int) {
	for n < len(dst) && q.n > 0 && q.at(0).offset <= acked {
		dst[n] = *q.at(0)
		*q.at(0) = ackWait{}
		q.head = (q.head + 1) & (len(q.b) - 1)
		q.n--
		n++
	}
	return n
}

// WaitHandle is a place in a partition's list of waiting fetches, for Cancel. The zero handle is none.
type WaitHandle struct {
	place int32 // index + 1
	turn  uint32
}

// dataWait is a fetch that waits for the limit of its kind to rise above what it has seen.
type dataWait struct {
	waiter Waiter // nil: the place is free
	slot   int
	seen   model.Offset
	kind   Isolation
	turn   uint32 // tells the users of a place apart
}

// dataList holds waiting fetches. Places are reused.
type dataList struct {
	waits []dataWait
	free  []int32
	n     int
}

func (l *dataList) add(w dataWait) WaitHandle {
	var i int32
	if k := len(l.free); k > 0 {
		i, l.free = l.free[k-1], l.free[:k-1]
	} else {
		i = int32(len(l.waits))
		l.waits = append(l.waits, dataWait{})
	}
	w.turn = l.waits[i].turn + 1
	l.waits[i] = w
	l.n++
	return WaitHandle{place: i + 1, turn: w.turn}
}

func (l *dataList) remove(h WaitHandle) {
	i := h.place - 1
	if i < 0 || int(i) >= len(l.waits) || l.waits[i].turn != h.turn || l.waits[i].waiter == nil {
		return
	}
	l.drop(i)
}

func (l *dataList) drop(i int32) {
	l.waits[i] = dataWait{turn: l.waits[i].turn}
	l.free = append(l.free, i)
	l.n--
}

// take moves waits whose limit rose above what they have seen to dst, and returns how many. limit gives the limit of a kind.
func (l *dataList) take(limit func(Isolation) model.Offset, dst []dataWait) (n int) {
	if l.n == 0 {
		return 0
	}
	for i := range l.waits {
		if n == len(dst) {
			return n
		}
		if w := &l.waits[i]; w.waiter != nil && limit(w.kind) > w.seen {
			dst[n] = *w
			n++
			l.drop(int32(i))
		}
	}
	return n
}
