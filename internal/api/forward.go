package api

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/wire"
)

// Every broker is a door: a request whose decision belongs to the controller goes to the node it is active on, as it came, and its answer
// comes back (KIP-590).

// Remote reaches the active controller on another node.
type Remote interface {
	// Here reports that the active controller is this node's.
	Here() bool
	// Forward has the request carried out where the controller is active, and returns the body of the answer after this node's metadata has
	// caught up with it. It waits for a controller while there is none. An error says that it was not carried out, or that this is not
	// known; ErrHere that it is this node's turn after all.
	Forward(context.Context, *wire.ForwardRequest) ([]byte, error)
}

// ErrHere says that the active controller is this node's.
var ErrHere = errors.New("this node has the active controller")

// here reports that this node decides.
func (a *API) here() bool { return a.Remote == nil || a.Remote.Here() }

// Between two tries to find the active controller, and for how long. A node is elected some time before its controller is active, and others
// learn of it at any time, so whoever is asked may have to say that it is not its turn.
const (
	refusedPause = 20 * time.Millisecond
	refusedTime  = 15 * time.Second
)

// decided has the active controller carry a request out, wherever it is. While a controller changes hands the client waits, as at Kafka's
// brokers: NOT_CONTROLLER is for when that takes too long, or when nobody knows whether the request was carried out.
func (a *API) decided(e *entry, r *Request) error {
	ctx, cancel := context.WithTimeout(r.ctx, refusedTime)
	defer cancel()
	for {
		r.again, r.refused = ctx.Err() == nil, false
		if e.Controller && !a.here() {
			err := a.forward(r)
			if err == nil {
				return nil
			}
			// This node's own controller says in the request's own form that it is not active.
			r.again = r.again && errors.Is(err, ErrHere)
		}
		r.Image = a.Image()
		if err := e.Serial(a, r); !errors.Is(err, errRefused) {
			return err
		}
		_ = clock.Sleep(ctx, a.Clock, refusedPause) // the next try is the last one when ctx has ended
	}
}

// forward answers a client's request from another node.
func (a *API) forward(r *Request) error {
	id := r.Conn.ClientID()
	body, err := a.Remote.Forward(r.ctx, &wire.ForwardRequest{
		Key: int16(r.Header.Key), Version: r.Version, ClientID: &id, ClientHost: r.Conn.RemoteAddr(), Listener: r.Conn.Listener().Name,
		Body: bytes.Clone(r.Body),
	})
	if err != nil {
		if !errors.Is(err, ErrHere) {
			a.Logger.Warn("request could not be forwarded", "api", wire.Name(r.Header.Key), "err", err)
		}
		return err
	}
	b := r.Reply.Bytes()
	*b = append(*b, body...)
	r.Reply.Send()
	return nil
}

// ask has this node's own request carried out where the controller is active. Any error but ErrHere comes after all the time there is, or when
// nobody knows what became of it: a client is told that it took too long, as by Kafka's brokers.
func (a *API) ask(ctx context.Context, q wire.Request, version int16, resp wire.Response) error {
	body, err := a.Remote.Forward(ctx, &wire.ForwardRequest{Key: int16(q.APIKey()), Version: version, Body: q.Append(nil, version)})
	switch {
	case errors.Is(err, ErrHere):
		return err
	case err != nil:
		return controller.Outcome{Code: model.RequestTimedOut, Message: "the active controller was not reached: " + err.Error()}
	}
	return resp.Decode(wire.NewDecoder(body, wire.TrustedLimits()), version)
}

// Forwarded carries out a request that another node's client sent.
func (a *API) Forwarded(ctx context.Context, c *server.Conn, q *wire.ForwardRequest) wire.ForwardResponse {
	e := a.entry(wire.Key(q.Key))
	switch {
	case e == nil || !e.Controller && !e.Parts || q.Version < e.Min || q.Version > e.Max:
		return wire.ForwardResponse{ErrorCode: model.UnsupportedVersion}
	case !a.here():
		return wire.ForwardResponse{ErrorCode: model.NotController}
	}
	var out []byte
	r := &Request{
		Request: &server.Request{Header: wire.RequestHeader{Key: wire.Key(q.Key), Version: q.Version, ClientID: q.ClientID}, Body: q.Body},
		Conn:    c, Version: q.Version, Image: a.Image(), ctx: ctx, out: &out, again: true,
	}
	switch err := e.Serial(a, r); {
	case errors.Is(err, errRefused):
		return wire.ForwardResponse{ErrorCode: model.NotController}
	case err != nil:
		a.Logger.Info("forwarded request refused", "client", q.ClientHost, "err", err)
		return wire.ForwardResponse{ErrorCode: model.InvalidRequest}
	}
	return wire.ForwardResponse{MetadataOffset: int64(a.Image().Offset), Body: out}
}

// createTopicsAnywhere is for topics that a broker makes on its own account.
func (a *API) createTopicsAnywhere(ctx context.Context, ask controller.CreateTopics) ([]controller.CreatedTopic, error) {
	limited, cancel := context.WithTimeout(ctx, refusedTime)
	defer cancel()
	for {
		done, err := a.createTopicsOnce(ctx, ask)
		if !errors.Is(err, model.NotController) || !clock.Sleep(limited, a.Clock, refusedPause) {
			return done, err
		}
	}
}

func (a *API) createTopicsOnce(ctx context.Context, ask controller.CreateTopics) ([]controller.CreatedTopic, error) {
	if a.here() {
		return a.Controller.CreateTopics(ctx, ask)
	}
	q := wire.NewCreateTopicsRequest()
	for i := range ask.Topics {
		t := &ask.Topics[i]
		wt := wire.CreateTopicsRequestTopic{}
		wt.Name, wt.NumPartitions, wt.ReplicationFactor = t.Name, t.Partitions, t.ReplicationFactor
		for _, c := range t.Configs {
			wt.Configs = append(wt.Configs, wire.CreateTopicsRequestTopicConfig{Name: c.Name, Value: c.Value})
		}
		q.Topics = append(q.Topics, wt)
	}
	var resp wire.CreateTopicsResponse
	if err := a.ask(ctx, &q, 7, &resp); err != nil {
		if errors.Is(err, ErrHere) {
			return a.Controller.CreateTopics(ctx, ask)
		}
		return nil, err
	}
	out := make([]controller.CreatedTopic, len(resp.Topics))
	for i := range resp.Topics {
		t := &resp.Topics[i]
		out[i] = controller.CreatedTopic{Name: t.Name, ID: t.TopicID, Outcome: outcomeOf(t.ErrorCode, t.ErrorMessage)}
	}
	return out, nil
}

// alterAnywhere gives changed configurations to the controller, after this node has judged what only it can judge.
func (a *API) alterAnywhere(ctx context.Context, ask []controller.AlterConfig, how configRequest) ([]controller.ConfigOutcome, error) {
	if a.here() {
		return how.change(ctx, ask, how.validateOnly)
	}
	out, err := a.alterRemotely(ctx, ask, how)
	if errors.Is(err, ErrHere) {
		return how.change(ctx, ask, how.validateOnly)
	}
	return out, err
}

func (a *API) alterRemotely(ctx context.Context, ask []controller.AlterConfig, how configRequest) (out []controller.ConfigOutcome, err error) {
	if !how.incremental {
		q := wire.AlterConfigsRequest{ValidateOnly: how.validateOnly}
		for i := range ask {
			res := wire.AlterConfigsRequestResource{ResourceType: int8(ask[i].Type), ResourceName: ask[i].Name}
			for _, op := range ask[i].Ops {
				res.Configs = append(res.Configs, wire.AlterConfigsRequestResourceConfig{Name: op.Name, Value: op.Value})
			}
			q.Resources = append(q.Resources, res)
		}
		var resp wire.AlterConfigsResponse
		err = a.ask(ctx, &q, 2, &resp)
		for i := range resp.Responses {
			r := &resp.Responses[i]
			out = append(out, controller.ConfigOutcome{Type: model.ResourceType(r.ResourceType), Name: r.ResourceName, Outcome: outcomeOf(r.ErrorCode, r.ErrorMessage)})
		}
		return checkedLength(out, ask, err)
	}
	q := wire.IncrementalAlterConfigsRequest{ValidateOnly: how.validateOnly}
	for i := range ask {
		res := wire.IncrementalAlterConfigsRequestResource{ResourceType: int8(ask[i].Type), ResourceName: ask[i].Name}
		for _, op := range ask[i].Ops {
			res.Configs = append(res.Configs, wire.IncrementalAlterConfigsRequestResourceConfig{Name: op.Name, ConfigOperation: int8(op.Op), Value: op.Value})
		}
		q.Resources = append(q.Resources, res)
	}
	var resp wire.IncrementalAlterConfigsResponse
	err = a.ask(ctx, &q, 1, &resp)
	for i := range resp.Responses {
		r := &resp.Responses[i]
		out = append(out, controller.ConfigOutcome{Type: model.ResourceType(r.ResourceType), Name: r.ResourceName, Outcome: outcomeOf(r.ErrorCode, r.ErrorMessage)})
	}
	return checkedLength(out, ask, err)
}

var errShortAnswer = errors.New("the controller did not answer for every resource")

func checkedLength(out []controller.ConfigOutcome, ask []controller.AlterConfig, err error) ([]controller.ConfigOutcome, error) {
	if err == nil && len(out) != len(ask) {
		err = errShortAnswer
	}
	return out, err
}

func outcomeOf(code model.ErrorCode, message *string) controller.Outcome {
	o := controller.Outcome{Code: code}
	if message != nil {
		o.Message = *message
	}
	return o
}
