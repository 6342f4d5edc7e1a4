package api

import (
	"context"
	"errors"
	"time"

	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/quorum"
)

// What the handlers of admin requests share: time limits, and the answer when the controller as a whole fails.

// Bounds of what a client may ask an admin request to wait.
const (
	defaultAdminTimeout = time.Minute
	maxAdminTimeout     = 10 * time.Minute
)

// adminContext ends when the client's patience does. Clients that name no time, or none that could be meant, get a minute.
func (r *Request) adminContext(timeoutMs int32) (context.Context, context.CancelFunc) {
	d := time.Duration(timeoutMs) * time.Millisecond
	if d <= 0 {
		d = defaultAdminTimeout
	}
	return context.WithTimeout(r.ctx, min(d, maxAdminTimeout))
}

// adminFailure is what a client is told when the controller could not decide, or could not make its decision durable.
func (a *API) adminFailure(err error) controller.Outcome {
	var out controller.Outcome
	switch {
	case err == nil:
		return out
	case errors.As(err, &out):
		return out
	case errors.Is(err, quorum.ErrNotLeader) || errors.Is(err, quorum.ErrClosed):
		return controller.Outcome{Code: model.NotController, Message: "This is not the correct controller for this cluster."}
	case errors.Is(err, quorum.ErrChanging):
		return controller.Outcome{Code: model.RequestTimedOut, Message: err.Error() + "; try again"}
	case errors.Is(err, quorum.ErrNoSpace):
		return controller.Outcome{Code: model.KafkaStorageError, Message: err.Error()}
	}
	code := codeOf(err)
	if code == model.KafkaStorageError {
		a.Logger.Error("admin request failed", "err", err)
	}
	return controller.Outcome{Code: code, Message: err.Error()}
}

// errRefused says that a controller that is not active was asked, and changed nothing.
var errRefused = errors.New("this node's controller is not active")

// failure is adminFailure for a request. It tells a refusal, after which another try is safe, from a decision of which it is open what became
// of it: that one the client has to judge.
func (r *Request) failure(a *API, err error) controller.Outcome {
	r.refused = errors.Is(err, model.NotController)
	return a.adminFailure(err)
}

// text is an outcome's message on the wire: null when there is none.
func text(o controller.Outcome) *string {
	if o.Message == "" {
		return nil
	}
	return &o.Message
}

// modelIDs turns broker ids of a request into the model's; nil stays nil.
func modelIDs(ids []int32) []model.BrokerID {
	if ids == nil {
		return nil
	}
	out := make([]model.BrokerID, len(ids))
	for i, id := range ids {
		out[i] = model.BrokerID(id)
	}
	return out
}
