package metadata

import (
	"hash/fnv"
	"iter"
	"maps"
	"slices"

	"github.com/klamm/klamm/internal/model"
)

// Records yields the image as records: replayed on an empty image of the same cluster they give this one (M4). The order is fixed,
// so equal images give equal bytes on every node. Yielded records are only good until the next one.
func (img *Image) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		_ = img.yieldCluster(yield) && img.yieldBrokers(yield) && img.yieldTopics(yield) && img.yieldConfigs(yield)
	}
}

// Fingerprint is the same for images with the same content, whatever way they came about: two nodes at one offset compare it (M3). It costs as
// much as a snapshot.
func (img *Image) Fingerprint() uint64 {
	h := fnv.New64a()
	var b []byte
	one := make([]Record, 1)
	for r := range img.Records() {
		one[0] = r
		b = AppendBatch(b[:0], one)
		_, _ = h.Write(b) // a hash takes everything
	}
	return h.Sum64()
}

func (img *Image) yieldCluster(yield func(Record) bool) bool {
	for _, f := range img.features {
		if !yield(&FeatureLevel{Name: f.name, Level: f.level}) {
			return false
		}
	}
	for _, v := range img.voters {
		rec := &VoterRecord{NodeID: int32(v.NodeID), DirectoryID: v.DirectoryID, Learner: v.Learner, Held: v.Held}
		for _, e := range v.Endpoints {
			rec.Endpoints = append(rec.Endpoints, VoterEndpoint{Name: e.Name, Host: e.Host, Port: e.Port})
		}
		if !yield(rec) {
			return false
		}
	}
	// Nodes that are gone have left no other trace.
	if (img.controller.ID != model.NoBroker || img.nodeID > 0) &&
		!yield(&ActiveController{NodeID: int32(img.controller.ID), Epoch: img.controller.Epoch, NextNodeID: int32(img.nodeID)}) {
		return false
	}
	return img.producerID == 0 || yield(&ProducerIDs{BrokerID: int32(model.NoBroker), BrokerEpoch: -1, NextProducerID: int64(img.producerID)})
}

func (img *Image) yieldBrokers(yield func(Record) bool) bool {
	for _, b := range img.brokers {
		if !yield(b.Record()) {
			return false
		}
	}
	return true
}

// Record is the registration that makes this broker.
func (b *Broker) Record() *RegisterBroker {
	rec := &RegisterBroker{
		BrokerID: int32(b.ID), IncarnationID: b.Incarnation, BrokerEpoch: int64(b.Epoch), Rack: b.Rack,
		Fenced: b.Fenced, InControlledShutdown: b.InControlledShutdown, LogDirs: b.Dirs,
	}
	for _, e := range b.Endpoints {
		rec.Endpoints = append(rec.Endpoints, RegisterBrokerEndpoint{Name: e.Name, Host: e.Host, Port: e.Port, SecurityProtocol: e.SecurityProtocol})
	}
	for _, f := range b.Features {
		rec.Features = append(rec.Features, RegisterBrokerFeature{Name: f.Name, MinSupportedLevel: f.Min, MaxSupportedLevel: f.Max})
	}
	return rec
}

func (img *Image) yieldTopics(yield func(Record) bool) bool {
	for t := range img.Topics() {
		if !yield(&TopicRecord{Name: t.Name, TopicID: t.ID}) {
			return false
		}
		for i := range t.Partitions {
			if !yield(t.Partitions[i].Record(t.ID, int32(i))) {
				return false
			}
		}
	}
	return true
}

// Record is the record that makes this partition.
func (p *Partition) Record(id model.TopicID, index int32) *PartitionRecord {
	return &PartitionRecord{
		TopicID: id, PartitionID: index, Leader: int32(p.Leader), LeaderEpoch: int32(p.LeaderEpoch), PartitionEpoch: int32(p.PartitionEpoch),
		Replicas: IDs(p.Replicas), ISR: IDs(p.ISR), ELR: IDs(p.ELR), LastKnownELR: IDs(p.LastKnownELR),
		Adding: IDs(p.Adding), Removing: IDs(p.Removing), Dirs: p.Dirs,
	}
}

// IDs turns broker ids into the form records carry them in; nil stays nil.
func IDs(ids []model.BrokerID) []int32 {
	if ids == nil {
		return nil
	}
	out := make([]int32, len(ids))
	for i, id := range ids {
		out[i] = int32(id)
	}
	return out
}

func (img *Image) yieldConfigs(yield func(Record) bool) bool {
	for res, m := range img.configs.all() {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			value := m[name]
			if !yield(&ConfigRecord{ResourceType: int8(res.Type), ResourceName: res.Name, Name: name, Value: &value}) {
				return false
			}
		}
	}
	return true
}
