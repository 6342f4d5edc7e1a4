package api

import (
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/wire"
)

// leaderHint tells a client that came to the wrong leader who the right one is, which saves it a Metadata request (KIP-951). The leader's
// address is added to endpoints.
func (a *API) leaderHint(c *server.Conn, t *metadata.Topic, partition int32, code model.ErrorCode, endpoints []wire.NodeEndpoint) (wire.LeaderHint, []wire.NodeEndpoint) {
	if code != model.NotLeaderOrFollower && code != model.FencedLeaderEpoch || t == nil || partition < 0 || int(partition) >= len(t.Partitions) {
		return wire.LeaderHint{}, endpoints
	}
	p := &t.Partitions[partition]
	for i := range endpoints {
		if endpoints[i].NodeID == int32(p.Leader) {
			return wire.LeaderHint{Set: true, ID: int32(p.Leader), Epoch: int32(p.LeaderEpoch)}, endpoints
		}
	}
	host, port, ok := a.Advertised(c, p.Leader)
	if !ok {
		return wire.LeaderHint{}, endpoints
	}
	e := wire.NodeEndpoint{NodeID: int32(p.Leader), Host: host, Port: port}
	if b := a.Image().Broker(p.Leader); b != nil {
		e.Rack = b.Rack
	}
	return wire.LeaderHint{Set: true, ID: int32(p.Leader), Epoch: int32(p.LeaderEpoch)}, append(endpoints, e)
}
