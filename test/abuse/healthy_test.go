package abuse

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// healthy is a client that behaves: it produces one record after the other with acks=all and consumes them, all the while somebody else
// attacks its broker.
type healthy struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     struct {
		sync.Mutex
		latencies []time.Duration // of each record, from the call until it is acknowledged
		consumed  []string
		errs      []error
		more      chan struct{} // closed and replaced at each record consumed
	}
}

// healthyPause is the time between two records, so that the client needs the broker, not the machine.
const healthyPause = 10 * time.Millisecond

// serve starts the client and returns once it has seen its first records come back.
func (tg *target) serve(t *testing.T) *healthy {
	t.Helper()
	topic := "healthy-" + fresh(t)
	tg.createTopic(t, topic, 1, nil)
	ctx, cancel := context.WithCancel(context.Background())
	h := &healthy{cancel: cancel}
	h.mu.more = make(chan struct{})
	producer := tg.client(t, kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0), kgo.RecordDeliveryTimeout(30*time.Second))
	consumer := tg.client(t, kgo.ConsumeTopics(topic), kgo.FetchMaxWait(time.Second))
	h.wg.Go(func() { h.produce(ctx, producer) })
	h.wg.Go(func() { h.consume(ctx, consumer) })
	h.awaitProgress(t, 10)
	return h
}

func (h *healthy) produce(ctx context.Context, cl *kgo.Client) {
	tick := time.NewTicker(healthyPause)
	defer tick.Stop()
	for i := 0; ; i++ {
		begun := time.Now()
		// A record once begun is finished, so that what was acknowledged is what was sent.
		err := cl.ProduceSync(context.WithoutCancel(ctx), kgo.StringRecord(strconv.Itoa(i))).FirstErr()
		h.mu.Lock()
		h.mu.latencies = append(h.mu.latencies, time.Since(begun))
		if err != nil {
			h.mu.errs = append(h.mu.errs, fmt.Errorf("produce %d: %w", i, err))
		}
		h.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (h *healthy) consume(ctx context.Context, cl *kgo.Client) {
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		h.mu.Lock()
		fetches.EachError(func(_ string, _ int32, err error) {
			if ctx.Err() == nil {
				h.mu.errs = append(h.mu.errs, fmt.Errorf("consume: %w", err))
			}
		})
		fetches.EachRecord(func(r *kgo.Record) { h.mu.consumed = append(h.mu.consumed, string(r.Value)) })
		close(h.mu.more)
		h.mu.more = make(chan struct{})
		h.mu.Unlock()
	}
}

// awaitProgress waits until n more records have made the whole way.
func (h *healthy) awaitProgress(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	target := -1
	for {
		h.mu.Lock()
		if target < 0 {
			target = len(h.mu.consumed) + n
		}
		done, more := len(h.mu.consumed) >= target, h.mu.more
		h.mu.Unlock()
		if done {
			return
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("the client beside the attack got %d of %d more records in 30 s", len(h.mu.consumed)+n-target, n)
		}
	}
}

// stop ends the client and wants it to have seen no error, to have got what it sent in order, and never to have waited long.
func (h *healthy) stop(t *testing.T, slowest time.Duration) {
	t.Helper()
	h.awaitProgress(t, 10)
	h.cancel()
	h.wg.Wait()
	for _, err := range h.mu.errs[:min(5, len(h.mu.errs))] {
		t.Errorf("the client beside the attack: %v", err)
	}
	for i, v := range h.mu.consumed {
		if v != strconv.Itoa(i) {
			t.Errorf("the client beside the attack got %q as record %d", v, i)
			break
		}
	}
	slices.Sort(h.mu.latencies)
	n := len(h.mu.latencies)
	p50, p99, most := h.mu.latencies[n/2], h.mu.latencies[n*99/100], h.mu.latencies[n-1]
	t.Logf("the client beside the attack: %d records, p50 %s, p99 %s, slowest %s", n, p50, p99, most)
	if most > slowest {
		t.Errorf("a record of the client beside the attack took %s, limit %s", most, slowest)
	}
}
