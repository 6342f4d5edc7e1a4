package controller

import (
	"context"
	"slices"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// RegisterBroker lets a broker process in and gives it its epoch. An older process of the same id is fenced off by it.
func (c *Controller) RegisterBroker(ctx context.Context, r Registration) (model.BrokerEpoch, error) {
	type reply struct {
		epoch model.BrokerEpoch
		err   error
	}
	got, err := run(ctx, c, func(img *metadata.Image) ([]metadata.Record, reply) {
		records, epoch, out := registerBroker(c.electorate(img), &r, c.sessions.alive)
		if !out.OK() {
			return nil, reply{err: out}
		}
		c.sessions.touch(r.ID)
		c.because("restart", "broker %d has restarted", r.ID)
		return records, reply{epoch: epoch}
	})
	if err == nil {
		err = got.err
	}
	return got.epoch, err
}

// registerBroker decides a registration. alive tells whether a broker was heard of within its session.
func registerBroker(e *electorate, r *Registration, alive func(model.BrokerID) bool) ([]metadata.Record, model.BrokerEpoch, Outcome) {
	old := e.img.Broker(r.ID)
	switch {
	case r.ClusterID != e.img.ClusterID:
		return nil, 0, failure(model.InconsistentClusterID, "Expected cluster ID %s, but got cluster ID %s", e.img.ClusterID, r.ClusterID)
	case old != nil && old.Incarnation != r.Incarnation && !old.Fenced && alive(r.ID) && !sameProcessPlace(old, r):
		return nil, 0, failure(model.DuplicateBrokerRegistration, "Another broker is registered with that broker id. If the broker was recently restarted this "+
			"should self-resolve once the heartbeat manager expires the broker's session.")
	case old != nil && old.Incarnation == r.Incarnation:
		return nil, old.Epoch, Outcome{} // its first answer got lost
	}
	if out := checkBrokerFeatures(e.img, r.Features); !out.OK() {
		return nil, 0, out
	}
	epoch := model.BrokerEpoch(e.img.Offset + 1)
	if old != nil {
		epoch = max(epoch, old.Epoch+1)
	}
	b := metadata.Broker{
		ID: r.ID, Epoch: epoch, Incarnation: r.Incarnation, Endpoints: r.Endpoints, Features: r.Features, Rack: r.Rack, Dirs: r.Dirs, Fenced: r.Fenced,
	}
	// Somebody who was unregistered is back, perhaps: what the metadata says of its replicas is from before, and nothing is known of its disks then.
	back := comeback{id: r.ID, unclean: true, has: r.Dirs, offline: r.DirsOffline}
	if old != nil {
		back.unclean, back.had = r.PreviousEpoch != old.Epoch, old.Dirs
	}
	e.settled[r.ID] = !r.Fenced
	e.knowDirs(r.ID, r.Dirs)
	records := append([]metadata.Record{b.Record()}, e.everyPartition(func(c *change) { e.restarted(c, &back) })...)
	return records, epoch, Outcome{}
}

// sameProcessPlace reports that a registration comes from where the process before it was: it has locked the same data directories and listens
// on the same addresses, which no two living processes can do. So the one before is dead, and nobody has to wait for its session to end.
func sameProcessPlace(old *metadata.Broker, r *Registration) bool {
	return len(r.Dirs) > 0 && len(r.Endpoints) > 0 && slices.Equal(old.Dirs, r.Dirs) && slices.Equal(old.Endpoints, r.Endpoints)
}

// checkBrokerFeatures refuses software that could not read what the cluster writes (M7).
func checkBrokerFeatures(img *metadata.Image, features []metadata.FeatureRange) Outcome {
	for _, f := range img.Features() {
		i := slices.IndexFunc(features, func(r metadata.FeatureRange) bool { return r.Name == f.Name })
		if f.Level == 0 || i >= 0 && features[i].Min <= f.Level && f.Level <= features[i].Max {
			continue
		}
		have := metadata.FeatureRange{}
		if i >= 0 {
			have = features[i]
		}
		return failure(model.UnsupportedVersion, "Unable to register because the broker does not support finalized version %d of %s. The broker wants a version "+
			"between %d and %d, inclusive.", f.Level, f.Name, have.Min, have.Max)
	}
	return Outcome{}
}

// everyPartition runs step on a change of each partition and collects the records. A broker comes or goes rarely enough that no index of who
// replicates what is kept.
func (e *electorate) everyPartition(step func(*change)) []metadata.Record {
	var records []metadata.Record
	for t := range e.img.Topics() {
		for i := range t.Partitions {
			c := changeOf(t, int32(i))
			step(c)
			if rec := c.record(); rec != nil {
				records = append(records, rec)
			}
		}
	}
	return records
}

// comeback is how a broker's new process relates to the one before.
type comeback struct {
	id model.BrokerID
	// unclean: it stopped without its clean shutdown marker, so that what was not synced may be gone (KIP-966).
	unclean bool
	// Its data directories before and now. What was in one that is not there any more is gone.
	had, has []model.UUID
	// offline: what is missing may be in a directory that does not work at the moment. It is not begun anew elsewhere.
	offline bool
}

// wiped reports that the directory of the broker's replica is gone. One that is not known may be any of those it had; when those are not known
// either, nothing vouches for it.
func (b *comeback) wiped(p *metadata.Partition) bool {
	mine := b.had
	if i := slices.Index(p.Replicas, b.id); i >= 0 && i < len(p.Dirs) && !p.Dirs[i].IsZero() {
		mine = p.Dirs[i : i+1]
	}
	return len(mine) == 0 || slices.ContainsFunc(mine, func(d model.UUID) bool { return !slices.Contains(b.has, d) })
}

// resettle notes that the broker's replica begins anew elsewhere.
func (b *comeback) resettle(c *change) {
	if i := slices.Index(c.old.Replicas, b.id); i < len(c.old.Dirs) {
		c.next.Dirs = slices.Clone(c.old.Dirs)
		c.next.Dirs[i] = model.UUID{}
		if len(b.has) == 1 {
			c.next.Dirs[i] = b.has[0]
		}
	}
	if c.next.Leader != b.id {
		// An empty log that leads makes everybody else's empty too. That takes an order, even if nobody else is left.
		c.next.LastKnownELR = without(c.next.LastKnownELR, b.id)
	}
}

// restarted decides what becomes of one partition when the process of a broker is replaced by a new one. If there are others to lead or to
// copy from, the new process has to catch up like any follower. If not, it leads on, in a new leader epoch: its log may have lost a tail
// that was never synced, and what is written now must not be mistaken for that (KIP-101).
//
// R6: after an unclean stop it is no candidate before it has caught up. Except where the topic syncs: there nothing it had counted for was
// unsynced, and after a power cut of all nodes at once, every one of them unclean, the ELR is all there is to know who has everything.
func (e *electorate) restarted(c *change, b *comeback) {
	if !slices.Contains(c.old.Replicas, b.id) || bug.Is(bug.RestartUnnoticed) {
		return
	}
	wiped := b.wiped(c.old)
	lossy := wiped || b.unclean && !e.synced(c.topic.Name)
	_, others := e.first(c.old.Replicas, without(c.old.ISR, b.id))
	switch {
	case slices.Contains(c.old.ISR, b.id) && !others && e.live(b.id) && !(wiped && b.offline):
		invariant.Sometimes("a restarted broker led on")
		c.next.Leader = b.id
		c.bump = !bug.Is(bug.RestartKeepsEpoch)
	case slices.Contains(c.old.ISR, b.id), slices.Contains(c.old.ELR, b.id):
		e.dethrone(c, b.id, lossy)
	default:
		e.elect(c)
	}
	if wiped && !(b.offline && !dirOf(c.old, b.id).IsZero()) {
		b.resettle(c)
	}
}
