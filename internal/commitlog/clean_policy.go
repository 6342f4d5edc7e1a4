package commitlog

import (
	"time"

	"github.com/klamm/klamm/internal/model"
)

// cleanable is what the cleaner may work on in a log: sealed segments that are durable, committed, decided and old enough.
type cleanable struct {
	log         *Log
	segments    []*segment   // from the log's oldest on
	all         []*segment   // of the log at that time; the rest stays as it is
	dirty       model.Offset // what lies before was cleaned
	dirtyBytes  int64
	totalBytes  int64
	overdue     bool // by max.compaction.lag.ms
	truncations uint64
}

// ratio is how much of the log could not have been cleaned before.
func (c *cleanable) ratio() float64 {
	if c.totalBytes == 0 {
		return 0
	}
	return float64(c.dirtyBytes) / float64(c.totalBytes)
}

// due reports whether cleaning is worth it: min.cleanable.dirty.ratio is exceeded, or the oldest dirty record waits too long (KIP-354).
func (c *cleanable) due(cfg *CompactionConfig) bool {
	return c.dirtyBytes > 0 && (c.overdue || c.ratio() > cfg.MinDirtyRatio)
}

// cleanable looks what there is to clean. ok is false when nothing can be.
func (l *Log) cleanable(now time.Time) (c cleanable, ok bool, err error) {
	cfg := &l.config.Load().Compaction
	if !cfg.Compact {
		return c, false, nil
	}
	limit := l.beginCleaning(&c)
	for i := range len(c.all) - 1 {
		if c.all[i+1].base > limit {
			break
		}
		c.segments = c.all[:i+1]
	}
	if err := c.measure(cfg, now); err != nil || len(c.segments) == 0 {
		return c, false, err
	}
	return c, true, nil
}

// beginCleaning takes a view of the log and tells how far it may be cleaned: never what may yet be truncated, lost or left undecided.
func (l *Log) beginCleaning(c *cleanable) (limit model.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.log, c.all, c.truncations = l, l.segments.Load().segments, l.mu.truncations
	c.dirty = max(l.mu.cleanedTo, l.Start())
	if c.dirty > c.all[len(c.all)-1].base {
		c.dirty = l.Start() // the checkpoint is of another life of this log
	}
	limit = min(l.HighWatermark(), l.DurableEnd(), l.mu.recoveryPoint)
	if first, ok := l.FirstUnstable(); ok {
		limit = min(limit, first)
	}
	return limit
}

// measure cuts the segments where min.compaction.lag.ms begins, and sums up the rest.
func (c *cleanable) measure(cfg *CompactionConfig, now time.Time) error {
	for i, s := range c.segments {
		isDirty := c.all[i+1].base > c.dirty
		if isDirty && cfg.MinLag > 0 {
			largest, err := s.largestTime()
			if err != nil {
				return err
			}
			if largest > now.Add(-cfg.MinLag).UnixMilli() {
				c.segments = c.segments[:i]
				return nil
			}
		}
		size := s.size.Load()
		c.totalBytes += size
		if !isDirty {
			continue
		}
		if c.dirtyBytes == 0 && cfg.MaxLag > 0 && cfg.MaxLag < maxLagOff {
			first, err := s.firstTime()
			if err != nil {
				return err
			}
			c.overdue = first >= 0 && milliseconds(now.UnixMilli()-first) > cfg.MaxLag
		}
		c.dirtyBytes += size
	}
	return nil
}

// maxLagOff is a max.compaction.lag.ms that nobody means to wait for: Kafka's default is the largest number there is.
const maxLagOff = 100 * 365 * 24 * time.Hour

// firstTime is the largest timestamp of the segment's first batch with records (ms), -1 without one.
func (s *segment) firstTime() (int64, error) {
	f, err := s.openData()
	if err != nil {
		return -1, err
	}
	defer f.unref()
	sc := s.scan(f, 0, s.size.Load())
	defer sc.done()
	for sc.next() {
		if ts := latestTime(&sc.h); ts >= 0 {
			return ts, nil
		}
	}
	return -1, badBatchOr(sc.err)
}

// rollAge is how old the records of an active segment get: segment.ms, or less if max.compaction.lag.ms wants them cleaned before (KIP-354).
func (c *Config) rollAge() time.Duration {
	if c.Compaction.Compact && c.Compaction.MaxLag > 0 {
		return min(c.Segment.Age, c.Compaction.MaxLag)
	}
	return c.Segment.Age
}
