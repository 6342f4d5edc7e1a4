package quorum

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// proposal is a batch on its way into the log.
type proposal struct {
	data []byte
	conf *pb.ConfChangeV2 // nil unless it changes who is a member
	term uint64
	done func(model.Offset, error)
}

// noSpaceRetry is how often a write that met a full disk is tried again.
const noSpaceRetry = time.Second

// driver steps raft on one goroutine: it takes all proposals there are, writes what raft wants written in one write with one sync,
// and hands what is committed to the applier. While it syncs, the next proposals gather: that is the group commit.
type driver struct {
	q     *Quorum
	store *store
	raft  *raft.RawNode
	id    uint64
	conf  *pb.ConfState
	tick  clock.Timer

	signal chan struct{}
	ended  chan struct{}
	mu     struct {
		sync.Mutex
		queue   []*proposal
		calls   []func() // from other members and from node
		ticks   int
		compact *snapshotHead
		full    bool // the disk: refuse proposals before they enter raft
		stopped bool
		cause   error // why it ended
	}

	// What follows belongs to the loop.

	taken   []*proposal          // given to raft, index not known yet
	flying  map[uint64]*proposal // by index
	leading bool
	leader  uint64
	term    uint64
	applied uint64
	stuck   *raft.Ready // could not be written: the disk is full
	stands  int         // counts calls of stand, and leaders that ended one
	peers   peers
	// changing is the index behind which raft takes another membership change; it would silently drop one before that.
	changing uint64
	resigned []chan struct{} // closed when this node does not lead (any more)
}

func newDriver(q *Quorum, s *store, at snapshotHead, voters []*metadata.Voter) (*driver, error) {
	d := &driver{
		q: q, store: s, id: q.o.Identity.voterID(), conf: at.Conf, signal: make(chan struct{}, 1), ended: make(chan struct{}),
		flying: map[uint64]*proposal{}, applied: at.Index, peers: newPeers(voters),
	}
	var err error
	if d.raft, err = raft.NewRawNode(raftConfig(d.id, s.mem, at.Index, raftLogger{q.o.Logger})); err != nil {
		return nil, err
	}
	d.term = d.raft.BasicStatus().HardState.GetTerm() // begin counts on it
	d.publishStatus()
	return d, nil
}

// propose queues a batch. Once the driver has ended it fails at once.
func (d *driver) propose(p *proposal) {
	d.mu.Lock()
	var err error
	switch {
	case d.mu.stopped:
		err = d.mu.cause
	case d.mu.full:
		err = ErrNoSpace
	default:
		d.mu.queue = append(d.mu.queue, p)
	}
	d.mu.Unlock()
	if err != nil {
		d.q.apply.push(event{failed: []*proposal{p}, err: err})
		return
	}
	d.wake()
}

func (d *driver) wake() {
	select {
	case d.signal <- struct{}{}:
	default:
	}
}

// stop ends the loop in order.
func (d *driver) stop() {
	d.mu.Lock()
	d.mu.stopped = true
	if d.mu.cause == nil {
		d.mu.cause = ErrClosed
	}
	d.mu.Unlock()
	d.wake()
}

// cause is why the driver ended, nil while it runs.
func (d *driver) cause() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.cause
}

func (d *driver) run() {
	defer close(d.ended)
	err := d.begin()
	for err == nil {
		<-d.signal
		if d.cause() != nil {
			break
		}
		err = d.turn()
	}
	d.end(err)
}

// begin elects a lone voter at once: nobody else could answer a request for votes.
func (d *driver) begin() error {
	if slices.Equal(d.conf.GetVoters(), []uint64{d.id}) && len(d.conf.GetVotersOutgoing()) == 0 {
		if err := d.raft.Campaign(); err != nil {
			return err
		}
		if d.raft.BasicStatus().RaftState == raft.StateFollower {
			// Raft lets nobody stand who has yet to apply a membership change that it knows to be committed.
			if err := d.advance(); err != nil {
				return err
			}
			if err := d.raft.Campaign(); err != nil {
				return err
			}
		}
	}
	d.wind()
	if err := d.advance(); err != nil {
		return err
	}
	if !d.leading {
		d.stand(raft.None) // a whole cluster that starts shall not wait for silence to be noticed
	}
	return nil
}

// wind lets time pass for raft while there is somebody to lose, and only then: a lone node sleeps.
func (d *driver) wind() {
	if d.alone() {
		if d.tick != nil {
			d.tick.Stop()
			d.tick = nil
		}
		return
	}
	if d.tick == nil {
		d.tick = d.q.o.Clock.AfterFunc(d.q.o.ElectionTick, d.onTick)
	}
}

// alone reports that this node is the only member, so that time decides nothing.
func (d *driver) alone() bool {
	return slices.Equal(d.conf.GetVoters(), []uint64{d.id}) && len(d.conf.GetLearners()) == 0 && len(d.conf.GetVotersOutgoing()) == 0
}

func (d *driver) onTick() {
	d.mu.Lock()
	d.mu.ticks++
	d.mu.Unlock()
	d.wake()
}

// pass lets the ticks that are due happen. The next one is counted from here: a loop that was held up by its disk does not make up for
// lost time by calling an election.
func (d *driver) pass(ticks int) {
	if ticks == 0 {
		return
	}
	if d.tick != nil {
		d.tick.Reset(d.q.o.ElectionTick)
	}
	if d.stuck == nil {
		d.raft.Tick()
		d.giveUpSnapshots()
	}
}

// turn does everything that waits.
func (d *driver) turn() error {
	d.mu.Lock()
	queue, calls, ticks, compact := d.mu.queue, d.mu.calls, d.mu.ticks, d.mu.compact
	d.mu.queue, d.mu.calls, d.mu.ticks, d.mu.compact = nil, nil, 0, nil
	d.mu.Unlock()
	for _, f := range calls {
		f()
	}
	d.pass(ticks)
	for _, p := range queue {
		p.term = d.term
		if err := d.propose1(p); err != nil {
			d.q.apply.push(event{failed: []*proposal{p}, err: err})
			continue
		}
		d.taken = append(d.taken, p)
	}
	if err := d.advance(); err != nil {
		return err
	}
	if compact != nil && d.stuck == nil {
		return d.compact(*compact)
	}
	return nil
}

// propose1 gives one proposal to raft. A membership change has to wait for the one before, and for everything from before this term: raft
// would take it and make nothing of it.
func (d *driver) propose1(p *proposal) error {
	switch {
	case !d.leading:
		return ErrNotLeader
	case p.conf == nil:
		if d.raft.Propose(p.data) != nil {
			return ErrNotLeader
		}
		return nil
	case d.applied < d.changing || len(d.conf.GetVotersOutgoing()) > 0:
		return ErrChanging
	}
	p.conf.Context = p.data
	if d.raft.ProposeConfChange(p.conf) != nil {
		return ErrNotLeader
	}
	d.changing = math.MaxUint64 // until its index is known
	return nil
}

// advance works raft's output off until there is none.
func (d *driver) advance() error {
	for d.stuck != nil || d.raft.HasReady() {
		if d.stuck == nil {
			rd := d.raft.Ready()
			d.stuck = &rd
		}
		rd := d.stuck
		switch err := d.store.save(rd); {
		case errors.Is(err, ErrNoSpace):
			d.setFull(true)
			d.q.o.Clock.AfterFunc(noSpaceRetry, d.wake)
			return nil
		case err != nil:
			return err
		}
		d.stuck = nil
		d.setFull(false)
		// After the sync, and not before: a vote or an acknowledgement promises what must survive a crash.
		d.send(rd.Messages)
		if err := d.installed(rd.Snapshot); err != nil {
			return err
		}
		if d.store.disk.used() {
			d.q.keep.wakeLater()
		}
		d.identify(rd.Entries)
		if err := d.commit(rd); err != nil {
			return err
		}
		d.raft.Advance(*rd)
	}
	if d.q.keep.due(d.store.log.end - sectorSize) {
		d.q.keep.logGrew()
	}
	d.publishStatus()
	return nil
}

func (d *driver) setFull(full bool) {
	d.mu.Lock()
	was := d.mu.full
	d.mu.full = full
	d.mu.Unlock()
	switch {
	case full && !was:
		d.q.o.Logger.Error("metadata log is out of disk space; changes wait until there is room", "dir", d.q.o.Dir)
		invariant.Sometimes("metadata log met a full disk")
	case was && !full:
		d.q.o.Logger.Info("metadata log has disk space again", "dir", d.q.o.Dir)
		d.q.keep.wake()
	}
}

// identify learns at which index each proposal stands. A leader appends its own proposals in order, and nothing with data comes from
// elsewhere in its term.
func (d *driver) identify(entries []*pb.Entry) {
	for _, e := range entries {
		if len(e.Data) == 0 || len(d.taken) == 0 || d.taken[0].term != e.GetTerm() {
			continue
		}
		p := d.taken[0]
		invariant.Check((p.conf != nil) == (e.GetType() == pb.EntryConfChangeV2), "entry %d of type %v is not what was proposed", e.GetIndex(), e.GetType())
		if p.conf != nil {
			d.changing = e.GetIndex()
		}
		d.flying[e.GetIndex()], d.taken = p, d.taken[1:]
	}
}

// commit hands over what is committed, and tells of won and lost leadership.
func (d *driver) commit(rd *raft.Ready) error {
	d.follow()
	for _, e := range rd.CommittedEntries {
		if err := d.committed(e); err != nil {
			return err
		}
		d.applied = e.GetIndex()
	}
	return nil
}

// follow notes who leads in which term. Raft reports a change of leader, but not that the same one leads in a later term.
func (d *driver) follow() {
	st := d.raft.BasicStatus()
	leading, term := st.RaftState == raft.StateLeader, st.HardState.GetTerm()
	if d.leading && (!leading || term != d.term) {
		lost := d.taken
		for index, p := range d.flying {
			lost = append(lost, p)
			delete(d.flying, index)
		}
		d.taken = nil
		d.q.apply.push(event{failed: lost, err: ErrNotLeader, resign: true})
	}
	if leading && (!d.leading || term != d.term) {
		last, _ := d.store.mem.LastIndex() // it is in memory and cannot fail
		d.changing = last
	}
	if st.Lead != d.leader || term != d.term {
		d.q.apply.push(event{follow: true, leaderTerm: leaderTerm(st.Lead, term), elsewhere: st.Lead != raft.None && st.Lead != d.id})
	}
	if d.leader == raft.None && st.Lead != raft.None {
		d.stands++
	}
	d.leading, d.leader, d.term = leading, st.Lead, term
	if !leading {
		for _, c := range d.resigned {
			close(c)
		}
		d.resigned = nil
	}
}

// leaderTerm is the term that has a leader, 0 while there is none.
func leaderTerm(leader, term uint64) uint64 {
	if leader == raft.None {
		return 0
	}
	return term
}

func (d *driver) committed(e *pb.Entry) error {
	ev := event{index: e.GetIndex(), term: e.GetTerm()}
	switch e.GetType() {
	case pb.EntryNormal:
		ev.data = e.Data
		if p := d.flying[e.GetIndex()]; p != nil && p.term == e.GetTerm() {
			ev.done = p.done
			delete(d.flying, e.GetIndex())
		}
		// The leader's first entry is empty. When it is committed, so is everything of earlier terms.
		ev.lead = len(e.Data) == 0 && d.leading && e.GetTerm() == d.term
	case pb.EntryConfChangeV2:
		var cc pb.ConfChangeV2
		if err := proto.Unmarshal(e.Data, &cc); err != nil {
			return fmt.Errorf("%w: membership change at %d: %w", ErrCorrupt, e.GetIndex(), err)
		}
		ev.data = cc.Context // the records that say the same to everybody else
		if err := d.reconfigure(&cc); err != nil {
			return fmt.Errorf("%w: membership change at %d: %w", ErrCorrupt, e.GetIndex(), err)
		}
		if p := d.flying[e.GetIndex()]; p != nil && p.term == e.GetTerm() {
			ev.done = p.done
			delete(d.flying, e.GetIndex())
		}
	default:
		return fmt.Errorf("%w: entry %d has type %v", ErrCorrupt, e.GetIndex(), e.GetType())
	}
	ev.conf = d.conf
	d.q.apply.push(ev)
	return nil
}

// cut asks for the log to be cut behind a durable snapshot.
func (d *driver) cut(h snapshotHead) {
	d.mu.Lock()
	d.mu.compact = &h
	d.mu.Unlock()
	d.wake()
}

// compact cuts the log behind a snapshot. A full disk is no reason to stop: the old log is still whole.
func (d *driver) compact(h snapshotHead) error {
	err := d.store.compact(h)
	if err != nil && d.store.log.failed == nil {
		d.q.o.Logger.Warn("metadata log could not be cut behind its snapshot", "offset", h.Index, "err", err)
		return nil
	}
	return err
}

// end answers everybody who waits.
func (d *driver) end(err error) {
	if d.tick != nil {
		d.tick.Stop()
	}
	d.mu.Lock()
	d.mu.stopped = true
	if err != nil {
		d.mu.cause = err
	}
	err = d.mu.cause
	lost := slices.Concat(d.taken, d.mu.queue)
	d.mu.queue, d.mu.calls = nil, nil
	d.mu.Unlock()
	for _, c := range d.resigned {
		close(c)
	}
	for _, p := range d.flying {
		lost = append(lost, p)
	}
	d.q.apply.push(event{failed: lost, err: err, resign: d.leading, last: true})
	if !errors.Is(err, ErrClosed) {
		d.q.o.Logger.Error("metadata log stopped", "err", err)
		d.q.o.Failed(err)
	}
}

// fail makes the driver end with err, from any goroutine.
func (d *driver) fail(err error) {
	d.mu.Lock()
	if d.mu.cause == nil {
		d.mu.cause = err
	}
	d.mu.Unlock()
	d.wake()
}
