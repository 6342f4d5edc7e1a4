package controller

import (
	"context"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// AlterISR is what a leader wants the ISRs of its partitions to be (KIP-497).
type AlterISR struct {
	Leader      model.BrokerID
	LeaderEpoch model.BrokerEpoch // of the asking process
	Partitions  []ProposedISR
}

// ProposedISR is one partition of an AlterISR. Epochs other than the current ones refuse it.
type ProposedISR struct {
	model.TopicIDPartition
	LeaderEpoch    model.LeaderEpoch
	PartitionEpoch model.PartitionEpoch
	ISR            []ISRMember
	Lost           []Lost // why members are left out, for the record
}

// Lost is a member that fell behind.
type Lost struct {
	ID             model.BrokerID
	Silent, Behind time.Duration // since its last fetch, and since it last had everything
	Records        int64         // that it lacks
}

// ISRMember is a broker of a proposed ISR, with the epoch its fetches carried (KIP-903); -1 for the leader, and for members that have not
// fetched yet.
type ISRMember struct {
	ID    model.BrokerID
	Epoch model.BrokerEpoch
}

// ISROutcome answers a ProposedISR, in the order of the request. NEW_LEADER_ELECTED says that it was taken and ended a reassignment, so
// that another one leads now.
type ISROutcome struct {
	model.TopicIDPartition
	Code model.ErrorCode
}

// AlterISR decides proposals. The error is of the request as a whole.
func (c *Controller) AlterISR(ctx context.Context, q AlterISR) ([]ISROutcome, error) {
	type result struct {
		reply []ISROutcome
		err   error
	}
	got, err := run(ctx, c, func(img *metadata.Image) ([]metadata.Record, result) {
		if out := checkBroker(img, q.Leader, q.LeaderEpoch); !out.OK() {
			return nil, result{err: out}
		}
		records, reply := alterISR(c.electorate(img), &q)
		c.because("reassignment", "its reassignment is done")
		c.why.lost = lostCauses(&q)
		return records, result{reply: reply}
	})
	if err == nil {
		err = got.err
	}
	return got.reply, err
}

func alterISR(e *electorate, q *AlterISR) ([]metadata.Record, []ISROutcome) {
	var records []metadata.Record
	reply := make([]ISROutcome, 0, len(q.Partitions))
	seen := map[model.TopicIDPartition]bool{}
	for i := range q.Partitions {
		p := &q.Partitions[i]
		code := model.InvalidRequest
		if !seen[p.TopicIDPartition] {
			var rec metadata.Record
			if rec, code = alterOneISR(e, q.Leader, p); rec != nil {
				records = append(records, rec)
			}
		}
		seen[p.TopicIDPartition] = true
		reply = append(reply, ISROutcome{p.TopicIDPartition, code})
	}
	return records, reply
}

// alterOneISR is one proposal. The epochs are looked at before anything else: a leader that is behind learns from its answer that there
// is news, and keeps to what it proposed until the news come, for the proposal may have been taken already.
func alterOneISR(e *electorate, leader model.BrokerID, p *ProposedISR) (metadata.Record, model.ErrorCode) {
	t := e.img.TopicByID(p.ID)
	switch {
	case t == nil:
		return nil, model.UnknownTopicID
	case p.Partition < 0 || int(p.Partition) >= len(t.Partitions):
		return nil, model.UnknownTopicOrPartition
	}
	c := changeOf(t, p.Partition)
	switch {
	case p.LeaderEpoch > c.old.LeaderEpoch || p.PartitionEpoch > c.old.PartitionEpoch:
		return nil, model.NotController // the asker knows more than this node does
	case p.LeaderEpoch < c.old.LeaderEpoch:
		return nil, model.FencedLeaderEpoch
	case leader != c.old.Leader:
		return nil, model.InvalidRequest
	case p.PartitionEpoch < c.old.PartitionEpoch && !bug.Is(bug.StalePartitionEpoch):
		return nil, model.InvalidUpdateVersion
	}
	isr, ok := membersOf(p.ISR)
	if !ok || !slices.Contains(isr, leader) || len(without(isr, c.old.Replicas...)) > 0 {
		return nil, model.InvalidRequest
	}
	for _, m := range p.ISR {
		if !e.eligible(c.old, m) {
			return nil, model.IneligibleReplica
		}
	}
	c.next.ISR = isr
	e.settleELR(c)
	e.finishReassignment(c)
	if c.next.Leader != leader {
		return c.record(), model.NewLeaderElected
	}
	return c.record(), model.None
}

func membersOf(members []ISRMember) (ids []model.BrokerID, ok bool) {
	for _, m := range members {
		if slices.Contains(ids, m.ID) {
			return nil, false
		}
		ids = append(ids, m.ID)
	}
	return ids, true
}

// eligible is the rule for members of an ISR: whoever enters must take part, in the process the leader has seen (KIP-841, KIP-903): one that
// restarted since may have less. Who is in already is thrown out by the decision that its broker is gone, not here.
func (e *electorate) eligible(old *metadata.Partition, m ISRMember) bool {
	if slices.Contains(old.ISR, m.ID) {
		return true
	}
	b := e.img.Broker(m.ID)
	return b != nil && e.live(m.ID) && (b.Epoch == m.Epoch || bug.Is(bug.BrokerEpochIgnored))
}
