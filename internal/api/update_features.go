package api

import (
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/wire"
)

// updateFeatures answers key 57: finalized feature levels (KIP-584). Since version 2 the answer is one for the whole request.
func updateFeatures(a *API, r *Request, q *wire.UpdateFeaturesRequest) (*wire.UpdateFeaturesResponse, error) {
	ctx, cancel := r.adminContext(q.TimeoutMs)
	defer cancel()
	ask := controller.UpdateFeatures{ValidateOnly: q.ValidateOnly}
	for i := range q.FeatureUpdates {
		u := &q.FeatureUpdates[i]
		way := controller.UpgradeType(u.UpgradeType)
		if r.Version == 0 && u.AllowDowngrade {
			way = controller.SafeDowngrade
		}
		ask.Updates = append(ask.Updates, controller.FeatureUpdate{Name: u.Feature, Level: u.MaxVersionLevel, Type: way})
	}
	done, err := a.Controller.UpdateFeatures(ctx, ask)
	if err != nil {
		done = controller.UpdatedFeatures{Outcome: r.failure(a, err)}
	}
	resp := &wire.UpdateFeaturesResponse{ErrorCode: done.Code, ErrorMessage: text(done.Outcome)}
	if done.OK() {
		for _, f := range done.Features {
			resp.Results = append(resp.Results, wire.UpdateFeaturesResponseFeature{Feature: f.Name})
		}
	}
	return resp, nil
}
