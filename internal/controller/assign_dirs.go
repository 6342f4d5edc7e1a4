package controller

import (
	"context"
	"slices"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// AssignDirs is where a broker keeps its replicas (KIP-858). It is what tells a broker that lost a disk from one that lost nothing, so a broker
// says that it is not known any more (zero) before it moves a replica, and where it is afterwards.
type AssignDirs struct {
	Broker     model.BrokerID
	Epoch      model.BrokerEpoch
	Partitions []AssignedDir
}

// AssignedDir is the directory of one replica; zero is "any of the broker's".
type AssignedDir struct {
	model.TopicIDPartition
	Dir model.UUID
}

// AssignDirs writes down where replicas are. What the broker has no replica of any more is left out.
func (c *Controller) AssignDirs(ctx context.Context, q AssignDirs) error {
	refused, err := run(ctx, c, func(img *metadata.Image) ([]metadata.Record, error) {
		if out := checkBroker(img, q.Broker, q.Epoch); !out.OK() {
			return nil, out
		}
		return assignDirs(img, &q), nil
	})
	if err == nil {
		err = refused
	}
	return err
}

func assignDirs(img *metadata.Image, q *AssignDirs) (records []metadata.Record) {
	seen := map[model.TopicIDPartition]bool{}
	for _, a := range q.Partitions {
		t := img.TopicByID(a.ID)
		if t == nil || a.Partition < 0 || int(a.Partition) >= len(t.Partitions) || seen[a.TopicIDPartition] {
			continue
		}
		seen[a.TopicIDPartition] = true
		c := changeOf(t, a.Partition)
		if c.setDir(q.Broker, a.Dir); c.next.Dirs != nil {
			if rec := c.record(); rec != nil {
				records = append(records, rec)
			}
		}
	}
	return records
}

// setDir notes the directory of a broker's replica, if it has one.
func (c *change) setDir(id model.BrokerID, dir model.UUID) {
	i := slices.Index(c.next.Replicas, id)
	if i < 0 {
		return
	}
	dirs := make([]model.UUID, len(c.next.Replicas))
	copy(dirs, c.next.Dirs)
	dirs[i] = dir
	c.next.Dirs = dirs
}

// dirOf is the directory of a broker's replica, zero when it is not known.
func dirOf(p *metadata.Partition, id model.BrokerID) model.UUID {
	if i := slices.Index(p.Replicas, id); i >= 0 && i < len(p.Dirs) {
		return p.Dirs[i]
	}
	return model.UUID{}
}

// dirsLost takes a broker out of ISR and leadership of the replicas in directories that failed (KIP-858). Where nobody else is left, nobody leads:
// what the directory held is not there.
func dirsLost(e *electorate, b *metadata.Broker, offline []model.UUID) []metadata.Record {
	left := slices.DeleteFunc(slices.Clone(b.Dirs), func(d model.UUID) bool { return slices.Contains(offline, d) })
	if len(left) == len(b.Dirs) {
		return nil
	}
	e.knowDirs(b.ID, left)
	rec := &metadata.BrokerRegistrationChange{BrokerID: int32(b.ID), BrokerEpoch: int64(b.Epoch), LogDirs: append([]model.UUID{}, left...)}
	return append([]metadata.Record{rec}, e.everyPartition(func(c *change) {
		if slices.Contains(c.old.Replicas, b.ID) && slices.Contains(offline, dirOf(c.old, b.ID)) {
			e.dethrone(c, b.ID, true)
		}
	})...)
}

// knowDirs notes which directories of a broker work from this decision on.
func (e *electorate) knowDirs(id model.BrokerID, dirs []model.UUID) {
	if e.dirs == nil {
		e.dirs = map[model.BrokerID][]model.UUID{}
	}
	e.dirs[id] = dirs
}

// hosts reports that a broker's replica is in a directory that works, as far as is known.
func (e *electorate) hosts(p *metadata.Partition, id model.BrokerID) bool {
	dirs, known := e.dirs[id]
	if b := e.img.Broker(id); !known && b != nil {
		dirs = b.Dirs
	}
	dir := dirOf(p, id)
	return dir.IsZero() || slices.Contains(dirs, dir)
}

// hosted are those of ids whose replicas are in directories that work.
func (e *electorate) hosted(p *metadata.Partition, ids []model.BrokerID) []model.BrokerID {
	return slices.DeleteFunc(slices.Clone(ids), func(id model.BrokerID) bool { return !e.hosts(p, id) })
}
