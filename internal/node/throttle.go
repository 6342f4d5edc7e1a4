package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
)

// throttle tells a replica whether it counts against the throttles of replication (KIP-73).
func (n *Node) throttle(img *metadata.Image, r *replica) {
	tp := r.part.TP()
	set := img.Overrides(model.ResourceTopic, tp.Topic)
	r.part.SetThrottled(replication.Throttled{
		Leader:   lists(set["leader.replication.throttled.replicas"], tp.Partition, n.me),
		Follower: lists(set["follower.replication.throttled.replicas"], tp.Partition, n.me),
	})
}

// lists reports that partition:broker pairs, or * for all, name this one.
func lists(pairs string, partition int32, id model.BrokerID) bool {
	if pairs == "" {
		return false
	}
	all := strings.Split(pairs, ",")
	return slices.ContainsFunc(all, func(p string) bool {
		p = strings.TrimSpace(p)
		return p == "*" || p == fmt.Sprintf("%d:%d", partition, id)
	})
}

// setRates takes over this broker's dynamic rates. Without one everything passes.
func (f *following) setRates(v config.Values) {
	f.sending.SetRate(v.Int64("leader.replication.throttled.rate"))
	f.taking.SetRate(v.Int64("follower.replication.throttled.rate"))
}
