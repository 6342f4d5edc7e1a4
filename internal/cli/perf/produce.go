package perf

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ProduceOptions describe a load of records.
type ProduceOptions struct {
	Client  *kgo.Client
	Topic   string
	Records int64
	Payload func(i int64) []byte // of record i; must not be changed afterwards
	Rate    float64              // records per second; 0 or less for as fast as it goes
	Warmup  int64                // the first records, which Steady leaves out
	Every   time.Duration        // how often Window is called
	Window  func(Window)         // may be nil
}

// Window is what happened since the last one.
type Window struct {
	Records       int64
	Bytes         int64
	Elapsed       time.Duration
	Mean, Longest time.Duration
}

// Line is what Kafka's tool prints for a window.
func (w Window) Line() string {
	perSecond := float64(w.Records) / w.Elapsed.Seconds()
	mb := float64(w.Bytes) / w.Elapsed.Seconds() / (1 << 20)
	return fmt.Sprintf("%d records sent, %.1f records/sec (%.2f MB/sec), %.1f ms avg latency, %.1f ms max latency.", w.Records, perSecond, mb, ms(w.Mean), ms(w.Longest))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Produced is the result of a load.
type Produced struct {
	Records, Failed int64
	Bytes           int64
	Elapsed         time.Duration
	Latency         *Latencies
	FirstError      error
}

// Line is Kafka's summary; steady is "" or "steady state ".
func (p Produced) Line(steady string) string {
	rate := float64(p.Records) / p.Elapsed.Seconds()
	mb := float64(p.Bytes) / p.Elapsed.Seconds() / (1 << 20)
	q := func(f float64) int64 { return p.Latency.Quantile(f).Round(time.Millisecond).Milliseconds() }
	return fmt.Sprintf("%d %srecords sent, %f records/sec (%.2f MB/sec), %.2f ms avg latency, %.2f ms max latency, %d ms 50th, %d ms 95th, %d ms 99th, %d ms 99.9th.",
		p.Records, steady, rate, mb, ms(p.Latency.Mean()), ms(p.Latency.Max()), q(0.5), q(0.95), q(0.99), q(0.999))
}

// Produce runs the load and returns what was acknowledged, over all and after the warm-up.
func Produce(ctx context.Context, o ProduceOptions) (all, steady Produced) {
	t := &tally{all: Produced{Latency: &Latencies{}}, steady: Produced{Latency: &Latencies{}}, begun: time.Now(), every: o.Every, report: o.Window}
	t.window.since = t.begun
	pace := pacer{begun: t.begun, rate: o.Rate}
	for i := range o.Records {
		if i == o.Warmup {
			t.steadyFrom.Store(int64(time.Since(t.begun)))
		}
		if err := pace.wait(ctx, i); err != nil {
			break
		}
		payload := o.Payload(i)
		sent := time.Now()
		o.Client.Produce(ctx, &kgo.Record{Topic: o.Topic, Value: payload}, func(_ *kgo.Record, err error) {
			t.acknowledged(len(payload), time.Since(sent), i >= o.Warmup, err)
		})
	}
	_ = o.Client.Flush(ctx) // a record that could not be sent has told its own callback
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all.Elapsed = time.Since(t.begun)
	t.steady.Elapsed = t.all.Elapsed - time.Duration(t.steadyFrom.Load())
	return t.all, t.steady
}

// tally counts acknowledgements.
type tally struct {
	mu          sync.Mutex
	all, steady Produced
	window      struct {
		Window
		since time.Time
		sum   time.Duration
	}
	begun      time.Time
	steadyFrom atomic.Int64
	every      time.Duration
	report     func(Window)
}

func (t *tally) acknowledged(bytes int, latency time.Duration, steady bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.all.Failed++
		if t.all.FirstError == nil {
			t.all.FirstError = err
		}
		return
	}
	t.all.add(bytes, latency)
	if steady {
		t.steady.add(bytes, latency)
	}
	w := &t.window
	w.Records++
	w.Bytes += int64(bytes)
	w.sum += latency
	w.Longest = max(w.Longest, latency)
	if now := time.Now(); t.report != nil && t.every > 0 && now.Sub(w.since) >= t.every {
		w.Elapsed, w.Mean = now.Sub(w.since), w.sum/time.Duration(w.Records)
		t.report(w.Window)
		w.Window, w.sum, w.since = Window{}, 0, now
	}
}

func (p *Produced) add(bytes int, latency time.Duration) {
	p.Records++
	p.Bytes += int64(bytes)
	p.Latency.Record(latency)
}

// pacer keeps a load at its rate: it waits when the load is ahead, in steps long enough for the timer to be true.
type pacer struct {
	begun time.Time
	rate  float64
}

func (p pacer) wait(ctx context.Context, i int64) error {
	if p.rate <= 0 {
		return ctx.Err()
	}
	due := p.begun.Add(time.Duration(float64(i) / p.rate * float64(time.Second)))
	ahead := time.Until(due)
	if ahead < 200*time.Microsecond {
		return ctx.Err()
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
