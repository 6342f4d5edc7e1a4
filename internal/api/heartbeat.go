package api

import "github.com/klamm/klamm/internal/wire"

// heartbeat answers key 12: the member is alive, and learns whether its group rebalances.
func heartbeat(a *API, r *Request, q *wire.HeartbeatRequest) (*wire.HeartbeatResponse, error) {
	return &wire.HeartbeatResponse{ErrorCode: a.Groups.Heartbeat(r.Context(), q)}, nil
}
