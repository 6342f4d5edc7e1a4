package controller

import (
	"context"
	"slices"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// Join is a node that asks for its place in the cluster: an id, and the metadata log to follow.
type Join struct {
	// DirectoryID names the node's disk. A node that lost it is somebody new (M6).
	DirectoryID model.UUID
	// ID is the one it was configured with; NoBroker leaves it to the cluster.
	ID model.BrokerID
	// Endpoints are where other nodes reach it.
	Endpoints []metadata.Endpoint
}

// Join gives a node its id and makes it a learner of the metadata log. A node that is a member already gets the id it has, and its new
// address is written down.
func (c *Controller) Join(ctx context.Context, j Join) (model.BrokerID, error) {
	type reply struct {
		id  model.BrokerID
		err error
	}
	got, err := run(ctx, c, func(img *metadata.Image) ([]metadata.Record, reply) {
		c.because("wiped", "it came back with an empty disk")
		records, id, out := admit(img, &j, c.o.Log.Follows)
		if !out.OK() {
			return nil, reply{err: out}
		}
		return records, reply{id: id}
	})
	if err == nil {
		err = got.err
	}
	return got.id, err
}

// admit decides a Join. A node that comes with the id and to the address of a member that is silent, but with another directory, has lost its
// disk: its old self leaves, and it begins again as a learner that holds nothing (M6). Its broker's replicas are filled again by their leaders.
func admit(img *metadata.Image, j *Join, f follows) ([]metadata.Record, model.BrokerID, Outcome) {
	if j.DirectoryID.IsZero() || j.ID < model.NoBroker {
		return nil, 0, failure(model.InvalidRequest, "A node that joins needs the id of its directory, and an id of its own or none")
	}
	for _, v := range img.Voters() {
		switch {
		case v.DirectoryID == j.DirectoryID && j.ID != model.NoBroker && j.ID != v.NodeID:
			return nil, 0, failure(model.InconsistentVoterSet, "Directory %s belongs to node %d, not to node %d", j.DirectoryID, v.NodeID, j.ID)
		case v.DirectoryID == j.DirectoryID && slices.Equal(v.Endpoints, j.Endpoints):
			return nil, v.NodeID, Outcome{}
		case v.DirectoryID == j.DirectoryID:
			rec := voterRecord(v.NodeID, v.DirectoryID, v.Learner, j.Endpoints)
			rec.Held = v.Held
			return []metadata.Record{rec}, v.NodeID, Outcome{}
		case v.NodeID == j.ID && SamePlace(v, &metadata.Voter{Endpoints: j.Endpoints}) && wellWithout(img, v, f):
			return []metadata.Record{
				&metadata.RemoveVoter{NodeID: int32(v.NodeID), DirectoryID: v.DirectoryID}, voterRecord(j.ID, j.DirectoryID, true, j.Endpoints),
			}, j.ID, Outcome{}
		case v.NodeID == j.ID && SamePlace(v, &metadata.Voter{Endpoints: j.Endpoints}) && !wellWithout(img, v, f):
			return nil, 0, failure(model.RequestTimedOut, "Node id %d is that of a member at this address with another directory, %s: if it lost its disk it is replaced as soon "+
				"as its old self is silent and the metadata quorum can do without it", j.ID, v.DirectoryID)
		case v.NodeID == j.ID:
			return nil, 0, failure(model.DuplicateBrokerRegistration, "Node id %d is in use by another node (directory %s). Give this one another id, or none; "+
				"if it takes the place of one that lost its disk, unregister broker %d first", j.ID, v.DirectoryID, j.ID)
		}
	}
	id := j.ID
	if id == model.NoBroker {
		id = img.NextNodeID()
	}
	// A broker with this directory is the node itself: its vote was taken away while it was down.
	if b := img.Broker(id); b != nil && !slices.Contains(b.Dirs, j.DirectoryID) {
		return nil, 0, failure(model.DuplicateBrokerRegistration, "Broker id %d is registered. Give this node another id, or none; if that broker "+
			"is gone for good, unregister it first", id)
	}
	return append(leftovers(img, j, f), voterRecord(id, j.DirectoryID, true, j.Endpoints)), id, Outcome{}
}

// leftovers are silent learners at the address of the one that joins: itself, before it lost its disk.
func leftovers(img *metadata.Image, j *Join, f follows) []metadata.Record {
	var records []metadata.Record
	for _, v := range img.Voters() {
		if answers, _ := f(v.DirectoryID); v.Learner && !answers && SamePlace(v, &metadata.Voter{Endpoints: j.Endpoints}) {
			records = append(records, &metadata.RemoveVoter{NodeID: int32(v.NodeID), DirectoryID: v.DirectoryID})
		}
	}
	return records
}

// wellWithout reports that a member is silent, and that the quorum can do without it.
func wellWithout(img *metadata.Image, v *metadata.Voter, f follows) bool {
	answers, _ := f(v.DirectoryID)
	out := Outcome{}
	if !v.Learner {
		out = mayLeave(img, v, f)
	}
	return !answers && out.OK()
}

func voterRecord(id model.BrokerID, dir model.UUID, learner bool, endpoints []metadata.Endpoint) *metadata.VoterRecord {
	rec := &metadata.VoterRecord{NodeID: int32(id), DirectoryID: dir, Learner: learner}
	for _, e := range endpoints {
		rec.Endpoints = append(rec.Endpoints, metadata.VoterEndpoint{Name: e.Name, Host: e.Host, Port: e.Port})
	}
	return rec
}

// PromoteLearners makes voters of learners. All of them change at once: a quorum that grows from one to three is never one of two, in
// which each could stop the other.
func (c *Controller) PromoteLearners(ctx context.Context, directories []model.UUID) error {
	_, err := run(ctx, c, func(img *metadata.Image) ([]metadata.Record, struct{}) {
		var records []metadata.Record
		c.because("grow", "the quorum grows to klamm.controllers")
		for _, v := range img.Voters() {
			if v.Learner && !v.Held && slices.Contains(directories, v.DirectoryID) {
				records = append(records, voterRecord(v.NodeID, v.DirectoryID, false, v.Endpoints))
			}
		}
		return records, struct{}{}
	})
	return err
}

// removeMember takes a node out of the metadata quorum, if enough voters that live stay behind to decide anything.
func removeMember(img *metadata.Image, id model.BrokerID, f follows) ([]metadata.Record, Outcome) {
	var records []metadata.Record
	for _, v := range img.Voters() {
		if v.NodeID != id {
			continue
		}
		if out := mayLeave(img, v, f); !v.Learner && !out.OK() {
			return nil, Outcome{model.InvalidRequest, out.Message}
		}
		records = append(records, &metadata.RemoveVoter{NodeID: int32(id), DirectoryID: v.DirectoryID})
	}
	return records, Outcome{}
}

// Gone says that a broker's process is dead: its connections ended and it takes no new ones. It is fenced without waiting for the end of its
// session; it comes back by registering. A controller that is not active remembers it: the process that died may have been the active one.
func (c *Controller) Gone(id model.BrokerID) {
	c.inbox.push(func() {
		b := c.o.Log.Image().Broker(id)
		if b == nil || id == c.o.Me {
			return
		}
		c.sessions.gone[id] = b.Epoch
		if c.leading {
			c.sessions.fenceGone(c.o.Log.Image())
		}
	})
}
