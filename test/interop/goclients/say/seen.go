package say

import (
	"fmt"
	"sync"
)

// Seen counts how often each value was consumed, by any member of a group.
type Seen struct {
	mu     sync.Mutex
	counts map[string]int
}

// Add notes one consumed value.
func (s *Seen) Add(value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[string]int{}
	}
	s.counts[string(value)]++
}

// Len is how many different values were consumed.
func (s *Seen) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.counts)
}

// String says how many values were consumed, and how many of them more than once.
func (s *Seen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	twice := 0
	for _, n := range s.counts {
		if n > 1 {
			twice++
		}
	}
	return fmt.Sprintf("records=%d twice=%d", len(s.counts), twice)
}

// Owned counts the partitions that a member of a group holds.
type Owned struct {
	mu sync.Mutex
	n  int
}

// Add adds partitions, or takes them away.
func (o *Owned) Add(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n += n
}

// Len is how many partitions are held.
func (o *Owned) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n
}
