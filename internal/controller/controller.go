package controller

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/event"
	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// Log is the metadata log, as the controller sees it. The quorum room has it.
type Log interface {
	// Append proposes records as one batch. done is called once, in the order of the calls: with the batch's offset after it was
	// committed and published on this node, or with an error when it was not, or may not have been, appended. It must not block.
	Append(records []metadata.Record, done func(model.Offset, error))
	// Image is the newest published image.
	Image() *metadata.Image
	// Watch tells who leads the log: lead is called when this node does, with its term and after everything before that term was
	// published; resign when it no longer does, and whenever another node turns out to lead. lead comes at once if this node leads already.
	// Neither may block.
	Watch(lead func(term int32), resign func())
	// Follows says of a member of the quorum, by its directory, whether it was heard of lately and has all that is committed. Only the
	// leader knows.
	Follows(directory model.UUID) (answers, caught bool)
}

// Options is what node plugs in.
type Options struct {
	Me     model.BrokerID
	Log    Log
	Clock  clock.Clock
	Logger *slog.Logger
	Random io.Reader // topic ids; crypto/rand.Reader outside of tests
	// Resolver gives the defaults of new topics.
	Resolver *config.Resolver
	// SessionTimeout is how long a broker may be silent (broker.session.timeout.ms); 0 means 9 s.
	SessionTimeout time.Duration
	// BalanceInterval is how often leadership goes back to preferred replicas (leader.imbalance.check.interval.seconds); 0 is never.
	BalanceInterval time.Duration
	// Tell is called, in order, with what happened once it is committed. It must not block. May be nil.
	Tell func(event.Event)
}

const defaultSessionTimeout = 9 * time.Second

// errInternal stands for a decision whose records do not replay on the image they were made from: a mistake of this room. They were
// not proposed.
var errInternal = errors.New("controller made records that do not fit the metadata")

// Controller runs decisions, while this node leads the metadata log. On any other node every method answers NOT_CONTROLLER.
type Controller struct {
	o     Options
	inbox inbox
	ended chan struct{}

	// What follows belongs to the loop.

	leading bool
	led     bool // at least once: before that, operations wait for the first election instead of failing
	closed  bool
	term    int32
	// tip is the image that all proposed records lead to, committed or not. Nil while it is not known: an append failed, and what else
	// is in flight has to end before the published image can be trusted to be the end of the log.
	tip      *metadata.Image
	inflight int
	last     *proposal // the newest in flight
	waiting  []operation
	why      cause // of the decision that is being made
	sessions sessions
	balancer balancer
}

// operation is a decision that waits for its turn.
type operation struct {
	decide func(img *metadata.Image) []metadata.Record
	settle func(error)
}

// proposal is a batch of records in flight, and who waits for it: its own operation, and those that decided on top of it that nothing
// has to change.
type proposal struct {
	settle []func(error)
	events []event.Event // told when it is committed
}

// New starts a controller. It acts as soon as the log says that this node leads.
func New(o Options) *Controller {
	if o.SessionTimeout <= 0 {
		o.SessionTimeout = defaultSessionTimeout
	}
	if o.Tell == nil {
		o.Tell = func(event.Event) {}
	}
	c := &Controller{o: o, ended: make(chan struct{})}
	c.inbox.init()
	c.sessions.init(c)
	c.balancer.c = c
	go c.loop()
	o.Log.Watch(
		func(term int32) { c.inbox.push(func() { c.lead(term) }) },
		func() { c.inbox.push(c.resign) },
	)
	return c
}

// Close stops the loop. Operations still waiting get NOT_CONTROLLER: whether they happened is not known to them.
func (c *Controller) Close() {
	c.inbox.push(func() {
		c.resign()
		c.closed = true
	})
	<-c.ended
}

func (c *Controller) loop() {
	defer close(c.ended)
	for !c.closed {
		for _, f := range c.inbox.take() {
			f()
		}
	}
	// Operations that came in between find nobody to run them any more.
	for _, f := range c.inbox.shut() {
		f()
	}
}

// lead begins a term. The first record says so to every node.
func (c *Controller) lead(term int32) {
	c.leading, c.led, c.term = true, true, term
	c.tip, c.inflight, c.last = c.o.Log.Image(), 0, nil
	c.sessions.restart(c.tip)
	c.balancer.start()
	c.o.Logger.Info("controller active", "node", c.o.Me, "term", term)
	c.step(operation{
		decide: func(*metadata.Image) []metadata.Record {
			return []metadata.Record{&metadata.ActiveController{NodeID: int32(c.o.Me), Epoch: term}}
		},
		settle: func(error) {},
	})
	c.sessions.fenceGone(c.o.Log.Image())
	c.resume()
}

// resign drops everything undecided: another controller may be deciding already.
func (c *Controller) resign() {
	if c.leading {
		c.o.Logger.Info("controller resigned", "node", c.o.Me, "term", c.term)
	}
	c.leading, c.tip, c.led = false, nil, true
	c.sessions.stop()
	c.balancer.stop()
	c.resume()
}

// resume runs what waited for a known tip, or refuses it.
func (c *Controller) resume() {
	ops := c.waiting
	c.waiting = nil
	for _, op := range ops {
		c.step(op)
	}
}

// step runs one decision on the tip and proposes what it decides.
func (c *Controller) step(op operation) {
	switch {
	case c.closed || c.led && !c.leading:
		op.settle(model.NotController)
		return
	case c.tip == nil:
		c.waiting = append(c.waiting, op)
		return
	}
	c.why = cause{}
	records := op.decide(c.tip)
	if len(records) == 0 {
		// The answer may rest on records that are still in flight: it must not be given before they are safe.
		if c.last != nil {
			c.last.settle = append(c.last.settle, op.settle)
		} else {
			op.settle(nil)
		}
		return
	}
	next, delta, err := c.tip.Apply(c.tip.Offset+1, records)
	if err != nil {
		c.o.Logger.Error("controller decision refused", "err", err)
		op.settle(errors.Join(errInternal, err))
		return
	}
	p := &proposal{settle: []func(error){op.settle}, events: tell(c.tip, next, delta, c.why)}
	if bug.Is(bug.DecisionAckedEarly) { // M1: what is acknowledged is committed
		op.settle(nil)
		p.settle = nil
	}
	c.tip = next
	term := c.term
	c.last = p
	c.inflight++
	c.o.Log.Append(records, func(_ model.Offset, err error) {
		c.inbox.push(func() { c.settled(term, p, err) })
	})
}

// settled ends a proposal.
func (c *Controller) settled(term int32, p *proposal, err error) {
	for i := range p.events {
		if e := &p.events[i]; err == nil {
			e.Time, e.Node = c.o.Clock.Now(), c.o.Me
			c.o.Tell(*e)
		}
	}
	for _, settle := range p.settle {
		settle(err)
	}
	if term != c.term || !c.leading {
		return
	}
	c.inflight--
	if err != nil {
		c.tip = nil
	}
	if c.last == p {
		c.last = nil
	}
	if c.inflight == 0 {
		// Nothing of ours is on its way, so the published image is the end of the log, and if all went well what we thought it would be.
		img := c.o.Log.Image()
		if invariant.Expensive() && c.tip != nil {
			invariant.Check(c.tip.Fingerprint() == img.Fingerprint(), "M3: the image at offset %d is not what the controller decided", img.Offset)
		}
		c.tip = img
		c.resume()
	}
}

// run gives a decision to the loop and waits for its outcome. With an error there is no reply.
func run[R any](ctx context.Context, c *Controller, decide func(*metadata.Image) ([]metadata.Record, R)) (R, error) {
	type result struct {
		reply R
		err   error
	}
	done := make(chan result, 1)
	var reply R
	c.inbox.push(func() {
		c.step(operation{
			decide: func(img *metadata.Image) (records []metadata.Record) {
				records, reply = decide(img)
				return records
			},
			settle: func(err error) {
				if err != nil { // what was decided did not happen
					var none R
					reply = none
				}
				done <- result{reply, err}
			},
		})
	})
	select {
	case r := <-done:
		return r.reply, r.err
	case <-ctx.Done():
		var none R
		return none, ctx.Err()
	}
}
