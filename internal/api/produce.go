package api

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/wire"
)

// handoverWait is how long a Produce waits for this node to become the leader that the client takes it for. The reader goroutine waits, so that
// the records behind it stay behind it. It is no longer than clients would wait on their own, by retry.backoff.ms, before they asked again.
const handoverWait = 100 * time.Millisecond

// produceCall is one Produce from request to answer. Appends run on the connection's reader goroutine in request order; what acks=all
// waits for comes back through Wake, and the last to come completes the reply.
type produceCall struct {
	api     *API
	conn    *server.Conn
	reply   *server.Reply
	image   *metadata.Image
	version int16
	acks    int16

	topics []producedTopic
	parts  []producedPart
	op     replication.Append // used for one part after the other

	mu struct {
		sync.Mutex
		pending  int  // parts that will still call Wake, and one for the request itself while it is being served
		answered bool // by completion or by the timer
	}
	timer clock.Timer
}

// producedTopic is one topic of the request: its partitions are parts[first : first+n].
type producedTopic struct {
	name     string // known before version 13 only
	id       model.TopicID
	topic    *metadata.Topic // nil: there is none
	first, n int
}

// producedPart is one partition and what came of it.
type producedPart struct {
	index   int32
	records []byte // aliases the request; gone when the append is done
	code    model.ErrorCode
	done    bool
	result  replication.AppendResult
	message string
	bad     []wire.ProduceResponseTopicPartitionRecordError
}

func (a *API) produceCall() *produceCall {
	if c, ok := a.produces.Get().(*produceCall); ok {
		return c
	}
	return &produceCall{}
}

// recycle keeps the slices for the next request. Only a call that no one will wake again may come here.
func (c *produceCall) recycle() {
	a := c.api
	clear(c.topics)
	clear(c.parts)
	*c = produceCall{topics: c.topics[:0], parts: c.parts[:0], timer: c.timer}
	a.produces.Put(c)
}

// produce answers key 0.
func produce(a *API, r *Request) error {
	var v wire.ProduceVisitor
	if err := v.Reset(r.Body, r.Version); err != nil {
		return fmt.Errorf("%w: Produce v%d: %w", errMalformed, r.Version, err)
	}
	c := a.produceCall()
	c.api, c.conn, c.reply, c.image, c.version, c.acks = a, r.Conn, r.Reply, r.Image, r.Version, v.Acks()
	refused := refusal(&v)
	for v.NextTopic() {
		c.openTopic(&v)
		for v.NextPartition() {
			c.topics[len(c.topics)-1].n++
			c.parts = append(c.parts, producedPart{index: v.Partition(), records: v.Records(), code: refused, done: true, result: replication.NoAppend()})
		}
	}
	// All that Wake may touch stands now; it may come while the later partitions are still being appended.
	c.mu.pending = len(c.parts) + 1
	settled := 1
	for i := range c.topics {
		t := &c.topics[i]
		for slot := t.first; slot < t.first+t.n; slot++ {
			if refused != model.None || !c.append(t, slot) {
				settled++
			}
		}
	}
	c.settle(settled, time.Duration(v.TimeoutMs())*time.Millisecond)
	return nil
}

// refusal is the error that the request as a whole deserves.
func refusal(v *wire.ProduceVisitor) model.ErrorCode {
	switch {
	case v.Acks() < -1 || v.Acks() > 1:
		return model.InvalidRequiredAcks
	case v.Transactional():
		// No transactions yet. The code is one that clients take as final.
		return model.UnsupportedVersion
	}
	return model.None
}

func (c *produceCall) openTopic(v *wire.ProduceVisitor) {
	pt := producedTopic{first: len(c.parts)}
	if c.version >= 13 {
		pt.id = v.TopicID()
		pt.topic = c.image.TopicByID(pt.id)
	} else if pt.topic = c.image.TopicBytes(v.TopicName()); pt.topic != nil {
		pt.name = pt.topic.Name
	} else {
		pt.name = string(v.TopicName())
	}
	c.topics = append(c.topics, pt)
}

// append appends one partition's records, or notes why not. It reports whether Wake will settle the partition.
func (c *produceCall) append(t *producedTopic, slot int) (waits bool) {
	part := &c.parts[slot]
	records := part.records
	part.records = nil
	p, code := c.writable(t, part.index)
	if code != model.None {
		part.code = code
		return false
	}
	p.Stats().ProduceRequests.Add(1)
	if c.acks == replication.AcksAll {
		part.done = false
	}
	c.op = replication.Append{
		Records: records, ProduceVersion: c.version, Acks: c.acks, LeaderEpoch: model.NoLeaderEpoch, Waiter: c, Slot: slot, CommitLater: true,
	}
	res, err := p.Append(&c.op)
	if errors.Is(err, replication.ErrNotLeader) && p.AwaitLeadership(handoverWait) {
		res, err = p.Append(&c.op)
	}
	c.op.Records = nil
	if err == nil && !res.Wait {
		part.done, part.result = true, res
		return false
	}
	if err == nil {
		if res.Sync {
			c.conn.AtBurstEnd(p)
		}
		// Wake may have come already; what it does not set is set here.
		c.mu.Lock()
		if part.code == model.None && !c.mu.answered {
			part.result = res
		}
		c.mu.Unlock()
		return true
	}
	part.done = true
	p.Stats().FailedProduces.Add(1)
	c.fail(part, err)
	return false
}

// writable finds the partition, if clients may write to it.
func (c *produceCall) writable(t *producedTopic, index int32) (*replication.Partition, model.ErrorCode) {
	switch {
	case t.topic == nil && c.version >= 13:
		return nil, model.UnknownTopicID
	case t.topic == nil:
		return nil, model.UnknownTopicOrPartition
	case isInternal(t.topic.Name):
		return nil, model.InvalidTopicException
	}
	return c.api.replica(t.topic, index)
}

// settle takes off what needs no Wake. It answers now if nothing is pending, and otherwise leaves the call to Wake and the timer.
func (c *produceCall) settle(settled int, timeout time.Duration) {
	c.mu.Lock()
	c.mu.pending -= settled
	if c.mu.pending == 0 {
		c.mu.answered = true
		c.mu.Unlock()
		c.answer()
		c.recycle()
		return
	}
	defer c.mu.Unlock()
	// Wake cannot complete the call before this lock is released, so the timer it stops is always this one.
	if c.timer == nil {
		c.timer = c.api.Clock.AfterFunc(timeout, c.expire)
	} else {
		c.timer.Reset(timeout)
	}
}

// Wake implements replication.Waiter: partition slot is settled. The last one answers, on the goroutine that made the data durable.
func (c *produceCall) Wake(slot int, err error) {
	c.mu.Lock()
	c.mu.pending--
	last := c.mu.pending == 0
	late := c.mu.answered
	if !late {
		part := &c.parts[slot]
		part.done = true
		if err != nil {
			c.fail(part, err)
		}
		c.mu.answered = last
	}
	c.mu.Unlock()
	if !last {
		return
	}
	// A timer that could not be stopped may still call expire: the object is then left to the collector.
	stopped := c.timer != nil && c.timer.Stop()
	if !late {
		c.answer()
	}
	if stopped {
		c.recycle()
	}
}

// expire answers after the request's timeout; partitions still waiting get REQUEST_TIMED_OUT, though their records may yet be committed.
func (c *produceCall) expire() {
	c.mu.Lock()
	if c.mu.answered {
		c.mu.Unlock()
		return
	}
	c.mu.answered = true
	for i := range c.parts {
		if part := &c.parts[i]; !part.done {
			part.result, part.code = replication.NoAppend(), model.RequestTimedOut
		}
	}
	c.mu.Unlock()
	c.answer()
}
