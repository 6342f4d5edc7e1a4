package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// initProducerID answers key 22: a producer id of its own for an idempotent producer (KIP-98). A transactional id is refused, and with a
// code that clients treat as final: there are no transactions yet.
func initProducerID(a *API, r *Request, q *wire.InitProducerIDRequest) (*wire.InitProducerIDResponse, error) {
	resp := wire.NewInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = int64(model.NoProducerID), int16(model.NoProducerEpoch)
	if q.TransactionalID != nil {
		resp.ErrorCode = model.UnsupportedVersion
		if *q.TransactionalID == "" {
			resp.ErrorCode = model.InvalidRequest
		}
		return &resp, nil
	}
	id, err := a.ProducerIDs(r.Context())
	if err != nil {
		a.Logger.Error("no producer id", "err", err)
		resp.ErrorCode = model.CoordinatorLoadInProgress
		return &resp, nil
	}
	// Kafka gives an idempotent producer a new id at epoch 0 whatever id and epoch it names: those matter only for transactional ids.
	resp.ProducerID, resp.ProducerEpoch = int64(id), 0
	return &resp, nil
}
