package api

import (
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// incrementalAlterConfigs answers key 44: single keys set, taken back, added to or taken from (KIP-339), and log levels (KIP-412).
func incrementalAlterConfigs(a *API, r *Request, q *wire.IncrementalAlterConfigsRequest) (*wire.IncrementalAlterConfigsResponse, error) {
	ask := make([]controller.AlterConfig, len(q.Resources))
	for i := range q.Resources {
		res := &q.Resources[i]
		ask[i] = controller.AlterConfig{Type: model.ResourceType(res.ResourceType), Name: res.ResourceName}
		for j := range res.Configs {
			c := &res.Configs[j]
			ask[i].Ops = append(ask[i].Ops, controller.ConfigChange{Name: c.Name, Op: controller.ConfigOp(c.ConfigOperation), Value: c.Value})
		}
	}
	resp := &wire.IncrementalAlterConfigsResponse{}
	how := configRequest{change: a.Controller.IncrementalAlterConfigs, validateOnly: q.ValidateOnly, loggers: true, incremental: true}
	for _, d := range a.changeConfigs(r, ask, how) {
		resp.Responses = append(resp.Responses, wire.IncrementalAlterConfigsResponseResource{
			ErrorCode: d.Code, ErrorMessage: text(d.Outcome), ResourceType: int8(d.Type), ResourceName: d.Name,
		})
	}
	return resp, nil
}
