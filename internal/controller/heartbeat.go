package controller

import (
	"context"
	"slices"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// Heartbeat keeps a broker's session alive, and carries its wishes: to take part, to be fenced, to stop.
func (c *Controller) Heartbeat(ctx context.Context, h Heartbeat) (HeartbeatReply, error) {
	type result struct {
		reply HeartbeatReply
		err   error
	}
	got, err := run(ctx, c, func(img *metadata.Image) ([]metadata.Record, result) {
		if out := checkBroker(img, h.ID, h.Epoch); !out.OK() {
			return nil, result{err: out}
		}
		c.sessions.touch(h.ID)
		c.becauseOf(&h)
		records, reply := heartbeat(c.electorate(img), &h)
		return records, result{reply: reply}
	})
	if err == nil {
		err = got.err
	}
	return got.reply, err
}

// becauseOf notes why a heartbeat changes something.
func (c *Controller) becauseOf(h *Heartbeat) {
	switch {
	case h.WantShutdown:
		c.because("stopping", "broker %d is stopping", h.ID)
	case h.WantFence:
		c.because("wish", "broker %d is fenced by its own wish", h.ID)
		c.why.brief = "by its own wish"
	case len(h.OfflineDirs) > 0:
		c.because("disk", "a data directory of broker %d is offline", h.ID)
	default:
		c.because("back", "broker %d takes part again", h.ID)
	}
}

func heartbeat(e *electorate, h *Heartbeat) ([]metadata.Record, HeartbeatReply) {
	b := e.img.Broker(h.ID)
	reply := HeartbeatReply{Fenced: b.Fenced, CaughtUp: h.Offset >= model.Offset(b.Epoch)}
	if records := dirsLost(e, b, h.OfflineDirs); records != nil && !h.WantShutdown {
		return records, reply // what else it wants it will say again
	}
	switch {
	case h.WantShutdown:
		records := shutDown(e, b)
		reply.MayStopNow = len(records) == 0 && !e.leadsReplaceably(b.ID) || b.Fenced
		return records, reply
	case h.WantFence && !b.Fenced:
		reply.Fenced = true
		return fence(e, b), reply
	case !h.WantFence && b.Fenced && reply.CaughtUp:
		reply.Fenced = false
		return unfence(e, b), reply
	}
	return nil, reply
}

// fence takes a broker out of leadership and every ISR.
func fence(e *electorate, b *metadata.Broker) []metadata.Record {
	e.settled[b.ID] = false
	records := []metadata.Record{&metadata.BrokerRegistrationChange{BrokerID: int32(b.ID), BrokerEpoch: int64(b.Epoch), Fenced: 1}}
	return append(records, e.everyPartition(func(c *change) {
		if slices.Contains(c.old.ISR, b.ID) {
			e.dethrone(c, b.ID, false)
		}
	})...)
}

// unfence lets a broker take part, and elects it where nobody leads.
func unfence(e *electorate, b *metadata.Broker) []metadata.Record {
	e.settled[b.ID] = true
	records := []metadata.Record{&metadata.BrokerRegistrationChange{BrokerID: int32(b.ID), BrokerEpoch: int64(b.Epoch), Fenced: -1}}
	return append(records, e.everyPartition(func(c *change) {
		if c.old.Leader == model.NoBroker && slices.Contains(c.old.Replicas, b.ID) {
			e.elect(c)
		}
	})...)
}

// shutDown takes a broker that wants to stop out of leadership and ISR wherever another one can lead: when its process ends, nobody waits for
// it any more. Where it is alone it stays to the end.
func shutDown(e *electorate, b *metadata.Broker) []metadata.Record {
	e.settled[b.ID] = false
	var records []metadata.Record
	if !b.InControlledShutdown {
		records = append(records, &metadata.BrokerRegistrationChange{BrokerID: int32(b.ID), BrokerEpoch: int64(b.Epoch), InControlledShutdown: 1})
	}
	return append(records, e.everyPartition(func(c *change) {
		if _, other := e.first(c.old.Replicas, c.old.ISR); other && slices.Contains(c.old.ISR, b.ID) {
			e.dethrone(c, b.ID, false)
		}
	})...)
}

// leadsReplaceably reports that a broker leads a partition that another one could lead.
func (e *electorate) leadsReplaceably(id model.BrokerID) bool {
	for t := range e.img.Topics() {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			if _, other := e.first(p.Replicas, without(p.ISR, id)); p.Leader == id && other {
				return true
			}
		}
	}
	return false
}
