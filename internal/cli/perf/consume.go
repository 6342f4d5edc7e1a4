package perf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ConsumeOptions describe a read.
type ConsumeOptions struct {
	// Open makes the client with the options it is given, which notice when partitions are assigned.
	Open    func(...kgo.Opt) (*kgo.Client, error)
	Records int64
	Idle    time.Duration // give up when nothing came for so long
	Every   time.Duration // how often Progress is called
	// Progress is called with what came in the last interval and over all; may be nil.
	Progress func(last, all Consumed)
	Group    bool // assignments are awaited; without a group reading starts at once
}

// Consumed is the result of a read.
type Consumed struct {
	Begun, Ended time.Time
	Records      int64
	Bytes        int64
	Joining      time.Duration // until partitions were assigned
	TimedOut     bool
}

// Layout of the CSV lines Kafka's tool prints.
const (
	ConsumeHeader = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec"
	DetailHeader  = "time, threadId, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec"
	// DateFormat is Java's yyyy-MM-dd HH:mm:ss:SSS; the last colon is set by hand, Go has no such layout.
	DateFormat = "2006-01-02 15:04:05"
)

// Stamp prints a time as Kafka's tool does.
func Stamp(t time.Time) string {
	return fmt.Sprintf("%s:%03d", t.Format(DateFormat), t.Nanosecond()/int(time.Millisecond))
}

// Line is Kafka's summary.
func (c Consumed) Line() string {
	return fmt.Sprintf("%s, %s, %s", Stamp(c.Begun), Stamp(c.Ended), c.numbers())
}

// Detail is Kafka's line for an interval: all is the whole read, c the interval.
func (c Consumed) Detail(all Consumed) string {
	mb, elapsed := float64(all.Bytes)/(1<<20), c.Ended.Sub(c.Begun)
	fetch := max(elapsed-c.Joining, time.Millisecond)
	lastMB := float64(c.Bytes) / (1 << 20)
	return fmt.Sprintf("%s, 0, %.4f, %.4f, %d, %.4f, %d, %d, %.4f, %.4f", Stamp(c.Ended), mb, lastMB/elapsed.Seconds(), all.Records, float64(c.Records)/elapsed.Seconds(),
		c.Joining.Milliseconds(), fetch.Milliseconds(), lastMB/fetch.Seconds(), float64(c.Records)/fetch.Seconds())
}

func (c Consumed) numbers() string {
	elapsed := c.Ended.Sub(c.Begun)
	fetch := max(elapsed-c.Joining, time.Millisecond)
	mb := float64(c.Bytes) / (1 << 20)
	return fmt.Sprintf("%.4f, %.4f, %d, %.4f, %d, %d, %.4f, %.4f", mb, mb/elapsed.Seconds(), c.Records, float64(c.Records)/elapsed.Seconds(),
		c.Joining.Milliseconds(), fetch.Milliseconds(), mb/fetch.Seconds(), float64(c.Records)/fetch.Seconds())
}

// pollAtMost is how many records are taken at a time: max.poll.records of Java's consumer.
const pollAtMost = 500

// Consume reads until Records have come or nothing does any more.
func Consume(ctx context.Context, o ConsumeOptions) (Consumed, error) {
	c := Consumed{Begun: time.Now()}
	joined := make(chan time.Time, 1)
	var opts []kgo.Opt
	if o.Group {
		opts = append(opts, kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) {
			select {
			case joined <- time.Now():
			default: // later assignments do not count
			}
		}))
	}
	cl, err := o.Open(opts...)
	if err != nil {
		return c, err
	}
	defer cl.CloseAllowingRebalance()
	last, mark := time.Now(), c
	for c.Records < o.Records {
		poll, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		fetches := cl.PollRecords(poll, int(min(o.Records-c.Records, pollAtMost)))
		cancel()
		if err := fatal(ctx, fetches); err != nil {
			return c, err
		}
		select {
		case at := <-joined:
			c.Joining = at.Sub(c.Begun)
		default:
		}
		now := time.Now()
		if c.count(fetches) {
			last = now
		} else if now.Sub(last) > o.Idle {
			c.TimedOut = true
			break
		}
		if o.Progress != nil && now.Sub(mark.Begun) >= o.Every {
			o.Progress(mark.until(c, now), c)
			mark = c
			mark.Begun = now
		}
	}
	c.Ended = time.Now()
	return c, nil
}

// until is what came between a mark, whose Begun is its time, and now.
func (c Consumed) until(all Consumed, now time.Time) Consumed {
	return Consumed{Begun: c.Begun, Ended: now, Records: all.Records - c.Records, Bytes: all.Bytes - c.Bytes, Joining: all.Joining - c.Joining}
}

func (c *Consumed) count(fetches kgo.Fetches) bool {
	before := c.Records
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for _, r := range p.Records {
			c.Records++
			c.Bytes += int64(len(r.Key) + len(r.Value))
		}
	})
	return c.Records > before
}

func fatal(ctx context.Context, fetches kgo.Fetches) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
			return e.Err
		}
	}
	return nil
}
