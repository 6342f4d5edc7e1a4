package controller

import "sync"

// inbox is the loop's queue. It has no bound of its own: what enters is bounded by the connections that wait for an answer.
type inbox struct {
	mu struct {
		sync.Mutex
		queue []func()
		shut  bool
	}
	signal chan struct{}
}

func (b *inbox) init() { b.signal = make(chan struct{}, 1) }

// push never blocks. After shut the function runs at once: the loop is over and nothing races with it but other pushes, which the
// lock keeps apart.
func (b *inbox) push(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.shut {
		f()
		return
	}
	b.mu.queue = append(b.mu.queue, f)
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

// take waits for work and returns all there is.
func (b *inbox) take() []func() {
	<-b.signal
	b.mu.Lock()
	defer b.mu.Unlock()
	work := b.mu.queue
	b.mu.queue = nil
	return work
}

// shut ends the queue and returns what was left in it.
func (b *inbox) shut() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	work := b.mu.queue
	b.mu.queue, b.mu.shut = nil, true
	return work
}
