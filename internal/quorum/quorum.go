package quorum

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

const noLimit = 1<<64 - 1

// Quorum is this node's part of the metadata quorum.
type Quorum struct {
	o      Options
	drive  *driver
	apply  *applier
	keep   *keeper
	image  atomic.Pointer[metadata.Image]
	status atomic.Pointer[raftStatus]
}

// Open reads the metadata log in the directory, or forms a new cluster of this one voter in an empty one, and starts to take part.
// A lone voter elects itself at once; Ready waits for that. Errors wrap ErrWrongDirectory, ErrCorrupt, metadata.ErrFeature, or what
// the file system said.
func Open(o Options) (*Quorum, error) {
	o = o.withDefaults()
	s, found, err := openStore(o)
	if err != nil {
		return nil, fmt.Errorf("opening the metadata log in %s: %w", o.Dir, err)
	}
	s.disk = newReserve(o.FS, o.Dir, o.ReserveBytes)
	if found.formed && !o.Join {
		o.Logger.Info("new cluster formed", "cluster", o.Identity.ClusterID, "node", o.Identity.NodeID)
	}
	if found.cut > 0 {
		o.Logger.Warn("metadata log had a torn tail", "bytes", found.cut)
	}
	q := &Quorum{o: o}
	q.image.Store(metadata.Empty(o.Identity.ClusterID))
	q.apply = newApplier(q, found)
	q.keep = newKeeper(q, s.disk, found)
	if q.drive, err = newDriver(q, s, found.snapshot, found.voters); err != nil {
		return nil, fmt.Errorf("opening the metadata log in %s: %w", o.Dir, s.closeAfter(err))
	}
	go q.apply.run()
	go q.keep.run()
	go q.drive.run()
	return q, nil
}

// Image is the newest published image. Before the first one it is empty, at offset 0.
func (q *Quorum) Image() *metadata.Image { return q.image.Load() }

// Leader is the node that leads the metadata log as far as this one knows, or NoBroker.
func (q *Quorum) Leader() model.BrokerID {
	st := q.status.Load()
	if m, ok := st.members[st.lead]; ok {
		return m.NodeID
	}
	return model.NoBroker
}

// Leads reports that this node leads the metadata log.
func (q *Quorum) Leads() bool { return q.status.Load().lead == q.o.Identity.voterID() }

// Members are the voters and learners by node id, as raft has them: a little ahead of the image.
func (q *Quorum) Members() []Member { return byNode(q.status.Load().members) }

func byNode(members map[uint64]Member) []Member {
	return slices.SortedFunc(maps.Values(members), func(a, b Member) int { return cmp.Compare(a.NodeID, b.NodeID) })
}

// Status describes the quorum as this node sees it. Only the leader knows how far the others are. A change of several members shows when it is
// complete: when those that left are not needed any more.
func (q *Quorum) Status() Status {
	st := q.status.Load()
	s := Status{Leader: q.Leader(), Term: st.term, Commit: st.commit, End: st.end}
	for _, m := range byNode(st.settled) {
		r := Replica{NodeID: m.NodeID, DirectoryID: m.DirectoryID, Endpoints: m.Endpoints, Held: m.Held, End: model.NoOffset}
		if p, ok := st.progress[m.raftID()]; ok {
			r.End, r.LastFetch, r.LastCaught = p.end, p.heard, p.caught
		}
		if m.DirectoryID == q.o.Identity.DirectoryID {
			r.End, r.LastFetch, r.LastCaught = st.end, q.o.Clock.Now(), q.o.Clock.Now()
		}
		if m.Learner {
			s.Learners = append(s.Learners, r)
		} else {
			s.Voters = append(s.Voters, r)
		}
	}
	return s
}

// Follows says of a member, while this node leads, whether it was heard of within the time of an election, and whether it has all that is
// committed. Nobody else knows, and says no.
func (q *Quorum) Follows(directory model.UUID) (answers, caught bool) {
	st := q.status.Load()
	if st.lead != q.o.Identity.voterID() {
		return false, false
	}
	if directory == q.o.Identity.DirectoryID {
		return true, true
	}
	p, ok := st.progress[Identity{DirectoryID: directory}.voterID()]
	answers = ok && q.o.Clock.Now().Sub(p.heard) < electionTicks*q.o.ElectionTick
	return answers, answers && p.end >= st.commit
}

// Backed is when a majority of the voters last answered to this node as their leader: whoever replaced it was elected later. Zero when it does not lead.
func (q *Quorum) Backed() time.Time {
	st := q.status.Load()
	if st.lead != q.o.Identity.voterID() {
		return time.Time{}
	}
	var at []time.Time
	for id, m := range st.settled {
		switch {
		case m.Learner:
		case id == st.lead:
			at = append(at, q.o.Clock.Now())
		default:
			at = append(at, st.progress[id].backed)
		}
	}
	if len(at) == 0 {
		return time.Time{}
	}
	slices.SortFunc(at, func(a, b time.Time) int { return b.Compare(a) })
	return at[len(at)/2]
}

// raftStatus is what the driver shows of raft.
type raftStatus struct {
	lead        uint64
	term        int32
	commit, end model.Offset
	members     map[uint64]Member // not changed any more
	settled     map[uint64]Member
	progress    map[uint64]progress // on the leader
}

// progress is how far one member is.
type progress struct {
	end           model.Offset
	heard, backed time.Time
	caught        time.Time
}

// Receive takes messages that another member's Send was given. The caller vouches for who sent them. It never blocks.
func (q *Quorum) Receive(from model.BrokerID, directory model.UUID, msgs [][]byte) {
	q.drive.call(func() { q.drive.receive(Member{NodeID: from, DirectoryID: directory}, msgs) })
}

// Unreachable says that messages to a node were lost.
func (q *Quorum) Unreachable(node model.BrokerID) {
	q.drive.call(func() { q.drive.unreachable(node) })
}

// Lost says that a node's process is dead: its connections ended and it takes no new ones. If it led, an election begins at once.
func (q *Quorum) Lost(node model.BrokerID) {
	q.drive.call(func() { q.drive.lost(node) })
}

// Transfer hands leadership to another voter and returns when that was done, or there is nobody to have it, or ctx ended.
func (q *Quorum) Transfer(ctx context.Context) {
	done := make(chan struct{})
	q.drive.call(func() { q.drive.transfer(done) })
	select {
	case <-done:
	case <-q.drive.ended:
	case <-ctx.Done():
	}
}

// Append proposes records as one batch. done is called once, in the order of the calls, on the goroutine that publishes: with the
// batch's offset after it was committed and published here, or with ErrNotLeader, ErrNoSpace, ErrFailed or ErrClosed. It must not block.
//
// Records of voters in the batch change the membership of the quorum itself, in the same entry; ErrChanging while another change is
// under way.
func (q *Quorum) Append(records []metadata.Record, done func(model.Offset, error)) {
	q.drive.propose(&proposal{data: metadata.AppendBatch(nil, records), conf: membership(records), done: done})
}

// Propose appends records as one batch and waits until they are committed and published here. When ctx ends first, they may or may not
// be committed later.
func (q *Quorum) Propose(ctx context.Context, records []metadata.Record) (model.Offset, error) {
	type result struct {
		at  model.Offset
		err error
	}
	done := make(chan result, 1)
	q.Append(records, func(at model.Offset, err error) { done <- result{at, err} })
	select {
	case r := <-done:
		return r.at, r.err
	case <-ctx.Done():
		return model.NoOffset, ctx.Err()
	}
}

// Watch tells who leads: lead is called when this node does, after everything from before its term was published; resign when it no
// longer does, and whenever another node turns out to lead. They come on the goroutine that publishes, and must not block. If this node leads
// already, lead comes soon. One watcher is enough for the controller; a second one replaces the first.
func (q *Quorum) Watch(lead func(term int32), resign func()) {
	q.apply.push(event{watch: &watcher{lead: lead, resign: resign}})
}

// Ready waits until there is a leader whose log this node has published up to the start of its term.
func (q *Quorum) Ready(ctx context.Context) error {
	select {
	case <-q.apply.ready:
		return nil
	case <-q.apply.ended:
		return q.drive.cause()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops taking part. Proposals that are not committed yet end with ErrClosed.
func (q *Quorum) Close() error {
	q.drive.stop()
	<-q.drive.ended
	q.keep.stop()
	q.apply.stop()
	return q.drive.store.closeAfter(nil)
}

// raftConfig sets raft up. Pre-vote and check quorum keep a node that was cut off from disturbing the others when it returns; proposals
// are never forwarded, since they were decided on the image of the node that leads.
func raftConfig(id uint64, s raft.Storage, applied uint64, log raft.Logger) *raft.Config {
	return &raft.Config{
		ID: id, Storage: s, Applied: applied, ElectionTick: electionTicks, HeartbeatTick: 1, PreVote: true, CheckQuorum: true,
		MaxSizePerMsg: 1 << 20, MaxCommittedSizePerReady: noLimit, MaxInflightMsgs: 256, MaxInflightBytes: 16 << 20, DisableProposalForwarding: true,
		StepDownOnRemoval: true, Logger: log,
	}
}
