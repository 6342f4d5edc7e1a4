package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
)

// relocations move replicas from one data directory of this node to another (KIP-113): all that were asked for in turns, a piece at a time, in
// one goroutine. Only one replica at a time may stand still for its last piece: it waits for the group commit of a directory, and two that waited
// for each other's directories would never end.
type relocations struct {
	n    *Node
	rate *replication.Throttle // replica.alter.log.dirs.io.max.bytes.per.second
	wake chan struct{}
	mu   struct {
		sync.Mutex
		moves []*relocation
	}
	// step is held while a future log is worked on.
	step sync.Mutex
}

// relocation is one replica on its way.
type relocation struct {
	id model.TopicIDPartition
	tp model.TopicPartition
	to *commitlog.Dir

	future  *commitlog.Log // nil before the first step; under step
	ended   bool           // under step
	leaving bool           // the metadata is not to know where it is; under relocations.mu
	pause   time.Time      // not before; under relocations.mu
}

const (
	// moveBytes are copied at a time.
	moveBytes, throttledBytes = 1 << 20, 64 << 10
	// moveLook is how long a throttled move waits before it looks whether the throttle has changed.
	moveLook = 100 * time.Millisecond
	// moveRetry is how long a move waits that cannot go on, as on a full disk.
	moveRetry = time.Second
)

func (m *relocations) init(n *Node) {
	m.n, m.wake, m.rate = n, make(chan struct{}, 1), replication.NewThrottle(n.clock)
}

func (m *relocations) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// MoveReplica implements api.Partitions: it begins to move this node's replica of a partition to the directory with this path, or has it begin
// there when it comes (KIP-113).
func (n *Node) MoveReplica(tp model.TopicPartition, path string) model.ErrorCode {
	dir, configured := n.dirs.byPath(path)
	switch {
	case !configured:
		return model.LogDirNotFound
	case dir == nil || dir.Offline() != nil:
		return model.KafkaStorageError
	case !commitlog.MayMove(tp):
		return model.InvalidTopicException
	}
	img := n.image.Load()
	t := img.Topic(tp.Topic)
	if t == nil || tp.Partition < 0 || int(tp.Partition) >= len(t.Partitions) {
		n.dirs.prefer(tp, dir)
		return model.UnknownTopicOrPartition
	}
	id := model.TopicIDPartition{ID: t.ID, Partition: tp.Partition}
	r := n.replicas.get(id)
	switch {
	case r == nil && n.assigned(img, id):
		return model.KafkaStorageError
	case r == nil:
		n.dirs.prefer(tp, dir)
		return model.ReplicaNotAvailable
	case r.part.Info().Offline:
		return model.KafkaStorageError
	}
	if err := n.relocations.want(id, tp, dir); err != nil {
		n.log.Error("replica cannot move to another data directory", "topic", tp.Topic, "partition", tp.Partition, "to", path, "err", err)
		return model.KafkaStorageError
	}
	return model.None
}

// want moves a replica to a directory; to the one it is in ends its move. The copy is begun before it returns: it is what remembers the move
// when the process ends.
func (m *relocations) want(id model.TopicIDPartition, tp model.TopicPartition, to *commitlog.Dir) error {
	if old := m.find(id); old != nil {
		if old.to == to {
			return nil
		}
		m.cancel(id)
	}
	if r := m.n.replicas.get(id); r == nil || r.dir == to {
		return nil
	}
	x := &relocation{id: id, tp: tp, to: to}
	if err := m.begin(x); err != nil {
		return err
	}
	m.add(x)
	m.n.log.Info("replica moves to another data directory", "topic", tp.Topic, "partition", tp.Partition, "to", to.Path())
	return nil
}

func (m *relocations) begin(x *relocation) error {
	m.step.Lock()
	defer m.step.Unlock()
	return m.openLocked(x)
}

// openLocked opens the copy.
func (m *relocations) openLocked(x *relocation) error {
	r := m.n.replicas.get(x.id)
	if x.ended || r == nil {
		return errMoveEnded
	}
	if x.future != nil {
		return nil
	}
	f, err := x.to.OpenFuture(commitlog.LogOptions{TP: x.tp, TopicID: x.id.ID, Config: r.part.Log().Config()})
	x.future = f
	return err
}

func (m *relocations) add(x *relocation) {
	m.mu.Lock()
	m.mu.moves = append(m.mu.moves, x)
	m.mu.Unlock()
	m.poke()
}

// resume goes on with a move that the end of an earlier process cut off.
func (m *relocations) resume(o opening, dir *commitlog.Dir) {
	for _, d := range m.n.dirs.list {
		if d != dir && d.HasFuture(o.tp()) && m.find(o.id()) == nil {
			m.add(&relocation{id: o.id(), tp: o.tp(), to: d})
		}
	}
}

func (m *relocations) find(id model.TopicIDPartition) *relocation {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.mu.moves {
		if x.id == id {
			return x
		}
	}
	return nil
}

// leaving reports that a replica is about to change its directory.
func (m *relocations) leaving(id model.TopicIDPartition) bool {
	x := m.find(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	return x != nil && x.leaving
}

// cancel gives a move up, if there is one, and deletes what was copied.
func (m *relocations) cancel(id model.TopicIDPartition) {
	x := m.find(id)
	if x == nil {
		return
	}
	m.step.Lock()
	defer m.step.Unlock()
	m.endLocked(x)
}

func (m *relocations) endLocked(x *relocation) {
	if x.ended {
		return
	}
	x.ended = true
	m.forget(x)
	var err error
	if x.future != nil {
		err = x.to.Leave(x.future)
	} else {
		err = x.to.DropFuture(x.tp)
	}
	if err != nil && x.to.Offline() == nil {
		m.n.log.Error("copy of a replica cannot be deleted", "topic", x.tp.Topic, "partition", x.tp.Partition, "dir", x.to.Path(), "err", err)
	}
}

// forget takes a move off the list.
func (m *relocations) forget(x *relocation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.moves = slices.DeleteFunc(m.mu.moves, func(y *relocation) bool { return x == y })
}

// configure hands the topic's values to the copy, too.
func (m *relocations) configure(id model.TopicIDPartition, c commitlog.Config) {
	x := m.find(id)
	if x == nil {
		return
	}
	m.step.Lock()
	defer m.step.Unlock()
	if x.future != nil {
		x.future.SetConfig(c)
	}
}

// describe tells what was copied so far.
func (m *relocations) describe(tell func(*commitlog.Dir, api.LogSize)) {
	m.mu.Lock()
	moves := append([]*relocation(nil), m.mu.moves...)
	m.mu.Unlock()
	m.step.Lock()
	defer m.step.Unlock()
	for _, x := range moves {
		r := m.n.replicas.get(x.id)
		if x.ended || r == nil {
			continue
		}
		l := api.LogSize{TP: x.tp, ID: x.id.ID, Future: true, Lag: int64(r.part.LogEnd())}
		if x.future != nil {
			l.Size, l.Lag = x.future.Size(), max(int64(r.part.LogEnd()-x.future.End()), 0)
		}
		tell(x.to, l)
	}
}

// run moves until ctx ends.
func (m *relocations) run(ctx context.Context) {
	for ctx.Err() == nil {
		x, wait := m.next()
		switch {
		case x == nil && wait == 0:
			select {
			case <-m.wake:
			case <-ctx.Done():
			}
		case x == nil:
			m.n.sleep(ctx, wait)
		default:
			m.work(ctx, x)
		}
	}
}

// next is whose turn it is, or how long to wait for somebody's.
func (m *relocations) next() (x *relocation, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.n.clock.Now()
	for i, y := range m.mu.moves {
		if left := y.pause.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		m.mu.moves = append(append(m.mu.moves[:i:i], m.mu.moves[i+1:]...), y)
		return y, 0
	}
	return nil, wait
}

func (m *relocations) rest(x *relocation, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x.pause = m.n.clock.Now().Add(d)
}

// work takes one step of a move.
func (m *relocations) work(ctx context.Context, x *relocation) {
	if wait := m.rate.Wait(); wait > 0 {
		m.rest(x, min(wait, moveLook))
		return
	}
	n, err := m.copy(x)
	m.rate.Took(n)
	if err == nil && n == 0 {
		err = m.finish(ctx, x)
	}
	log := m.n.log.With("topic", x.tp.Topic, "partition", x.tp.Partition, "dir", x.to.Path())
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, errMoveEnded):
	case m.n.stopping.Load(), errors.Is(err, errNotTold), errors.Is(err, commitlog.ErrNoSpace), errors.Is(err, commitlog.ErrTooManyFiles),
		errors.Is(err, commitlog.ErrClosed):
		log.Info("move of a replica waits", "err", err)
		m.rest(x, moveRetry)
	case errors.Is(err, commitlog.ErrOffline):
		log.Error("move of a replica ends with its disk", "err", err) // what was copied may be the last copy
		m.forget(x)
	default:
		log.Error("move of a replica is given up", "err", err)
		m.cancel(x.id)
	}
}

// copy takes over one piece.
func (m *relocations) copy(x *relocation) (int, error) {
	m.step.Lock()
	defer m.step.Unlock()
	if err := m.openLocked(x); err != nil {
		return 0, err
	}
	r := m.n.replicas.get(x.id)
	if r == nil {
		return 0, errMoveEnded
	}
	piece := moveBytes
	if m.rate.Limited() {
		piece = throttledBytes // what is overdrawn holds everything up
	}
	return x.future.CopyFrom(r.part.Log(), piece)
}

// finish exchanges the logs. Before, the metadata forgets in which directory the replica is, and learns it again afterwards: whichever fails in
// between, the cluster does not rely on a replica that is gone.
func (m *relocations) finish(ctx context.Context, x *relocation) error {
	m.mark(x, true)
	defer m.mark(x, false)
	forget := controller.AssignDirs{Broker: m.n.me, Epoch: m.n.brokerEpoch(), Partitions: []controller.AssignedDir{{TopicIDPartition: x.id}}}
	if err := m.n.assignDirs(ctx, forget); err != nil {
		return fmt.Errorf("%w: %w", errNotTold, err)
	}
	m.step.Lock()
	defer m.step.Unlock()
	r := m.n.replicas.get(x.id)
	if x.ended || r == nil {
		return errMoveEnded
	}
	left := true
	err := r.part.Relocate(func() (next *commitlog.Log, err error) {
		next, left, err = m.exchange(x, r)
		return next, err
	})
	if err != nil {
		if !left { // in both directories, and only one of them may go on
			r.part.Fail(replication.ErrOffline)
		}
		return err
	}
	m.n.replicas.put(x.id, &replica{part: r.part, dir: x.to})
	m.n.dirs.moved(x.tp, x.to)
	x.future = nil
	m.endLocked(x)
	m.n.assignments.is(x.id, x.to.Identity().DirectoryID)
	m.n.log.Info("replica has moved to another data directory", "topic", x.tp.Topic, "partition", x.tp.Partition, "dir", x.to.Path())
	return nil
}

func (m *relocations) mark(x *relocation, leaving bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x.leaving = leaving
}

// exchange takes the last piece and puts the copy in the place of the log, while nobody appends. left is false when the log is in both directories
// afterwards.
func (m *relocations) exchange(x *relocation, r *replica) (next *commitlog.Log, left bool, err error) {
	log := r.part.Log()
	for n := 1; n > 0; {
		if n, err = x.future.CopyFrom(log, moveBytes); err != nil {
			return nil, true, err
		}
	}
	if x.future.End() != log.End() {
		return nil, true, fmt.Errorf("the copy ends at %d, the log at %d", x.future.End(), log.End())
	}
	next, err = x.to.Promote(x.future, commitlog.LogOptions{TP: x.tp, TopicID: x.id.ID, Config: log.Config(), OnDurable: r.part.OnDurable})
	if err != nil {
		return nil, true, err
	}
	if err := r.dir.Leave(log); err != nil {
		return nil, false, err
	}
	return next, true, nil
}
