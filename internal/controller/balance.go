package controller

import (
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/metadata"
)

// balancer gives leadership back to preferred replicas from time to time (auto.leader.rebalance.enable). It belongs to the loop.
type balancer struct {
	c    *Controller
	next clock.Timer
}

// balanceAtOnce bounds the elections of one decision (as Kafka does): each closes a partition for a moment.
const balanceAtOnce = 1000

// balanceGoOn is the pause after a decision that was cut short.
const balanceGoOn = 10 * time.Millisecond

func (b *balancer) start() { b.after(b.c.o.BalanceInterval) }

func (b *balancer) stop() {
	if b.next != nil {
		b.next.Stop()
		b.next = nil
	}
}

func (b *balancer) after(d time.Duration) {
	b.stop()
	if b.c.o.BalanceInterval > 0 {
		b.next = b.c.o.Clock.AfterFunc(d, func() { b.c.inbox.push(b.run) })
	}
}

// run elects where that helps, and looks again later: soon, when there was too much for one decision.
func (b *balancer) run() {
	if !b.c.leading {
		return
	}
	more := false
	b.c.step(operation{
		decide: func(img *metadata.Image) (records []metadata.Record) {
			b.c.because("preferred", "it goes back to the preferred replica")
			if records, more = b.c.electorate(img).balance(balanceAtOnce); len(records) > 0 {
				b.c.o.Logger.Info("leadership goes back to preferred replicas", "partitions", len(records))
			}
			return records
		},
		settle: func(error) {
			if more {
				b.after(balanceGoOn)
			}
		},
	})
	b.after(b.c.o.BalanceInterval)
}

// balance is what moves leadership to preferred replicas that are ready for it, and ends reassignments that only a changed
// min.insync.replicas held up.
func (e *electorate) balance(atMost int) (records []metadata.Record, more bool) {
	for t := range e.img.Topics() {
		for i := range t.Partitions {
			c := changeOf(t, int32(i))
			if e.finishReassignment(c); c.record() == nil {
				e.prefer(c)
			}
			rec := c.record()
			if rec == nil {
				continue
			}
			if len(records) == atMost {
				return records, true
			}
			records = append(records, rec)
		}
	}
	return records, false
}
