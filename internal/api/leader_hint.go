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
	leader, epoch := a.newestLeader(t, partition)
	hint := wire.LeaderHint{Set: true, ID: int32(leader), Epoch: int32(epoch)}
	for i := range endpoints {
		if endpoints[i].NodeID == int32(leader) {
			return hint, endpoints
		}
	}
	host, port, ok := a.Advertised(c, leader)
	if !ok {
		return wire.LeaderHint{}, endpoints
	}
	e := wire.NodeEndpoint{NodeID: int32(leader), Host: host, Port: port}
	if b := a.Image().Broker(leader); b != nil {
		e.Rack = b.Rack
	}
	return hint, append(endpoints, e)
}

// newestLeader is who leads by what this node knows now. The image that the request began with may be older: leadership that moves while the
// request waits is what fails it. A hint of that image would name this very node, and the client would come back after a pause.
func (a *API) newestLeader(t *metadata.Topic, partition int32) (model.BrokerID, model.LeaderEpoch) {
	p := &t.Partitions[partition]
	leader, epoch := p.Leader, p.LeaderEpoch
	if now := a.Image().TopicByID(t.ID); now != nil && now.Partitions[partition].LeaderEpoch > epoch {
		leader, epoch = now.Partitions[partition].Leader, now.Partitions[partition].LeaderEpoch
	}
	// The replica is told before the image is shown to requests.
	if r := a.Partitions.Get(model.TopicIDPartition{ID: t.ID, Partition: partition}); r != nil {
		if i := r.Info(); i.LeaderEpoch > epoch {
			leader, epoch = i.Leader, i.LeaderEpoch
		}
	}
	return leader, epoch
}
