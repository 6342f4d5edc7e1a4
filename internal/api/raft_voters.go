package api

import (
	"context"
	"errors"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/wire"
)

// What AddRaftVoter and RemoveRaftVoter share (KIP-853).

// voterPause is between two tries to change the quorum.
const voterPause = 50 * time.Millisecond

// checkQuorumID refuses a request that means another cluster. Kafka's message.
func checkQuorumID(r *Request, id *string) controller.Outcome {
	if id == nil || *id == r.Image.ClusterID {
		return controller.Outcome{}
	}
	return controller.Outcome{Code: model.InconsistentClusterID, Message: "The cluster id in the request, " + *id + ", is not that of this cluster, " + r.Image.ClusterID}
}

// changeVoters tries until it is decided, or ctx ends: a learner may have to catch up, and one change has to wait for the one before.
func (a *API) changeVoters(ctx context.Context, r *Request, try func() (controller.Outcome, error)) controller.Outcome {
	for {
		out, err := try()
		wait := errors.Is(err, quorum.ErrChanging) || err == nil && out.Code == model.RequestTimedOut
		if err != nil {
			out = r.failure(a, err)
		}
		if !wait || !clock.Sleep(ctx, a.Clock, voterPause) {
			return out
		}
	}
}

// handOver moves the leadership of the metadata quorum away from this node, and has the request carried out by who leads then.
func (a *API) handOver(ctx context.Context, q wire.Request, version int16, resp wire.Response) error {
	a.Quorum.Transfer(ctx)
	if a.here() {
		return errNobodyElse
	}
	return a.ask(ctx, q, version, resp)
}

var errNobodyElse = errors.New("no other voter could take it over")
