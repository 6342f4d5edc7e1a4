package group

import (
	"container/heap"
	"time"

	"github.com/klamm/klamm/internal/coordinator"
)

// alarm is a deadline that moves often. Moving it later costs nothing: its place in the heap stays where it was, and when that time
// comes the alarm is put back. A heartbeat, which only moves one alarm, so touches no heap.
type alarm struct {
	at     time.Time // zero while it is off
	queued time.Time // of its valid entry in the heap; zero when it has none
	ring   func(now time.Time) coordinator.Step
}

func (a *alarm) off() { a.at = time.Time{} }

// alarms is a heap of entries by time, ties in order of entry.
type alarms struct {
	entries []alarmEntry
	seq     uint64
}

type alarmEntry struct {
	at    time.Time
	seq   uint64
	alarm *alarm
}

// set moves a to the given time.
func (s *state) set(a *alarm, at time.Time) {
	a.at = at
	if a.queued.IsZero() || at.Before(a.queued) {
		s.alarms.push(a)
	}
}

func (h *alarms) push(a *alarm) {
	h.seq++
	a.queued = a.at
	heap.Push(h, alarmEntry{a.at, h.seq, a})
}

// next is the earliest time at which an alarm may be due. It may turn out to have moved by then.
func (h *alarms) next() (time.Time, bool) {
	if len(h.entries) == 0 {
		return time.Time{}, false
	}
	return h.entries[0].at, true
}

// pop takes an alarm that is due off the heap and switches it off; nil when none is.
func (h *alarms) pop(now time.Time) *alarm {
	h.settle()
	if len(h.entries) == 0 || h.entries[0].at.After(now) {
		return nil
	}
	a := heap.Pop(h).(alarmEntry).alarm
	a.queued = time.Time{}
	a.off()
	return a
}

// settle brings the first entry up to date: entries of alarms that were moved are put in their right place, those of alarms that are off
// go.
func (h *alarms) settle() {
	for len(h.entries) > 0 {
		e := h.entries[0]
		if e.at.Equal(e.alarm.queued) && e.at.Equal(e.alarm.at) {
			return
		}
		heap.Pop(h)
		if !e.at.Equal(e.alarm.queued) {
			continue // a later setting made another entry
		}
		e.alarm.queued = time.Time{}
		if !e.alarm.at.IsZero() {
			h.push(e.alarm)
		}
	}
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (h *alarms) Len() int { return len(h.entries) }

// Less orders by time, then by age.
func (h *alarms) Less(i, j int) bool {
	a, b := &h.entries[i], &h.entries[j]
	if a.at.Equal(b.at) {
		return a.seq < b.seq
	}
	return a.at.Before(b.at)
}

// Swap exchanges two entries.
func (h *alarms) Swap(i, j int) { h.entries[i], h.entries[j] = h.entries[j], h.entries[i] }

// Push adds an entry.
func (h *alarms) Push(x any) { h.entries = append(h.entries, x.(alarmEntry)) }

// Pop removes the last entry.
func (h *alarms) Pop() any {
	last := len(h.entries) - 1
	e := h.entries[last]
	h.entries[last] = alarmEntry{}
	h.entries = h.entries[:last]
	return e
}
