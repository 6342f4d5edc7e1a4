package controller

import (
	"context"
	"iter"
	"slices"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// AlterPartitionReassignments moves replicas (KIP-455): new ones are added and catch up, then the leader moves if it has to, then the old
// ones go. Each partition succeeds or fails on its own; success means that it has begun, or that there was nothing to do.
func (c *Controller) AlterPartitionReassignments(ctx context.Context, q Reassignments) ([]PartitionOutcome, error) {
	return run(ctx, c, func(img *metadata.Image) ([]metadata.Record, []PartitionOutcome) {
		c.because("order", "ordered by an administrator")
		return reassign(c.electorate(img), &q)
	})
}

func reassign(e *electorate, q *Reassignments) ([]metadata.Record, []PartitionOutcome) {
	var records []metadata.Record
	reply := make([]PartitionOutcome, 0, len(q.Partitions))
	// The last word on a partition counts; what was said before it in the same request would only be undone again.
	final := map[model.TopicPartition]int{}
	for i := range q.Partitions {
		final[q.Partitions[i].TopicPartition] = i
	}
	for i := range q.Partitions {
		r := &q.Partitions[i]
		rec, out := reassignOne(e, r, q.KeepReplicationFactor)
		if rec != nil && final[r.TopicPartition] == i {
			records = append(records, rec)
		}
		reply = append(reply, PartitionOutcome{r.TopicPartition, out})
	}
	return records, reply
}

func reassignOne(e *electorate, r *Reassign, keepFactor bool) (metadata.Record, Outcome) {
	t := e.img.Topic(r.Topic)
	switch {
	case t == nil:
		return nil, failure(model.UnknownTopicOrPartition, "Unable to find a topic named %s.", r.Topic)
	case r.Partition < 0 || int(r.Partition) >= len(t.Partitions):
		return nil, failure(model.UnknownTopicOrPartition, "Unable to find partition %s:%d.", r.Topic, r.Partition)
	}
	c := changeOf(t, r.Partition)
	if r.Cancel {
		return cancelReassignment(e, c)
	}
	if bad := checkAssignment(e.img, r.Replicas, -1); !bad.OK() {
		return nil, bad
	}
	before := len(original(c.old))
	if keepFactor && before != len(r.Replicas) {
		return nil, failure(model.InvalidReplicationFactor, "The replication factor is changed from %d to %d", before, len(r.Replicas))
	}
	from := original(c.old)
	c.next.Adding = without(r.Replicas, from...)
	c.next.Removing = without(c.old.Replicas, r.Replicas...)
	c.setReplicas(union(r.Replicas, c.next.Removing))
	e.finishReassignment(c)
	return c.record(), Outcome{}
}

// original is the replicas as they were before a reassignment that may be under way.
func original(p *metadata.Partition) []model.BrokerID { return without(p.Replicas, p.Adding...) }

// setReplicas changes the replicas and keeps each one's directory.
func (c *change) setReplicas(replicas []model.BrokerID) {
	n := &c.next
	if len(c.old.Dirs) > 0 {
		dirs := make([]model.UUID, len(replicas))
		for i, id := range replicas {
			if at := slices.Index(c.old.Replicas, id); at >= 0 {
				dirs[i] = c.old.Dirs[at]
			}
		}
		n.Dirs = dirs
	}
	n.Replicas = replicas
}

// finishReassignment ends a reassignment whose new replicas are all in the ISR: the others leave, and lead no more. Until then nothing is
// taken away, and not while fewer in-sync copies than min.insync.replicas would stay (R7): Kafka looks at the new replicas alone, but a target
// of which another member is down would be left with less than the partition had.
func (e *electorate) finishReassignment(c *change) {
	n := &c.next
	target, isr := without(n.Replicas, n.Removing...), without(n.ISR, n.Removing...)
	if !n.Reassigning() || (len(without(n.Adding, isr...)) > 0 || !e.enough(c, target, isr)) && !bug.Is(bug.ReassignmentHasty) {
		return
	}
	if _, ok := e.first(target, isr); !ok {
		return
	}
	c.bump = len(n.Removing) > 0 // what is taken away must notice that it may not fetch any more
	n.ISR = isr
	c.setReplicas(target)
	n.Adding, n.Removing = nil, nil
	e.settleELR(c)
	e.elect(c)
}

// enough reports that isr is enough in-sync copies for a partition to be left with, or that nothing that is in sync is taken away.
func (e *electorate) enough(c *change, replicas, isr []model.BrokerID) bool {
	return len(isr) >= min(e.minISR(c.topic.Name), len(replicas)) || len(isr) == len(c.next.ISR)
}

// cancelReassignment goes back to the replicas there were. When too few of those are in sync right now, the new ones stay until there are
// enough: the way back is a reassignment too.
func cancelReassignment(e *electorate, c *change) (metadata.Record, Outcome) {
	if !c.old.Reassigning() {
		return nil, Outcome{Code: model.NoReassignmentInProgress}
	}
	n := &c.next
	back, isr, elr := original(c.old), without(n.ISR, n.Adding...), without(n.ELR, n.Adding...)
	switch {
	case len(n.ISR) == 0 && len(elr) == 0 && !e.unclean(c.topic.Name):
		return nil, failure(model.InvalidReplicaAssignment, "Unable to revert partition assignment for %s-%d because it would require an unclean leader election.",
			c.topic.Name, c.index)
	case !e.enough(c, back, isr):
		c.setReplicas(union(back, n.Adding))
		n.Removing, n.Adding = n.Adding, nil
		return c.record(), Outcome{}
	}
	c.bump = len(n.Adding) > 0
	c.setReplicas(back)
	n.ISR, n.ELR = isr, elr
	n.Adding, n.Removing = nil, nil
	e.settleELR(c)
	e.elect(c)
	return c.record(), Outcome{}
}

// ListReassignments yields the partitions whose replicas are on the move: all of them for a nil filter, else those of the filter. It reads
// the image alone.
func ListReassignments(img *metadata.Image, filter []TopicPartitions) iter.Seq[Reassigning] {
	return func(yield func(Reassigning) bool) {
		if filter == nil {
			for t := range img.Topics() {
				for i := range t.Partitions {
					if p := &t.Partitions[i]; p.Reassigning() && !yield(reassigning(t, int32(i))) {
						return
					}
				}
			}
			return
		}
		for _, tp := range partitionsOf(filter) {
			t := img.Topic(tp.Topic)
			if t == nil || tp.Partition < 0 || int(tp.Partition) >= len(t.Partitions) || !t.Partitions[tp.Partition].Reassigning() {
				continue
			}
			if !yield(reassigning(t, tp.Partition)) {
				return
			}
		}
	}
}

func reassigning(t *metadata.Topic, index int32) Reassigning {
	p := &t.Partitions[index]
	return Reassigning{model.TopicPartition{Topic: t.Name, Partition: index}, p.Replicas, p.Adding, p.Removing}
}
