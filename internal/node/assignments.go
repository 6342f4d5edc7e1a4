package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/client"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// assignments tell the controller in which directories this node's replicas are (KIP-858), wherever the metadata does not know it. Without that a
// node that loses one of several disks would have to be treated as if it had lost all.
type assignments struct {
	n    *Node
	wake chan struct{}
	mu   struct {
		sync.Mutex
		open map[model.TopicIDPartition]model.UUID
	}
}

// assignAtOnce bounds one request; assignPause is the time after one that failed.
const (
	assignAtOnce = 2000
	assignPause  = time.Second
)

func (a *assignments) init(n *Node) {
	a.n, a.wake = n, make(chan struct{}, 1)
	a.mu.open = map[model.TopicIDPartition]model.UUID{}
}

// look compares what the metadata says of a replica with where it is.
func (a *assignments) look(img *metadata.Image, o opening, r *replica) {
	is := r.dir.Identity().DirectoryID
	a.mu.Lock()
	defer a.mu.Unlock()
	if o.assignedDir(a.n.me) == is {
		delete(a.mu.open, o.id())
		return
	}
	if a.n.relocations.leaving(o.id()) {
		return // it is not to be known for a moment
	}
	a.mu.open[o.id()] = is
	a.poke()
}

func (a *assignments) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run tells what is open until ctx ends.
func (a *assignments) run(ctx context.Context) {
	for {
		select {
		case <-a.wake:
		case <-ctx.Done():
			return
		}
		for q := a.take(); len(q.Partitions) > 0; q = a.take() {
			err := a.n.assignDirs(ctx, q)
			if err == nil {
				continue
			}
			if ctx.Err() != nil {
				return
			}
			a.n.log.Debug("directories of replicas could not be told", "err", err)
			a.again(&q)
			if !a.n.sleep(ctx, assignPause) {
				return
			}
		}
	}
}

func (a *assignments) take() controller.AssignDirs {
	q := controller.AssignDirs{Broker: a.n.me, Epoch: a.n.brokerEpoch()}
	if q.Epoch < 0 {
		return q // the registration is still to come: register pokes
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, dir := range a.mu.open {
		if len(q.Partitions) == assignAtOnce {
			break
		}
		delete(a.mu.open, id)
		q.Partitions = append(q.Partitions, controller.AssignedDir{TopicIDPartition: id, Dir: dir})
	}
	return q
}

func (a *assignments) again(q *controller.AssignDirs) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range q.Partitions {
		if _, newer := a.mu.open[p.TopicIDPartition]; !newer {
			a.mu.open[p.TopicIDPartition] = p.Dir
		}
	}
	a.poke()
}

// assignDirs asks the active controller to write directories down.
func (n *Node) assignDirs(ctx context.Context, q controller.AssignDirs) error {
	ctx, cancel := context.WithTimeout(ctx, decideTime)
	defer cancel()
	return n.decide(ctx, repeatable, func(ctx context.Context) error {
		return n.controller.AssignDirs(ctx, q)
	}, func(ctx context.Context, p *client.Peer) error {
		req := wire.AssignDirsRequest{BrokerID: int32(q.Broker), BrokerEpoch: int64(q.Epoch)}
		for _, a := range q.Partitions {
			req.Partitions = append(req.Partitions, wire.AssignDirsRequestPartition{TopicID: a.ID, Index: a.Partition, DirectoryID: a.Dir})
		}
		var resp wire.AssignDirsResponse
		if err := p.Call(ctx, &req, 0, &resp); err != nil {
			return err
		}
		return remoteError(resp.ErrorCode, nil)
	})
}

var (
	// errMoveEnded says that a move is no more.
	errMoveEnded = errors.New("the move has ended")
	// errNotTold says that the controller could not be told of one.
	errNotTold = errors.New("the controller does not answer")
)

// is notes where a replica is.
func (a *assignments) is(id model.TopicIDPartition, dir model.UUID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.open[id] = dir
	a.poke()
}

// tellOffline sends a heartbeat out of turn: leaders in the directory that has just failed are waited for.
func (n *Node) tellOffline() {
	ctx, cancel := context.WithTimeout(n.links.ctx, decideTime)
	defer cancel()
	if _, err := n.beat(ctx, false); err != nil {
		n.log.Warn("the controller could not be told of a failed directory", "err", err)
	}
}
