package metadata

import (
	"fmt"
	"math"
	"slices"

	"github.com/klamm/klamm/internal/model"
)

func (r *Replay) registerBroker(rec *RegisterBroker) error {
	id := model.BrokerID(rec.BrokerID)
	i, ok := r.next.brokerIndex(id)
	if ok && model.BrokerEpoch(rec.BrokerEpoch) <= r.next.brokers[i].Epoch {
		return fmt.Errorf("%w: broker %d registers with epoch %d, it has %d", ErrReplay, id, rec.BrokerEpoch, r.next.brokers[i].Epoch)
	}
	b := &Broker{
		ID: id, Epoch: model.BrokerEpoch(rec.BrokerEpoch), Incarnation: rec.IncarnationID, Rack: rec.Rack,
		Dirs: slices.Clone(rec.LogDirs), Fenced: rec.Fenced, InControlledShutdown: rec.InControlledShutdown,
	}
	for j := range rec.Endpoints {
		e := &rec.Endpoints[j]
		b.Endpoints = append(b.Endpoints, Endpoint{e.Name, e.Host, e.Port, e.SecurityProtocol})
	}
	for j := range rec.Features {
		b.Features = append(b.Features, FeatureRange{rec.Features[j].Name, rec.Features[j].MinSupportedLevel, rec.Features[j].MaxSupportedLevel})
	}
	brokers := slices.Clone(r.next.brokers)
	if ok {
		brokers[i] = b
	} else {
		brokers = slices.Insert(brokers, i, b)
	}
	r.next.brokers, r.brokers[id] = brokers, true
	r.taken(id)
	return nil
}

// taken notes that a node has an id. Behind the last id there is there is none.
func (r *Replay) taken(id model.BrokerID) {
	if id < math.MaxInt32 {
		r.next.nodeID = max(r.next.nodeID, id+1)
	}
}

func (r *Replay) unregisterBroker(rec *UnregisterBroker) error {
	id := model.BrokerID(rec.BrokerID)
	i, ok := r.next.brokerIndex(id)
	if !ok || r.next.brokers[i].Epoch != model.BrokerEpoch(rec.BrokerEpoch) {
		return fmt.Errorf("%w: no broker %d with epoch %d", ErrReplay, id, rec.BrokerEpoch)
	}
	r.next.brokers, r.brokers[id] = slices.Delete(slices.Clone(r.next.brokers), i, i+1), true
	return nil
}

func (r *Replay) changeRegistration(rec *BrokerRegistrationChange) error {
	id := model.BrokerID(rec.BrokerID)
	i, ok := r.next.brokerIndex(id)
	if !ok || r.next.brokers[i].Epoch != model.BrokerEpoch(rec.BrokerEpoch) {
		return fmt.Errorf("%w: no broker %d with epoch %d", ErrReplay, id, rec.BrokerEpoch)
	}
	b := *r.next.brokers[i]
	changeFlag(&b.Fenced, rec.Fenced)
	changeFlag(&b.InControlledShutdown, rec.InControlledShutdown)
	if rec.LogDirs != nil {
		b.Dirs = slices.Clone(rec.LogDirs)
	}
	brokers := slices.Clone(r.next.brokers)
	brokers[i] = &b
	r.next.brokers, r.brokers[id] = brokers, true
	return nil
}

func changeFlag(flag *bool, change int8) {
	if change != 0 {
		*flag = change > 0
	}
}
