package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// alterConfigs answers key 33, the old form: what is not named goes back to its default.
func alterConfigs(a *API, r *Request, q *wire.AlterConfigsRequest) (*wire.AlterConfigsResponse, error) {
	ask := make([]controller.AlterConfig, len(q.Resources))
	for i := range q.Resources {
		res := &q.Resources[i]
		ask[i] = controller.AlterConfig{Type: model.ResourceType(res.ResourceType), Name: res.ResourceName}
		for j := range res.Configs {
			ask[i].Ops = append(ask[i].Ops, controller.ConfigChange{Name: res.Configs[j].Name, Op: controller.OpSet, Value: res.Configs[j].Value})
		}
	}
	resp := &wire.AlterConfigsResponse{}
	for _, d := range a.changeConfigs(r, ask, configRequest{change: a.Controller.AlterConfigs, validateOnly: q.ValidateOnly}) {
		resp.Responses = append(resp.Responses, wire.AlterConfigsResponseResource{
			ErrorCode: d.Code, ErrorMessage: text(d.Outcome), ResourceType: int8(d.Type), ResourceName: d.Name,
		})
	}
	return resp, nil
}

// configRequest is what APIs 33 and 44 differ in.
type configRequest struct {
	change       func(context.Context, []controller.AlterConfig, bool) ([]controller.ConfigOutcome, error)
	validateOnly bool
	loggers      bool // may change log levels
	incremental  bool // API 44
}

// changeConfigs refuses what only this node can judge, gives the rest to the controller, and answers in the order of the request.
func (a *API) changeConfigs(r *Request, ask []controller.AlterConfig, how configRequest) []controller.ConfigOutcome {
	ctx, cancel := r.adminContext(0)
	defer cancel()
	mentions := map[[2]string]int{}
	for i := range ask {
		mentions[resourceKey(&ask[i])]++
	}
	out := make([]controller.ConfigOutcome, len(ask))
	var rest []controller.AlterConfig
	var places []int
	for i := range ask {
		c := &ask[i]
		out[i] = controller.ConfigOutcome{Type: c.Type, Name: c.Name}
		switch local := how.loggers && c.Type == model.ResourceBrokerLogger; {
		case mentions[resourceKey(c)] > 1:
			out[i].Outcome = controller.Outcome{Code: model.InvalidRequest, Message: "Each resource must appear at most once."}
		case local:
			if out[i].Outcome = a.ownLoggers(c); out[i].OK() {
				out[i].Outcome = a.alterLoggers(c, how.validateOnly)
			}
		default:
			if out[i].Outcome = a.ownBroker(c); out[i].OK() || r.out != nil { // the node that forwarded has judged it
				rest, places = append(rest, *c), append(places, i)
			}
		}
	}
	if len(rest) == 0 {
		return out
	}
	done, err := a.alterAnywhere(ctx, rest, how)
	failed := r.failure(a, err)
	for j, i := range places {
		if err != nil {
			out[i].Outcome = failed
		} else {
			out[i] = done[j]
		}
	}
	return out
}

func resourceKey(c *controller.AlterConfig) [2]string {
	return [2]string{strconv.Itoa(int(c.Type)), c.Name}
}

// ownBroker refuses another broker's configuration: clients send it to that broker, which knows what it can take.
func (a *API) ownBroker(c *controller.AlterConfig) controller.Outcome {
	if c.Type != model.ResourceBroker || c.Name == "" {
		return controller.Outcome{}
	}
	switch id, err := strconv.ParseInt(c.Name, 10, 32); {
	case err != nil:
		return controller.Outcome{Code: model.InvalidRequest, Message: "Node id must be an integer, but it is: " + c.Name}
	case model.BrokerID(id) != a.Me:
		return controller.Outcome{Code: model.InvalidRequest, Message: fmt.Sprintf("Unexpected broker id, expected %d, but received %s", a.Me, c.Name)}
	}
	return controller.Outcome{}
}

func (a *API) ownLoggers(c *controller.AlterConfig) controller.Outcome {
	var null []string
	for _, op := range c.Ops {
		if op.Value == nil && op.Op != controller.OpDelete {
			null = append(null, op.Name)
		}
	}
	switch id, err := strconv.ParseInt(c.Name, 10, 32); {
	case len(null) > 0:
		return controller.Outcome{Code: model.InvalidRequest, Message: "Null value not supported for : " + strings.Join(null, ",")}
	case err != nil:
		return controller.Outcome{Code: model.InvalidRequest, Message: "Node id must be an integer, but it is: " + c.Name}
	case model.BrokerID(id) != a.Me:
		return controller.Outcome{Code: model.InvalidRequest, Message: fmt.Sprintf("Unexpected node id. Expected %d, but received %s", a.Me, c.Name)}
	}
	return controller.Outcome{}
}
