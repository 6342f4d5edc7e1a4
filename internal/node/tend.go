package node

import (
	"context"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/quorum"
)

// While this node leads the metadata quorum it tends it: the voters grow to klamm.controllers, and one that lost its disk is replaced by the
// node that came back in its place.

// tendEvery is how often the leader looks whether a learner has caught up.
const tendEvery = 100 * time.Millisecond

// tendQuorum runs until the node stops. It looks at nothing while there is nothing to wait for.
func (n *Node) tendQuorum() {
	n.spawn(n.seekPlace)
	for {
		select {
		case <-n.links.tend:
		case <-n.links.ctx.Done():
			return
		}
		silent := silence{}
		for n.quorum.Leads() && (n.growing() || len(n.heirs()) > 0) {
			n.grow()
			n.replaceLost(silent)
			if !n.sleep(n.links.ctx, tendEvery) {
				return
			}
		}
	}
}

// seekEvery is how often a node that starts, and hears of no leader, asks for its place: it may have been taken out of the quorum while it was
// down, and then nobody talks to it.
const seekEvery = time.Second

func (n *Node) seekPlace() {
	ctx, cancel := context.WithCancel(n.links.ctx)
	defer cancel()
	n.spawn(func() {
		if n.quorum.Ready(ctx) == nil {
			cancel()
		}
	})
	for n.sleep(ctx, seekEvery) {
		if n.quorum.Leader() == model.NoBroker {
			n.askForPlace()
		}
	}
}

func (n *Node) grow() {
	ready := n.promotable()
	if len(ready) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(n.links.ctx, callTime)
	defer cancel()
	if err := n.controller.PromoteLearners(ctx, ready); err != nil && !retriable(err) {
		n.log.Warn("metadata quorum cannot grow", "err", err)
	}
}

func (n *Node) growing() bool {
	st := n.quorum.Status()
	want := n.wanted(len(st.Voters))
	return want > 0 && len(candidates(st)) >= want
}

// wanted is how many voters have to come at once, so that their number is odd: two can do nothing that one could not, and each of them
// would stop the other.
func (n *Node) wanted(voters int) int {
	switch target := n.static.Int("klamm.controllers"); {
	case voters%2 == 0 && voters < target:
		return 1
	case voters+2 <= target:
		return 2
	}
	return 0
}

// candidates are the learners that nobody holds back, by node id.
func candidates(st quorum.Status) []quorum.Replica {
	free := slices.DeleteFunc(slices.Clone(st.Learners), func(l quorum.Replica) bool { return l.Held })
	slices.SortFunc(free, func(a, b quorum.Replica) int { return int(a.NodeID - b.NodeID) })
	return free
}

// promotable are the learners that shall become voters now: the first by node id that have everything, if there are enough of them.
func (n *Node) promotable() []model.UUID {
	st := n.quorum.Status()
	now := n.clock.Now()
	var ready []model.UUID
	for _, l := range candidates(st) {
		if l.End >= st.Commit && now.Sub(l.LastFetch) < time.Second {
			ready = append(ready, l.DirectoryID)
		}
	}
	want := n.wanted(len(st.Voters))
	if len(ready) < want {
		return nil
	}
	return ready[:want]
}

// heir is a learner at the address of a voter: what became of it after it lost its disk.
type heir struct{ lost, heir *metadata.Voter }

func (n *Node) heirs() []heir {
	var list []heir
	members := n.image.Load().Voters()
	for _, lost := range members {
		for _, h := range members {
			if !lost.Learner && h.Learner && !h.Held && controller.SamePlace(lost, h) {
				list = append(list, heir{lost, h})
			}
		}
	}
	return list
}

// silence is since when a voter was not heard of, by its directory, as far as this node has led meanwhile.
type silence map[model.UUID]time.Time

// replaceLost gives the votes of those that have been silent for a session to their heirs. An earlier one would only spare a voter that is
// slow its vote.
func (n *Node) replaceLost(silent silence) {
	now := n.clock.Now()
	for _, h := range n.heirs() {
		if answers, _ := n.quorum.Follows(h.lost.DirectoryID); answers {
			delete(silent, h.lost.DirectoryID)
			continue
		}
		since, ok := silent[h.lost.DirectoryID]
		if !ok {
			silent[h.lost.DirectoryID] = now
			continue
		}
		if _, caught := n.quorum.Follows(h.heir.DirectoryID); !caught || now.Sub(since) < n.static.Duration("broker.session.timeout.ms") {
			continue
		}
		ctx, cancel := context.WithTimeout(n.links.ctx, callTime)
		err := n.controller.ReplaceVoter(ctx, h.lost.DirectoryID, h.heir.DirectoryID)
		cancel()
		switch {
		case err == nil:
			n.log.Info("voter of the metadata quorum replaced", "lost", h.lost.NodeID, "heir", h.heir.NodeID, "address", addressOf(h.heir.Endpoints))
		case !retriable(err):
			n.log.Warn("voter of the metadata quorum cannot be replaced", "lost", h.lost.NodeID, "heir", h.heir.NodeID, "err", err)
		}
	}
}

func (n *Node) tendSoon() {
	select {
	case n.links.tend <- struct{}{}:
	default:
	}
}
