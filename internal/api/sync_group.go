package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// syncGroup answers key 14: the leader hands in the assignment, everybody gets their part once it is committed. From version 5 on the
// member must say which protocol it believes to be selected (KIP-559).
func syncGroup(a *API, r *Request, q *wire.SyncGroupRequest) (*wire.SyncGroupResponse, error) {
	if r.Version >= 5 && (q.ProtocolType == nil || q.ProtocolName == nil) {
		return &wire.SyncGroupResponse{ErrorCode: model.InconsistentGroupProtocol}, nil
	}
	return a.Groups.Sync(r.Context(), q), nil
}
