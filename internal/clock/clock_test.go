package clock

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestManualRunsDueFunctionsInOrder(t *testing.T) {
	start := time.Unix(1000, 0)
	m := NewManual(start)
	var ran []string
	note := func(s string) func() {
		return func() { ran = append(ran, s+"@"+m.Now().Sub(start).String()) }
	}
	m.AfterFunc(3*time.Second, note("c"))
	m.AfterFunc(time.Second, note("a"))
	m.AfterFunc(time.Second, note("b"))
	stopped := m.AfterFunc(2*time.Second, note("never"))
	moved := m.AfterFunc(10*time.Second, note("d"))
	if !stopped.Stop() || stopped.Stop() {
		t.Fatal("Stop must report true once")
	}
	if !moved.Reset(4 * time.Second) {
		t.Fatal("Reset of a pending timer must report true")
	}
	m.AfterFunc(2*time.Second, func() { m.AfterFunc(time.Second, note("e")) })
	m.Advance(5 * time.Second)
	want := []string{"a@1s", "b@1s", "c@3s", "e@3s", "d@4s"}
	if !slices.Equal(ran, want) {
		t.Fatalf("ran %v, want %v", ran, want)
	}
	if got := m.Now().Sub(start); got != 5*time.Second {
		t.Fatalf("clock stands at %v", got)
	}
	if moved.Reset(time.Second) {
		t.Fatal("Reset of a timer that ran must report false")
	}
	if due, ok := m.Next(); !ok || due.Sub(start) != 6*time.Second {
		t.Fatalf("next due %v %v", due, ok)
	}
}

func TestManualRunsZeroDelayOnAdvanceZero(t *testing.T) {
	m := NewManual(time.Unix(0, 0))
	n := 0
	m.AfterFunc(-time.Second, func() { n++ })
	if n != 0 {
		t.Fatal("ran before Advance")
	}
	m.Advance(0)
	if n != 1 {
		t.Fatalf("ran %d times", n)
	}
	if _, ok := m.Next(); ok {
		t.Fatal("a timer is left")
	}
}

func TestRealFollowsTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, done := Real(), make(chan time.Time, 1)
		start := c.Now()
		c.AfterFunc(time.Minute, func() { done <- c.Now() })
		if d := (<-done).Sub(start); d != time.Minute {
			t.Fatalf("ran after %v", d)
		}
	})
}
