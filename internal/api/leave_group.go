package api

import "github.com/klamm/klamm/internal/wire"

// leaveGroup answers key 13. Version 3 and later remove many members at once, by member or instance id (KIP-345).
func leaveGroup(a *API, r *Request, q *wire.LeaveGroupRequest) (*wire.LeaveGroupResponse, error) {
	return a.Groups.Leave(r.Context(), r.Version, q), nil
}
