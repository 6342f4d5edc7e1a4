package commitlog

import (
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/model"
)

// Bytes written by an earlier run may have changed on the disk since. They are checked against their batches' checksums once in a run: by the
// scrubber, or before the first reader gets them, whoever comes first.

// span is a range of positions in a segment file; it begins and ends between batches.
type span struct{ from, to int64 }

// damage is a span that holds no whole batch, and the offsets that are missing with it.
type damage struct {
	span
	first, next model.Offset
}

// checks is what is known of the untrusted part of a segment.
type checks struct {
	mu struct {
		sync.Mutex
		good []span // by position, not touching
		bad  []damage
	}
}

// ledger gives the segment's checks.
func (s *segment) ledger() *checks {
	if c := s.checks.Load(); c != nil {
		return c
	}
	s.checks.CompareAndSwap(nil, &checks{})
	return s.checks.Load()
}

// check makes sure that the bytes from pos, where a batch begins, to stop are what was written. It returns the position up to which
// they may be served: stop, or where the first damaged batch begins.
func (s *segment) check(f *openFile, pos, stop int64, high model.Offset) (int64, error) {
	if pos >= s.trusted {
		return stop, nil
	}
	c := s.ledger()
	c.mu.Lock()
	defer c.mu.Unlock()
	end := min(stop, s.trusted)
	for pos < end {
		if d, ok := c.badAtLocked(pos); ok {
			return d.from, nil
		}
		if g, ok := c.goodAtLocked(pos); ok {
			pos = g.to
			continue
		}
		next, err := s.checkBatchesLocked(c, f, span{pos, end}, high)
		if err != nil {
			return 0, err
		}
		pos = next
	}
	return stop, nil
}

// checkBatchesLocked checks the batches that begin in r, up to the first that is known already, and notes what it finds. It returns where
// it stopped.
func (s *segment) checkBatchesLocked(c *checks, f *openFile, r span, high model.Offset) (int64, error) {
	sc := s.scan(f, r.from, s.trusted)
	defer sc.done()
	low, high := s.base, s.bound(r.from, high)
	follows := r.from == 0 // low is where the batch before ends
	for sc.pos < r.to {
		if _, known := c.goodAtLocked(sc.pos); known && sc.pos > r.from {
			break
		}
		at := sc.pos
		if sc.next() && sc.h.BaseOffset >= low && sc.h.NextOffset() <= high && sc.verify() && s.inPlace(sc, low, follows) {
			low, follows = sc.h.NextOffset(), true
			continue
		}
		if sc.err != nil && !errors.Is(sc.err, errBroken) {
			return 0, sc.err
		}
		c.addGoodLocked(span{r.from, at})
		sc.pos, sc.err = at, errBroken
		_, err := s.condemnLocked(c, sc, low, high)
		return at, err
	}
	c.addGoodLocked(span{r.from, sc.pos})
	return sc.pos, nil
}

// inPlace holds the current batch, whose checksum is right, against the next: the checksum does not cover the base offset, so a batch with a
// changed one is known by the next, which begins before its end. low is where the batch before ends, if follows says so.
func (s *segment) inPlace(sc *scanner, low model.Offset, follows bool) bool {
	next, ok := sc.peek()
	if !ok || next >= sc.h.NextOffset() {
		return true
	}
	return follows && sc.h.BaseOffset == low // then the next one is to blame
}

// condemn marks the bytes from sc.pos to the next whole batch as damaged. low is the first offset they can have held and high one they
// cannot have reached.
func (s *segment) condemn(sc *scanner, low, high model.Offset) (damage, error) {
	c := s.ledger()
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.condemnLocked(c, sc, low, high)
}

func (s *segment) condemnLocked(c *checks, sc *scanner, low, high model.Offset) (damage, error) {
	if d, ok := c.badAtLocked(sc.pos); ok {
		return d, nil
	}
	if s.retired.Load() {
		return damage{}, errGone // these are the bytes of another segment by now
	}
	d := damage{span: span{sc.pos, sc.limit}, first: low, next: high}
	at, found, err := sc.resync(sc.pos+1, low, high)
	if err != nil {
		return d, err
	}
	if found {
		sc.pos, sc.err = at, nil
		if sc.next() {
			d.to, d.next = sc.at, sc.h.BaseOffset
		}
	}
	c.mu.bad = append(c.mu.bad, d)
	invariant.Sometimes("damaged batch found")
	if d.next != math.MaxInt64 { // or nobody knows yet how much is missing
		s.report(Event{Kind: EventCorrupt, TP: s.tp, From: d.first, To: d.next, Bytes: d.to - d.from, Name: segmentFile(s.base, logSuffix)})
	}
	return d, nil
}

func (c *checks) badAtLocked(pos int64) (damage, bool) {
	for _, d := range c.mu.bad {
		if d.from <= pos && pos < d.to {
			return d, true
		}
	}
	return damage{}, false
}

func (c *checks) goodAtLocked(pos int64) (span, bool) {
	i, found := slices.BinarySearchFunc(c.mu.good, pos, func(g span, pos int64) int {
		switch {
		case pos < g.from:
			return 1
		case pos >= g.to:
			return -1
		}
		return 0
	})
	if !found {
		return span{}, false
	}
	return c.mu.good[i], true
}

// addGoodLocked adds a span and joins it with those it touches.
func (c *checks) addGoodLocked(r span) {
	if r.from >= r.to {
		return
	}
	good := c.mu.good
	i, _ := slices.BinarySearchFunc(good, r.from, func(g span, from int64) int { return int(min(max(g.to-from, -1), 1)) })
	j := i
	for j < len(good) && good[j].from <= r.to {
		r.from, r.to = min(r.from, good[j].from), max(r.to, good[j].to)
		j++
	}
	c.mu.good = slices.Replace(good, i, j, r)
}

// damaged lists what was found, by offset.
func (s *segment) damaged() []damage {
	c := s.checks.Load()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.mu.bad)
}

// lost reports whether off was found missing.
func (s *segment) lost(off model.Offset) bool {
	for _, d := range s.damaged() {
		if d.first <= off && off < d.next {
			return true
		}
	}
	return false
}

// checked reports whether every byte was found good.
func (s *segment) checked() bool {
	if s.trusted == 0 {
		return true
	}
	c := s.checks.Load()
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.mu.good) == 1 && c.mu.good[0] == span{0, s.trusted}
}
