package controller

import (
	"context"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// UnregisterBroker forgets a broker, so that its id is free (KIP-500), and takes it out of the metadata quorum. Its replicas stay assigned to it until they are reassigned.
func (c *Controller) UnregisterBroker(ctx context.Context, id model.BrokerID) (Outcome, error) {
	return run(ctx, c, func(img *metadata.Image) ([]metadata.Record, Outcome) {
		c.because("unregistered", "broker %d was unregistered", id)
		return unregisterBroker(c.electorate(img), id, c.o.Log.Follows)
	})
}

func unregisterBroker(e *electorate, id model.BrokerID, f follows) ([]metadata.Record, Outcome) {
	b := e.img.Broker(id)
	members, out := removeMember(e.img, id, f)
	switch {
	case b == nil && len(members) == 0:
		return nil, failure(model.BrokerIDNotRegistered, "Broker ID %d is not currently registered", id)
	case !out.OK() && len(e.img.Brokers()) > 1:
		return nil, out
	case b == nil:
		return members, out
	}
	records := fence(e, b)
	if b.Fenced {
		records = records[1:]
	}
	records = append(records, members...)
	return append(records, &metadata.UnregisterBroker{BrokerID: int32(id), BrokerEpoch: int64(b.Epoch)}), Outcome{}
}
