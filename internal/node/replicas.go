package node

import (
	"sync"

	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
)

// replicaShards keeps requests of different partitions off each other's lock.
const replicaShards = 32

// replica is one partition this node holds, and the directory its log is in. It never changes: a replica that moves is put there anew.
type replica struct {
	part *replication.Partition
	dir  *commitlog.Dir
}

// replicas is the set of partitions this node holds. Every request looks into it; only publish changes it.
type replicas struct {
	shards [replicaShards]struct {
		sync.RWMutex
		m map[model.TopicIDPartition]*replica
	}
}

func newReplicas() *replicas {
	r := &replicas{}
	for i := range r.shards {
		r.shards[i].m = map[model.TopicIDPartition]*replica{}
	}
	return r
}

// shardOf mixes a byte of the random topic id with the partition.
func shardOf(tp model.TopicIDPartition) int {
	return (int(tp.ID[15]) + int(uint32(tp.Partition))) % replicaShards
}

// Get is the node's replica of a partition, or nil.
func (r *replicas) Get(tp model.TopicIDPartition) *replication.Partition {
	if x := r.get(tp); x != nil {
		return x.part
	}
	return nil
}

func (r *replicas) get(tp model.TopicIDPartition) *replica {
	s := &r.shards[shardOf(tp)]
	s.RLock()
	defer s.RUnlock()
	return s.m[tp]
}

func (r *replicas) put(tp model.TopicIDPartition, x *replica) {
	s := &r.shards[shardOf(tp)]
	s.Lock()
	defer s.Unlock()
	s.m[tp] = x
}

func (r *replicas) remove(tp model.TopicIDPartition) *replica {
	s := &r.shards[shardOf(tp)]
	s.Lock()
	defer s.Unlock()
	x := s.m[tp]
	delete(s.m, tp)
	return x
}

// all is a copy of the set.
func (r *replicas) all() []*replica {
	var out []*replica
	for i := range r.shards {
		s := &r.shards[i]
		s.RLock()
		for _, x := range s.m {
			out = append(out, x)
		}
		s.RUnlock()
	}
	return out
}

func (r *replica) id() model.TopicIDPartition {
	return model.TopicIDPartition{ID: r.part.ID(), Partition: r.part.TP().Partition}
}
