package api

import (
	"errors"

	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// removeRaftVoter answers key 81: takes a node's vote in the metadata quorum away (KIP-853). When that node is this one, which leads, it hands
// leadership over before, so that nobody waits for an election.
func removeRaftVoter(a *API, r *Request, q *wire.RemoveRaftVoterRequest) (*wire.RemoveRaftVoterResponse, error) {
	ctx, cancel := r.adminContext(0)
	defer cancel()
	key := controller.VoterKey{ID: model.BrokerID(q.VoterID), DirectoryID: q.VoterDirectoryID}
	out := checkQuorumID(r, q.ClusterID)
	switch {
	case !out.OK():
	case q.VoterID < 0:
		out = controller.Outcome{Code: model.InvalidRequest, Message: "Remove voter request didn't include a valid voter"}
	default:
		leads := false
		out = a.changeVoters(ctx, r, func() (controller.Outcome, error) {
			out, err := a.Controller.RemoveVoter(ctx, key)
			if leads = errors.Is(err, controller.ErrLeads); leads {
				return controller.Outcome{}, nil
			}
			return out, err
		})
		if !leads {
			break
		}
		var resp wire.RemoveRaftVoterResponse
		if err := a.handOver(ctx, q, 0, &resp); err != nil {
			out = controller.Outcome{Code: model.RequestTimedOut, Message: "leadership of the metadata quorum moved away from this voter, then: " + err.Error()}
			break
		}
		return &resp, nil
	}
	return &wire.RemoveRaftVoterResponse{ErrorCode: out.Code, ErrorMessage: text(out)}, nil
}
