package controller

import (
	"context"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// UnregisterBroker forgets a broker, so that its id is free (KIP-500). Its replicas stay assigned to it until they are reassigned.
func (c *Controller) UnregisterBroker(ctx context.Context, id model.BrokerID) (Outcome, error) {
	return run(ctx, c, func(img *metadata.Image) ([]metadata.Record, Outcome) {
		return unregisterBroker(c.electorate(img), id)
	})
}

func unregisterBroker(e *electorate, id model.BrokerID) ([]metadata.Record, Outcome) {
	b := e.img.Broker(id)
	if b == nil {
		return nil, failure(model.BrokerIDNotRegistered, "Broker ID %d is not currently registered", id)
	}
	records := fence(e, b)
	if b.Fenced {
		records = records[1:]
	}
	return append(records, &metadata.UnregisterBroker{BrokerID: int32(id), BrokerEpoch: int64(b.Epoch)}), Outcome{}
}
