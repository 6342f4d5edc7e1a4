package api

import (
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
)

// Consumers read from the leader, unless they say in which rack they are and the broker is told to look for a replica there (KIP-392,
// replica.selector.class). The leader sends them to it. From there they read up to the high watermark that the follower knows; what it does not
// have yet, or any more, it answers with OFFSET_OUT_OF_RANGE as in Kafka, and they turn to the leader again. A consumer that names no leader epoch would
// begin anew instead; one that is further than the follower gets NOT_LEADER_OR_FOLLOWER.

// nearReplica is the replica in the consumer's rack that it had better read from, if there is one and the leader is not in that rack.
func (c *fetchCall) nearReplica(sp *sessionPartition, p *replication.Partition) (model.BrokerID, bool) {
	id, ok := p.Near(sp.offset, func(id model.BrokerID) bool { return inRack(c.image.Broker(id), c.rack) })
	if !ok {
		return model.NoBroker, false
	}
	_, _, reachable := c.api.Advertised(c.conn, id)
	return id, reachable
}

func inRack(b *metadata.Broker, rack string) bool {
	return b != nil && !b.Fenced && b.Rack != nil && *b.Rack == rack
}

// await queues at a partition.
func (c *fetchCall) await(r *fetchResult, slot int) replication.WaitHandle {
	if c.anyReplica {
		return r.part.AwaitDataHere(r.read.Limit, c.isolation, c, slot)
	}
	return r.part.AwaitData(r.read.Limit, c.isolation, c, slot)
}
