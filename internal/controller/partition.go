package controller

import (
	"slices"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// change is a partition on its way from what it is to what it shall be. The steps below edit next; record says what differs.
type change struct {
	topic *metadata.Topic
	index int32
	old   *metadata.Partition
	next  metadata.Partition
	// bump asks for a new leader epoch though the leader stays: its process is another one, or a replica that must not fetch any more was
	// taken away.
	bump bool
}

func changeOf(t *metadata.Topic, index int32) *change {
	p := &t.Partitions[index]
	return &change{topic: t, index: index, old: p, next: *p}
}

// record is the change as a record, or nil when nothing changed.
func (c *change) record() metadata.Record {
	rec := metadata.NewPartitionChange()
	rec.TopicID, rec.PartitionID = c.topic.ID, c.index
	n, o := &c.next, c.old
	changed := c.bump || n.Leader != o.Leader
	if changed {
		rec.Leader = int32(n.Leader)
	}
	for _, l := range []struct {
		to       *[]int32
		old, new []model.BrokerID
	}{
		{&rec.Replicas, o.Replicas, n.Replicas}, {&rec.ISR, o.ISR, n.ISR}, {&rec.ELR, o.ELR, n.ELR},
		{&rec.LastKnownELR, o.LastKnownELR, n.LastKnownELR}, {&rec.Adding, o.Adding, n.Adding}, {&rec.Removing, o.Removing, n.Removing},
	} {
		if !slices.Equal(l.old, l.new) {
			*l.to, changed = append([]int32{}, metadata.IDs(l.new)...), true
		}
	}
	if !slices.Equal(o.Dirs, n.Dirs) {
		rec.Dirs, changed = n.Dirs, true
	}
	if !changed {
		return nil
	}
	return &rec
}

// without is ids less one.
func without(ids []model.BrokerID, drop ...model.BrokerID) []model.BrokerID {
	return slices.DeleteFunc(slices.Clone(ids), func(id model.BrokerID) bool { return slices.Contains(drop, id) })
}

// union is a and what b has besides, in that order.
func union(a, b []model.BrokerID) []model.BrokerID {
	out := slices.Clone(a)
	for _, id := range b {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}
