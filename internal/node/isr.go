package node

import (
	"context"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/wire"
)

// isrProposals carries what leaders of this node want their ISRs to be to the controller: all that is open in one request, one request at a
// time. It asks until there is an answer.
type isrProposals struct {
	n     *Node
	wake  chan struct{}
	ctx   context.Context
	end   context.CancelFunc
	done  sync.WaitGroup
	ticks clock.Timer
	mu    struct {
		sync.Mutex
		open    map[model.TopicIDPartition]replication.ISRChange
		stopped bool
	}
}

func newISRProposals(n *Node) *isrProposals {
	p := &isrProposals{n: n, wake: make(chan struct{}, 1)}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.mu.open = map[model.TopicIDPartition]replication.ISRChange{}
	p.done.Go(p.run)
	return p
}

// ProposeISR implements replication.ISRProposer. A newer proposal takes the place of an older one.
func (p *isrProposals) ProposeISR(tp model.TopicIDPartition, c replication.ISRChange) {
	p.mu.Lock()
	p.mu.open[tp] = c
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// tick looks for followers that fell behind, twice per replica.lag.time.max.ms.
func (p *isrProposals) tick() {
	for _, r := range p.n.replicas.all() {
		r.part.Tick()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mu.stopped {
		p.ticks = p.n.clock.AfterFunc(max(p.n.lagTime()/2, time.Millisecond), p.tick)
	}
}

func (p *isrProposals) close() {
	p.mu.Lock()
	p.mu.stopped = true
	if p.ticks != nil {
		p.ticks.Stop()
	}
	p.mu.Unlock()
	p.end()
	p.done.Wait()
}

// isrPatience bounds one request, isrPause is the time between one that failed and the next.
const (
	isrPatience = 5 * time.Second
	isrPause    = 50 * time.Millisecond
)

func (p *isrProposals) run() {
	for {
		select {
		case <-p.wake:
		case <-p.ctx.Done():
			return
		}
		for q := p.take(); len(q.Partitions) > 0; q = p.take() {
			if p.ask(q) {
				continue
			}
			// Collect what comes up meanwhile; what is asked again may be outdated by then.
			pause := make(chan struct{})
			t := p.n.clock.AfterFunc(isrPause, func() { close(pause) })
			select {
			case <-pause:
			case <-p.ctx.Done():
				t.Stop()
				return
			}
		}
	}
}

// take empties the list of open proposals into a request. Those that newer metadata has settled are left out.
func (p *isrProposals) take() controller.AlterISR {
	q := controller.AlterISR{Leader: p.n.me, LeaderEpoch: p.n.brokerEpoch()}
	p.mu.Lock()
	defer p.mu.Unlock()
	for tp, c := range p.mu.open {
		delete(p.mu.open, tp)
		if part := p.n.replicas.Get(tp); part == nil || part.Info().PartitionEpoch > c.PartitionEpoch {
			continue
		}
		one := controller.ProposedISR{TopicIDPartition: tp, LeaderEpoch: c.LeaderEpoch, PartitionEpoch: c.PartitionEpoch}
		for _, m := range c.ISR {
			one.ISR = append(one.ISR, controller.ISRMember{ID: m.ID, Epoch: m.Epoch})
		}
		for _, l := range c.Lost {
			one.Lost = append(one.Lost, controller.Lost{ID: l.ID, Silent: l.Silent, Behind: l.Behind, Records: l.Records})
		}
		q.Partitions = append(q.Partitions, one)
	}
	return q
}

// ask sends one request and reports whether every partition has its answer. What has none is open again.
func (p *isrProposals) ask(q controller.AlterISR) bool {
	ctx, cancel := context.WithTimeout(p.ctx, isrPatience)
	defer cancel()
	reply, err := p.n.alterISR(ctx, q)
	if err != nil {
		p.n.log.Debug("the controller does not answer for the ISR", "err", err)
		for i := range q.Partitions {
			p.again(&q.Partitions[i])
		}
		return false
	}
	all := true
	for i := range reply {
		if i < len(q.Partitions) && reply[i].TopicIDPartition == q.Partitions[i].TopicIDPartition {
			all = p.settle(&q.Partitions[i], reply[i].Code) && all
		}
	}
	return all
}

// settle takes one answer. A proposal that was not refused stays in force with its leader until the metadata says something newer: it may
// have been taken although the answer says that it came too late (the first answer may have got lost).
func (p *isrProposals) settle(c *controller.ProposedISR, code model.ErrorCode) bool {
	part := p.n.replicas.Get(c.TopicIDPartition)
	if part == nil {
		return true // deleted meanwhile
	}
	ids := make([]model.BrokerID, len(c.ISR))
	for i := range c.ISR {
		ids[i] = c.ISR[i].ID
	}
	log := p.n.log.With("topic", part.TP().Topic, "partition", c.Partition, "isr", ids, "leader_epoch", c.LeaderEpoch)
	switch code {
	case model.None, model.NewLeaderElected:
		log.Info("ISR changed")
	case model.IneligibleReplica, model.OperationNotAttempted:
		log.Debug("ISR refused", "code", code)
		part.ISRRefused(c.PartitionEpoch)
	case model.UnknownTopicID, model.UnknownTopicOrPartition, model.FencedLeaderEpoch, model.InvalidUpdateVersion:
		log.Debug("ISR proposal came too late", "code", code)
	case model.InvalidRequest:
		log.Error("the controller cannot make sense of a proposed ISR")
	default: // it is behind, or has just lost its leadership
		p.again(c)
		return false
	}
	return true
}

// again opens a proposal anew, unless there is a newer one.
func (p *isrProposals) again(c *controller.ProposedISR) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, newer := p.mu.open[c.TopicIDPartition]; newer {
		return
	}
	change := replication.ISRChange{LeaderEpoch: c.LeaderEpoch, PartitionEpoch: c.PartitionEpoch}
	for _, m := range c.ISR {
		change.ISR = append(change.ISR, replication.ISRMember{ID: m.ID, Epoch: m.Epoch})
	}
	for _, l := range c.Lost {
		change.Lost = append(change.Lost, replication.Lost{ID: l.ID, Silent: l.Silent, Behind: l.Behind, Records: l.Records})
	}
	p.mu.open[c.TopicIDPartition] = change
}

// alterISR asks the active controller, which may be this node's.
func (n *Node) alterISR(ctx context.Context, q controller.AlterISR) ([]controller.ISROutcome, error) {
	active := n.quorum.Status().Leader
	if active == n.me {
		return n.controller.AlterISR(ctx, q)
	}
	req := wire.AlterISRRequest{BrokerID: int32(q.Leader), BrokerEpoch: int64(q.LeaderEpoch)}
	for i := range q.Partitions {
		c := &q.Partitions[i]
		rp := wire.AlterISRRequestPartition{TopicID: c.ID, Index: c.Partition, LeaderEpoch: int32(c.LeaderEpoch), PartitionEpoch: int32(c.PartitionEpoch)}
		for _, m := range c.ISR {
			rp.NewISR = append(rp.NewISR, wire.AlterISRRequestPartitionMember{BrokerID: int32(m.ID), BrokerEpoch: int64(m.Epoch)})
		}
		for _, l := range c.Lost {
			rp.Lost = append(rp.Lost, wire.AlterISRRequestPartitionLost{
				BrokerID: int32(l.ID), SilentMs: l.Silent.Milliseconds(), BehindMs: l.Behind.Milliseconds(), Records: l.Records,
			})
		}
		req.Partitions = append(req.Partitions, rp)
	}
	var resp wire.AlterISRResponse
	if err := n.callNode(ctx, active, &req, 0, &resp); err != nil {
		return nil, err
	}
	if resp.ErrorCode != model.None {
		return nil, resp.ErrorCode
	}
	var out []controller.ISROutcome
	for i := range resp.Partitions {
		rp := &resp.Partitions[i]
		out = append(out, controller.ISROutcome{TopicIDPartition: model.TopicIDPartition{ID: rp.TopicID, Partition: rp.Index}, Code: rp.ErrorCode})
	}
	return out, nil
}
