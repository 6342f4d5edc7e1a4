//go:build invariants

package invariant

import (
	"maps"
	"sync"
)

// Expensive guards checks whose cost would show; it is true in this build.
func Expensive() bool { return true }

// reached is the one piece of package state here: the states a whole test process has seen, whoever saw them.
var reached struct {
	sync.Mutex
	counts map[string]uint64
}

// Sometimes notes that an interesting state was reached.
func Sometimes(id string) {
	reached.Lock()
	defer reached.Unlock()
	if reached.counts == nil {
		reached.counts = map[string]uint64{}
	}
	reached.counts[id]++
}

// Reached is the number of times each state was noted since the process began.
func Reached() map[string]uint64 {
	reached.Lock()
	defer reached.Unlock()
	return maps.Clone(reached.counts)
}
