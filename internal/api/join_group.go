package api

import "github.com/klamm/klamm/internal/wire"

// joinGroup answers key 11: a member comes, or comes back, and waits until the group's next generation stands. Version 4 gives dynamic
// members their id first (KIP-394), 5 knows static members (KIP-345), 9 can spare a leader the assignment (KIP-814).
func joinGroup(a *API, r *Request, q *wire.JoinGroupRequest) (*wire.JoinGroupResponse, error) {
	return a.Groups.Join(r.Context(), groupClient(r), r.Version, q), nil
}
