package connect

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Group is one line of a list of groups.
type Group struct {
	Name, State, Type, Protocol string
	Coordinator                 int32
}

// Groups lists the groups of all brokers, in the order brokers answer; empty filters let all through. It exists because kadm leaves the
// type of a group (KIP-1099) out.
func (c *Cluster) Groups(ctx context.Context, states, types []string) ([]Group, error) {
	req := kmsg.NewPtrListGroupsRequest()
	req.StatesFilter, req.TypesFilter = states, types
	var out []Group
	for _, shard := range c.Raw.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		resp, ok := shard.Resp.(*kmsg.ListGroupsResponse)
		if !ok {
			continue
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return nil, err
		}
		for _, g := range resp.Groups {
			out = append(out, Group{g.Group, g.GroupState, g.GroupType, g.ProtocolType, shard.Meta.NodeID})
		}
	}
	return out, nil
}
