package server

import (
	"sync"
	"sync/atomic"
)

// Chunks come in powers of four from 1 KiB to 16 MiB, the larger ones with a little on top, so that a batch of a round size fits with the
// request around it. Still larger ones are made to measure and not kept.
const (
	minChunkShift = 10
	chunkClasses  = 8
	toppedClass   = 2 // from here on
	toppedShare   = 16
	// smallClass is the largest chunk that may use all of the bound.
	smallClass = 3
)

// chunk is a piece of pooled memory that one connection reads into.
type chunk struct {
	b        []byte
	class    int8 // -1: made to measure
	overdrew bool
}

// memory hands out chunks against one bound for the whole server.
//
// Frames that need more than a base chunk may use three quarters of the bound; the rest is kept for small requests, so that a flood of
// large half-sent frames does not starve well-behaved clients. When the bound is reached by connections that all hold the beginning of
// a frame, none could finish: therefore one frame at a time may overdraw.
type memory struct {
	limit   int64
	used    atomic.Int64
	waiting atomic.Int32
	pools   [chunkClasses]sync.Pool
	bufs    sync.Pool // *[]byte of replies

	mu struct {
		sync.Mutex
		overdrawn bool
	}
	freed sync.Cond
}

func newMemory(limit int64) *memory {
	m := &memory{limit: limit}
	m.freed.L = &m.mu
	return m
}

// classOf is the smallest class that holds n bytes.
func classOf(n int) int {
	class := 0
	for class < chunkClasses && classBytes(class) < n {
		class++
	}
	return class
}

func classBytes(class int) int {
	n := 1 << (minChunkShift + 2*class)
	if class >= toppedClass {
		n += n / toppedShare
	}
	return n
}

// tryTake returns a chunk of at least n bytes, or nil when used memory would exceed limit.
func (m *memory) tryTake(n int, limit int64) *chunk {
	class, size := classOf(n), n
	if class < chunkClasses {
		size = classBytes(class)
	} else {
		class = -1
	}
	if m.used.Add(int64(size)) > limit {
		m.used.Add(int64(-size))
		return nil
	}
	return m.get(class, size)
}

// take is tryTake without a bound, for memory that was promised: what it takes is counted and makes others wait.
func (m *memory) take(n int) *chunk { return m.tryTake(n, 1<<62) }

func (m *memory) get(class, size int) *chunk {
	if class >= 0 {
		if c, ok := m.pools[class].Get().(*chunk); ok {
			return c
		}
	}
	return &chunk{b: make([]byte, size), class: int8(class)}
}

// put gives the memory back.
func (m *memory) put(c *chunk) {
	overdrew, size := c.overdrew, int64(len(c.b))
	c.overdrew = false
	if c.class >= 0 {
		m.pools[c.class].Put(c)
	}
	if overdrew {
		m.mu.Lock()
		m.mu.overdrawn = false
		m.freed.Broadcast()
		m.mu.Unlock()
		return
	}
	m.add(-size)
}

// add counts memory that is not in chunks, or no longer.
func (m *memory) add(n int64) {
	if m.used.Add(n); n < 0 && m.waiting.Load() > 0 {
		m.mu.Lock()
		m.freed.Broadcast()
		m.mu.Unlock()
	}
}

// limitFor is the bound that a chunk of n bytes is held to.
func (m *memory) limitFor(n int) int64 {
	if n <= classBytes(smallClass) {
		return m.limit
	}
	return m.limit / 4 * 3
}

// awaitFor takes n bytes for a frame whose beginning is in old as soon as there is room, or at once as the one overdraft. It returns nil
// when dead says so.
func (m *memory) awaitFor(old *chunk, n int, dead func() bool) *chunk {
	m.waiting.Add(1)
	defer m.waiting.Add(-1)
	m.mu.Lock()
	defer m.mu.Unlock()
	for !dead() {
		if c := m.tryTake(n, m.limitFor(n)); c != nil {
			return c
		}
		mine := old != nil && old.overdrew
		if mine || !m.mu.overdrawn {
			m.mu.overdrawn = true
			c := m.take(n)
			// It does not count, or it would keep everyone else from what the bound still allows.
			m.used.Add(-int64(len(c.b)))
			c.overdrew = true
			if mine {
				old.overdrew = false
				m.used.Add(int64(len(old.b)))
			}
			return c
		}
		m.freed.Wait()
	}
	return nil
}

// wake makes every waiter look again whether it is dead.
func (m *memory) wake() {
	if m.waiting.Load() > 0 {
		m.mu.Lock()
		m.freed.Broadcast()
		m.mu.Unlock()
	}
}

// maxPooledBuf is the largest reply buffer kept for reuse.
const maxPooledBuf = 64 * kib

func (m *memory) buf() *[]byte {
	if b, ok := m.bufs.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, 512)
	return &b
}

func (m *memory) putBuf(b *[]byte) {
	*b = (*b)[:0]
	if cap(*b) <= maxPooledBuf {
		m.bufs.Put(b)
	}
}
