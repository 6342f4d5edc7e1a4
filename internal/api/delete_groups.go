package api

import "github.com/klamm/klamm/internal/wire"

// deleteGroups answers key 42: groups without members go, with their offsets (KIP-229).
func deleteGroups(a *API, r *Request, q *wire.DeleteGroupsRequest) (*wire.DeleteGroupsResponse, error) {
	return &wire.DeleteGroupsResponse{Results: a.Groups.Delete(r.Context(), q.GroupsNames)}, nil
}
