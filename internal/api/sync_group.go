package api

import "github.com/klamm/klamm/internal/wire"

// syncGroup answers key 14: the leader hands in the assignment, everybody gets their part once it is committed.
func syncGroup(a *API, r *Request, q *wire.SyncGroupRequest) (*wire.SyncGroupResponse, error) {
	return a.Groups.Sync(r.Context(), q), nil
}
