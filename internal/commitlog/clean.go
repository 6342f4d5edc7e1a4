package commitlog

import (
	"errors"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
)

// The log cleaner: compaction as in Kafka. Of the records with one key the last stays, in its place and with its offset. A pass reads the
// dirty part of a log into a map of keys, then writes every segment up to there anew without what the map supersedes, several
// small ones into one. Markers and empty batches stay while transactions and idempotent producers need them, a tombstone stays for
// delete.retention.ms after the pass that first met it (KIP-534). See docs/format/compaction.md for the order of renames.

// cleaner compacts the logs of a directory, one at a time, the dirtiest first.
type cleaner struct {
	dir   *Dir
	wake  chan struct{} // holds one
	quit  <-chan struct{}
	timer clock.Timer
	// bad are logs with damaged segments: what damaged records superseded is not known, so nothing of them is removed.
	bad map[*Log]bool
}

func newCleaner(d *Dir) *cleaner {
	return &cleaner{dir: d, wake: make(chan struct{}, 1), bad: map[*Log]bool{}}
}

// pace is how often the cleaner looks, and how much memory a pass may take. It may change while the cleaner works.
type pace struct {
	interval time.Duration
	memory   int64
}

// SetCleaner changes DirOptions.CleanInterval and CleanerMemory. The cleaner looks at once, and from then on in the new interval.
func (d *Dir) SetCleaner(interval time.Duration, memory int64) {
	p := pace{max(interval, time.Millisecond), max(memory, 1)} // Kafka allows a backoff of 0
	if old := d.pace.Swap(&p); *old != p {
		d.cleaner.poke()
	}
}

// run works until quit is closed.
func (c *cleaner) run(quit <-chan struct{}) {
	c.quit = quit
	c.timer = c.dir.env.Clock.AfterFunc(c.dir.pace.Load().interval, c.poke)
	defer c.timer.Stop()
	for {
		select {
		case <-quit:
			return
		case <-c.wake:
		}
		for c.work() {
		}
		c.timer.Reset(c.dir.pace.Load().interval)
	}
}

func (c *cleaner) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// stopped reports whether the work at hand should be dropped.
func (c *cleaner) stopped() bool {
	select {
	case <-c.quit:
		return true
	default:
		return c.dir.err() != nil
	}
}

// work cleans the log that needs it most and reports whether there was one.
func (c *cleaner) work() bool {
	if c.stopped() {
		return false
	}
	now := c.dir.env.Clock.Now()
	best, ok := c.choose(now)
	if !ok {
		return false
	}
	before := best.log.Size()
	end, err := c.clean(&best, now)
	if err == nil && end > best.dirty {
		err = best.log.finishCleaning(end, best.truncations)
	}
	switch {
	case err == nil:
		took := c.dir.env.Clock.Now().Sub(now)
		c.dir.report(Event{Kind: EventCleaned, TP: best.log.tp, From: best.dirty, To: end, Bytes: before - best.log.Size(), Took: took})
		return end > best.dirty
	case errors.Is(err, ErrCorrupt):
		c.bad[best.log] = true
		return true
	default:
		// Stopped, a full disk, or the log changed under the pass: the next look begins anew.
		return false
	}
}

// choose finds the log that is due and dirtiest.
func (c *cleaner) choose(now time.Time) (best cleanable, found bool) {
	logs := c.dir.logs()
	for _, l := range logs {
		if c.bad[l] || l.future || l.closed.Load() {
			continue
		}
		x, ok, err := l.cleanable(now)
		if err != nil || !ok || !x.due(&l.config.Load().Compaction) {
			if errors.Is(err, ErrCorrupt) {
				c.bad[l] = true
			}
			continue
		}
		if !found || (x.overdue && !best.overdue) || (x.overdue == best.overdue && x.ratio() > best.ratio()) {
			best, found = x, true
		}
	}
	c.forgetClosed(logs)
	return best, found
}

// forgetClosed lets go of bad logs that are closed.
func (c *cleaner) forgetClosed(open []*Log) {
	if len(c.bad) == 0 {
		return
	}
	still := map[*Log]bool{}
	for _, l := range open {
		if c.bad[l] {
			still[l] = true
		}
	}
	c.bad = still
}

// errChanged ends a pass over segments that were truncated or deleted meanwhile.
var errChanged = errors.New("log changed while it was cleaned")

// errStopped ends a pass because the directory closes.
var errStopped = errors.New("cleaning was stopped")

// finishCleaning notes how far the log is clean, durably: tombstones are only dropped behind values that are certainly gone.
func (l *Log) finishCleaning(end model.Offset, truncations uint64) error {
	l.mu.Lock()
	if l.mu.truncations != truncations || l.closed.Load() {
		l.mu.Unlock()
		return errChanged
	}
	l.mu.cleanedTo = end
	l.mu.Unlock()
	return l.care.storeCleaned()
}
