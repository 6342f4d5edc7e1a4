package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// unregisterBroker answers key 64: forgets a broker that will not come back, so that its id is free.
func unregisterBroker(a *API, r *Request, q *wire.UnregisterBrokerRequest) (*wire.UnregisterBrokerResponse, error) {
	ctx, cancel := r.adminContext(0)
	defer cancel()
	out, err := a.Controller.UnregisterBroker(ctx, model.BrokerID(q.BrokerID))
	if err != nil {
		out = r.failure(a, err)
	}
	return &wire.UnregisterBrokerResponse{ErrorCode: out.Code, ErrorMessage: text(out)}, nil
}
