package commitlog

import (
	"time"

	"github.com/klamm/klamm/internal/model"
)

// scrubber reads what earlier runs wrote, slowly, and holds it against its checksums, so that damage is known while there is still somewhere to
// repair it from.
type scrubber struct {
	dir  *Dir
	rate int64
	wake chan struct{} // holds one
}

const (
	scrubPause = 100 * time.Millisecond // the work of so long is done in one go
	scrubRound = time.Hour              // logs opened meanwhile are found in the next round
)

func newScrubber(d *Dir) *scrubber {
	return &scrubber{dir: d, rate: d.o.ScrubRate, wake: make(chan struct{}, 1)}
}

// run works until quit is closed.
func (r *scrubber) run(quit <-chan struct{}) {
	if r.rate <= 0 {
		return
	}
	step := max(r.rate*int64(scrubPause)/int64(time.Second), 1)
	for {
		for _, l := range r.dir.logs() {
			v := l.segments.Load()
			for i, s := range v.segments {
				if !r.scrub(l, s, v.high(i), step, quit) {
					return
				}
			}
		}
		if !r.sleep(scrubRound, quit) {
			return
		}
	}
}

// sleep waits, and reports false when the directory closes meanwhile.
func (r *scrubber) sleep(d time.Duration, quit <-chan struct{}) bool {
	timer := r.dir.env.Clock.AfterFunc(d, func() {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	})
	defer timer.Stop()
	select {
	case <-quit:
		return false
	case <-r.wake:
		return true
	}
}

// scrub checks one segment, about step bytes at a time. It reports false when the directory closes meanwhile.
func (r *scrubber) scrub(l *Log, s *segment, high model.Offset, step int64, quit <-chan struct{}) bool {
	for pos := int64(0); pos < s.trusted && l.usable() == nil && !s.checked(); {
		next, err := s.scrub(span{pos, pos + step}, high)
		if err != nil {
			return true // deleted, or the directory is offline
		}
		pos = next
		if !r.sleep(scrubPause, quit) {
			return false
		}
	}
	return true
}

// scrub checks the batches that begin in r, as far as this run does not know them, and returns where the next one begins.
func (s *segment) scrub(r span, high model.Offset) (int64, error) {
	f, err := s.openData()
	if err != nil {
		return 0, err
	}
	defer f.unref()
	c := s.ledger()
	c.mu.Lock()
	defer c.mu.Unlock()
	if d, ok := c.badAtLocked(r.from); ok {
		return d.to, nil
	}
	if g, ok := c.goodAtLocked(r.from); ok {
		return g.to, nil
	}
	return s.checkBatchesLocked(c, f, span{r.from, min(r.to, s.trusted)}, high)
}
