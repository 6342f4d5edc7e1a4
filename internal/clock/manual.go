package clock

import (
	"container/heap"
	"sync"
	"time"
)

// Manual is a clock that moves only when it is told to.
type Manual struct {
	mu     sync.Mutex
	now    time.Time
	seq    uint64
	timers timerHeap
}

// NewManual makes a clock that stands at start.
func NewManual(start time.Time) *Manual { return &Manual{now: start} }

// Now is the time the clock was last moved to.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// AfterFunc registers f. A d of zero or less makes it due at once: the next Advance, even by zero, runs it.
func (m *Manual) AfterFunc(d time.Duration, f func()) Timer {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &manualTimer{clock: m, run: f, index: -1}
	m.pushLocked(t, d)
	return t
}

// Advance moves the clock by d and runs every function that falls due on the way, in order of due time (ties in order of
// registration), on the caller's goroutine. While one runs, Now is its due time. Functions may start, stop and reset timers.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	target := m.now.Add(max(d, 0))
	for len(m.timers) > 0 && !m.timers[0].due.After(target) {
		t := heap.Pop(&m.timers).(*manualTimer)
		if t.due.After(m.now) {
			m.now = t.due
		}
		m.mu.Unlock()
		t.run()
		m.mu.Lock()
	}
	if target.After(m.now) {
		m.now = target
	}
	m.mu.Unlock()
}

// Next is the due time of the earliest pending timer; ok is false when there is none.
func (m *Manual) Next() (due time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.timers) == 0 {
		return time.Time{}, false
	}
	return m.timers[0].due, true
}

func (m *Manual) pushLocked(t *manualTimer, d time.Duration) {
	m.seq++
	t.seq, t.due = m.seq, m.now.Add(max(d, 0))
	heap.Push(&m.timers, t)
}

type manualTimer struct {
	clock *Manual
	run   func()
	due   time.Time
	seq   uint64
	index int // place in the heap, -1 when not pending
}

func (t *manualTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.removeLocked()
}

func (t *manualTimer) Reset(d time.Duration) bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	was := t.removeLocked()
	t.clock.pushLocked(t, d)
	return was
}

func (t *manualTimer) removeLocked() bool {
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.clock.timers, t.index)
	return true
}

type timerHeap []*manualTimer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].seq < h[j].seq
	}
	return h[i].due.Before(h[j].due)
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	t := x.(*manualTimer)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
