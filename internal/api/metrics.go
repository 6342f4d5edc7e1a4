package api

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/wire"
)

// Metrics count what the API does. All fields may be read at any time; node exports them.
type Metrics struct {
	APIs [maxKey]APIMetrics // by key

	// Requests of keys or versions that are not served, and requests that could not be read.
	Unsupported, Malformed atomic.Int64
	// Partitions of Produce and Fetch that were answered with an error.
	FailedProduces, FailedFetches atomic.Int64
}

// APIMetrics count the requests of one API and the time from their arrival to their answer.
type APIMetrics struct {
	Requests atomic.Int64
	Micros   atomic.Int64 // in all, in microseconds
	buckets  [latencyBuckets]atomic.Int64
}

// latencyBuckets double from 16 microseconds on; the last one, above 33 s, has no end.
const (
	latencyBuckets  = 22
	firstBucketBits = 4
)

// Replied implements server.Observer.
func (m *Metrics) Replied(key wire.Key, took time.Duration) {
	if key < 0 || key >= maxKey {
		return
	}
	us := max(took.Microseconds(), 0)
	a := &m.APIs[key]
	a.Requests.Add(1)
	a.Micros.Add(us)
	a.buckets[min(max(bits.Len64(uint64(us))-firstBucketBits, 0), latencyBuckets-1)].Add(1)
}

// Latencies yields the upper bound of each bucket and how many requests took no longer than that: a cumulative histogram.
func (a *APIMetrics) Latencies(yield func(atMost time.Duration, requests int64) bool) {
	n := int64(0)
	for i := range latencyBuckets - 1 {
		n += a.buckets[i].Load()
		if !yield(time.Microsecond<<(firstBucketBits+i), n) {
			return
		}
	}
}
