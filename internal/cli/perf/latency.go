package perf

import (
	"math/bits"
	"sync"
	"time"
)

// Latencies counts durations in buckets less than one percent wide, from a microsecond to days, in memory that does not grow.
type Latencies struct {
	mu struct {
		sync.Mutex
		buckets [64 << subBits]int64
		count   int64
		sum     time.Duration
		max     time.Duration
	}
}

// subBits: each power of two is cut into 2^subBits buckets.
const subBits = 7

func bucketOf(us uint64) int {
	if us < 1<<subBits {
		return int(us)
	}
	shift := bits.Len64(us) - subBits - 1
	return (shift+1)<<subBits + int(us>>shift) - 1<<subBits
}

// lowest is the smallest value of a bucket, in microseconds.
func lowest(bucket int) uint64 {
	if bucket < 1<<subBits {
		return uint64(bucket)
	}
	shift := bucket>>subBits - 1
	return uint64(bucket&(1<<subBits-1)+1<<subBits) << shift
}

// Record counts one duration.
func (l *Latencies) Record(d time.Duration) {
	d = max(d, 0)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.buckets[bucketOf(uint64(d/time.Microsecond))]++
	l.mu.count++
	l.mu.sum += d
	l.mu.max = max(l.mu.max, d)
}

// Quantile is the duration below which the part q of all durations lies, to within a bucket.
func (l *Latencies) Quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	want := int64(q * float64(l.mu.count))
	var seen int64
	for b, n := range l.mu.buckets {
		if seen += n; n > 0 && seen > want {
			return min(time.Duration(lowest(b))*time.Microsecond, l.mu.max)
		}
	}
	return l.mu.max
}

// Count is how many durations were recorded.
func (l *Latencies) Count() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.count
}

// Max is the longest duration.
func (l *Latencies) Max() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.max
}

// Mean is the average duration, 0 when there is none.
func (l *Latencies) Mean() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.count == 0 {
		return 0
	}
	return l.mu.sum / time.Duration(l.mu.count)
}
