package api

import (
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// addRaftVoter answers key 80: a vote in the metadata quorum for a node that follows its log (KIP-853). Where it is reached it has said itself
// when it joined, so the listeners of the request are not looked at: Kafka's tool takes them from a configuration file. The answer is always
// given after the commit.
func addRaftVoter(a *API, r *Request, q *wire.AddRaftVoterRequest) (*wire.AddRaftVoterResponse, error) {
	ctx, cancel := r.adminContext(q.TimeoutMs)
	defer cancel()
	key := controller.VoterKey{ID: model.BrokerID(q.VoterID), DirectoryID: q.VoterDirectoryID}
	out := checkQuorumID(r, q.ClusterID)
	switch {
	case !out.OK():
	case q.VoterID < 0:
		out = controller.Outcome{Code: model.InvalidRequest, Message: "Add voter request didn't include a valid voter"}
	default:
		out = a.changeVoters(ctx, r, func() (controller.Outcome, error) { return a.Controller.AddVoter(ctx, key) })
	}
	return &wire.AddRaftVoterResponse{ErrorCode: out.Code, ErrorMessage: text(out)}, nil
}
