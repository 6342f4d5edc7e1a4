package api

import (
	"slices"
	"strconv"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// listConfigResources answers key 74: what has a configuration (KIP-1142). Version 0 knew client metrics only; no types ask for all.
func listConfigResources(_ *API, r *Request, q *wire.ListConfigResourcesRequest) (*wire.ListConfigResourcesResponse, error) {
	resp := &wire.ListConfigResourcesResponse{}
	all := []int8{int8(model.ResourceGroup), int8(model.ResourceClientMetrics), int8(model.ResourceBrokerLogger), int8(model.ResourceBroker), int8(model.ResourceTopic)}
	wanted := q.ResourceTypes
	switch {
	case r.Version == 0:
		wanted = []int8{int8(model.ResourceClientMetrics)}
	case len(wanted) == 0:
		wanted = all
	}
	for _, kind := range wanted {
		if !slices.Contains(all, kind) {
			resp.ErrorCode = model.UnsupportedVersion
			return resp, nil
		}
	}
	for _, kind := range all {
		if !slices.Contains(wanted, kind) {
			continue
		}
		for _, name := range configurable(r, model.ResourceType(kind)) {
			resp.ConfigResources = append(resp.ConfigResources, wire.ListConfigResourcesResponseConfigResource{ResourceName: name, ResourceType: kind})
		}
	}
	return resp, nil
}

// configurable names what of a kind there is. Groups and client metrics exist here only by having a configuration.
func configurable(r *Request, kind model.ResourceType) []string {
	var names []string
	switch kind {
	case model.ResourceTopic:
		for t := range r.Image.Topics() {
			names = append(names, t.Name)
		}
	case model.ResourceBroker, model.ResourceBrokerLogger:
		for _, b := range r.Image.Brokers() {
			names = append(names, strconv.Itoa(int(b.ID)))
		}
	default:
		names = slices.Collect(r.Image.ConfiguredResources(kind))
	}
	return names
}
