package controller

import (
	"slices"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// electorate says who may lead and how large an ISR has to be, in the cluster as a decision will leave it.
type electorate struct {
	img *metadata.Image
	// settled overrides what the image says of brokers that this very decision fences or lets in.
	settled map[model.BrokerID]bool
	// dirs overrides what the image says of the directories that work.
	dirs    map[model.BrokerID][]model.UUID
	minISR  func(topic string) int
	unclean func(topic string) bool
	synced  func(topic string) bool // what counts as replicated is on disk: log.durability=fsync
}

func (c *Controller) electorate(img *metadata.Image) *electorate {
	// Resolving topics reads the broker's values once, which costs as much as many topics: put it off until somebody asks.
	var topics func(string) topicRules
	rules := func(topic string) topicRules {
		if topics == nil {
			topics = c.topicRules(img)
		}
		return topics(topic)
	}
	return &electorate{
		img: img, settled: map[model.BrokerID]bool{},
		minISR:  func(topic string) int { return rules(topic).minISR },
		unclean: func(topic string) bool { return rules(topic).unclean },
		synced:  func(topic string) bool { return rules(topic).synced },
	}
}

// topicRules is the part of a topic's configuration that elections obey.
type topicRules struct {
	minISR  int
	unclean bool
	synced  bool
}

func (c *Controller) topicRules(img *metadata.Image) func(string) topicRules {
	resolve := c.o.Resolver.Topics(img)
	return func(topic string) topicRules {
		v := resolve(topic)
		return topicRules{v.MinInsyncReplicas, v.UncleanLeaderElection, v.Durability != "page-cache"}
	}
}

// live reports that a broker may lead and be in an ISR.
func (e *electorate) live(id model.BrokerID) bool {
	if live, ok := e.settled[id]; ok {
		return live
	}
	b := e.img.Broker(id)
	return b != nil && !b.Fenced && !b.InControlledShutdown
}

// remains reports that a leader may go on: one that is stopping leads on where it is alone.
func (e *electorate) remains(id model.BrokerID) bool {
	if live, ok := e.settled[id]; ok {
		return live
	}
	b := e.img.Broker(id)
	return b != nil && !b.Fenced
}

// elect fills c.next.Leader. The leader stays if it can; else the first replica in order of preference that is in the ISR, then one that is
// in the ELR, which has every committed record too (KIP-966). When nobody is left in either, the last leader leads again although it may
// have lost records on the way: there is nobody who could know better. Nothing else leads without an order to.
func (e *electorate) elect(c *change) {
	n := &c.next
	if slices.Contains(n.ISR, n.Leader) && e.remains(n.Leader) {
		return
	}
	if id, ok := e.first(n.Replicas, n.ISR); ok {
		n.Leader = id
		return
	}
	if id, ok := e.first(n.Replicas, n.ELR); ok {
		e.enthrone(c, id, n.ELR)
		return
	}
	if len(n.ISR) == 0 && len(n.ELR) == 0 && len(n.LastKnownELR) > 0 {
		if id := n.LastKnownELR[0]; e.live(id) && slices.Contains(n.Replicas, id) && e.hosts(n, id) {
			e.enthrone(c, id, nil)
			return
		}
	}
	if e.unclean(c.topic.Name) || bug.Is(bug.UncleanElection) {
		if id, ok := e.first(n.Replicas, e.hosted(n, n.Replicas)); ok {
			e.enthrone(c, id, nil)
			return
		}
	}
	if n.Leader = model.NoBroker; c.old.Leader != model.NoBroker && len(n.ISR) == 0 {
		n.LastKnownELR = union([]model.BrokerID{c.old.Leader}, n.LastKnownELR)
	}
}

// first is the first of the replicas that is live and among the candidates.
func (e *electorate) first(replicas, candidates []model.BrokerID) (model.BrokerID, bool) {
	for _, id := range replicas {
		if slices.Contains(candidates, id) && e.live(id) {
			return id, true
		}
	}
	return model.NoBroker, false
}

// enthrone makes one that is outside of the ISR the leader and the whole ISR. elr is who else still has every committed record: nobody,
// when the leader may lack some itself.
func (e *electorate) enthrone(c *change, id model.BrokerID, elr []model.BrokerID) {
	c.next.Leader, c.next.ISR = id, []model.BrokerID{id}
	c.next.ELR = without(elr, id)
	c.next.LastKnownELR = nil
}

// settleELR keeps the ELR (KIP-966) after the ISR changed. While the ISR is smaller than min.insync.replicas the high watermark stands still,
// so whoever was in it since has every committed record. lossy brokers may have lost what they had: they are remembered as last known, no
// more.
func (e *electorate) settleELR(c *change, lossy ...model.BrokerID) {
	n := &c.next
	if len(n.ISR) >= min(e.minISR(c.topic.Name), len(n.Replicas)) {
		n.ELR, n.LastKnownELR = nil, nil
		if bug.Is(bug.StaleELR) { // who is in the ELR has every committed record, and does not get those that come now
			n.ELR = without(c.old.ELR, n.ISR...)
		}
		return
	}
	candidates := slices.DeleteFunc(union(c.old.ELR, c.old.ISR), func(id model.BrokerID) bool { return !slices.Contains(n.Replicas, id) })
	n.ELR = without(without(candidates, n.ISR...), lossy...)
	// The last leader comes first and stays: elect takes it when nobody else is left.
	n.LastKnownELR = without(union(c.old.LastKnownELR, without(candidates, n.ELR...)), n.ISR...)
}

// dethrone takes a broker that is going, or has restarted, out of ISR and leadership; out of the ELR as well if it may have lost records.
func (e *electorate) dethrone(c *change, id model.BrokerID, lossy bool) {
	n := &c.next
	n.ISR = without(n.ISR, id)
	if lossy {
		e.settleELR(c, id)
		n.ELR = without(n.ELR, id)
	} else {
		e.settleELR(c)
	}
	if n.Leader == id {
		n.Leader = model.NoBroker
	}
	e.elect(c)
}
