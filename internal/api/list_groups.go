package api

import "github.com/klamm/klamm/internal/wire"

// listGroups answers key 16: the groups this node coordinates. Version 4 filters by state (KIP-518), 5 by type (KIP-848).
func listGroups(a *API, r *Request, q *wire.ListGroupsRequest) (*wire.ListGroupsResponse, error) {
	return a.Groups.List(r.Context(), q), nil
}
