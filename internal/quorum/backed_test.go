package quorum

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestBackingEndsWithTheMajority: who leads and hears nothing any more knows since when, and who does not lead is backed by nobody.
func TestBackingEndsWithTheMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3)
		defer w.stopAll()
		w.await("backing", 10*time.Second, func() bool { l := w.leader(); return l != nil && time.Since(l.q.Backed()) < time.Second })
		leader := w.leader()
		for _, n := range w.nodes {
			if n != leader && !n.q.Backed().IsZero() {
				t.Errorf("a follower is backed since %v", n.q.Backed())
			}
		}
		for id, n := range w.nodes {
			if n != leader {
				w.crash(id)
			}
		}
		gone := time.Now()
		for range 100 { // it steps down after a while: until then it is backed by those that were
			time.Sleep(10 * time.Millisecond) // of the bubble
			if at := leader.q.Backed(); at.After(gone.Add(100 * time.Millisecond)) {
				t.Fatalf("backed %v after the others went", at.Sub(gone))
			}
		}
	})
}
