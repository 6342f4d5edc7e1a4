package quorum

import (
	"path"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// maxCalls bounds what waits for a driver that is held up by its disk. Raft takes a lost message in its stride.
const maxCalls = 4096

// call runs f on the driver's loop; it is dropped when too much waits already, and when the driver ended.
func (d *driver) call(f func()) {
	d.mu.Lock()
	ok := !d.mu.stopped && len(d.mu.calls) < maxCalls
	if ok {
		d.mu.calls = append(d.mu.calls, f)
	}
	d.mu.Unlock()
	if ok {
		d.wake()
	}
}

// receive takes messages of another member. Only what that very directory wrote to this very one counts: a node that lost its disk is
// neither the one that voted nor the one that is asked to (M6).
func (d *driver) receive(from Member, msgs [][]byte) {
	if d.stuck != nil {
		return // this node can promise nothing now; the others shall do without it
	}
	id := from.raftID()
	if _, known := d.peers.members[id]; !known {
		d.peers.strangers[id] = from.NodeID
	}
	d.peers.heard[id] = d.q.o.Clock.Now()
	for _, b := range msgs {
		m := &pb.Message{}
		if err := proto.Unmarshal(b, m); err != nil {
			d.q.o.Logger.Warn("raft message cannot be read", "from", from.NodeID, "err", err)
			return
		}
		if m.GetFrom() != id || m.GetTo() != d.id || raft.IsLocalMsg(m.GetType()) || !d.readable(m) {
			invariant.Sometimes("raft message for or from somebody else")
			continue
		}
		// An error says that raft has no use for it: a member that was removed, a proposal here where nobody leads.
		_ = d.raft.Step(m)
		if m.GetType() == pb.MsgAppResp || m.GetType() == pb.MsgHeartbeatResp {
			d.heardOf(id, m.GetTerm())
		}
	}
}

// readable looks into a snapshot before raft does: raft would discard the log for it.
func (d *driver) readable(m *pb.Message) bool {
	if m.GetType() != pb.MsgSnap {
		return true
	}
	h, err := decodeSnapshot(m.GetSnapshot().GetData(), metadata.NewReplay(metadata.Empty(d.store.id.ClusterID)))
	at := m.GetSnapshot().GetMetadata()
	if err != nil || h.ClusterID != d.store.id.ClusterID || h.Index != at.GetIndex() || h.Term != at.GetTerm() {
		d.q.o.Logger.Error("metadata snapshot of the leader cannot be used", "offset", at.GetIndex(), "err", err)
		return false
	}
	return true
}

// heardOf notes how far a follower is.
func (d *driver) heardOf(id, term uint64) {
	if !d.leading {
		return
	}
	if term == d.term {
		d.peers.backed[id] = d.q.o.Clock.Now()
	}
	last, _ := d.store.mem.LastIndex() // it is in memory and cannot fail
	d.raft.WithProgress(func(x uint64, _ raft.ProgressType, pr tracker.Progress) {
		if x != id {
			return
		}
		if pr.Match >= last {
			d.peers.caught[id] = d.q.o.Clock.Now()
		}
		if pr.State != tracker.StateSnapshot {
			delete(d.peers.snapshots, id)
		}
	})
}

// send hands messages over, all of one member together.
func (d *driver) send(msgs []*pb.Message) {
	if len(msgs) == 0 {
		return
	}
	bursts := map[model.BrokerID][][]byte{}
	var order []model.BrokerID
	for _, m := range msgs {
		to, ok := d.peers.node(m.GetTo())
		if !ok || m.GetType() == pb.MsgSnap && !d.loadSnapshotFor(m) {
			continue
		}
		b, err := proto.Marshal(m)
		invariant.Check(err == nil, "raft message cannot be written: %v", err)
		if bursts[to] == nil {
			order = append(order, to)
		}
		bursts[to] = append(bursts[to], b)
	}
	for _, to := range order {
		d.q.o.Send(to, bursts[to])
	}
}

// loadSnapshotFor fills the newest snapshot into a message. A snapshot from before the member joined does not name it, and is no use to it:
// then a new one is made, and raft tries again.
func (d *driver) loadSnapshotFor(m *pb.Message) bool {
	at := m.GetSnapshot().GetMetadata()
	to := m.GetTo()
	if !within(at.GetConfState(), to) {
		d.q.keep.logGrew()
		d.call(func() { d.raft.ReportSnapshot(to, raft.SnapshotFailure) })
		return false
	}
	b, err := vfs.ReadFile(d.store.fs, path.Join(d.store.dir, snapshotName(at.GetIndex())), maxSnapshotSize)
	if err != nil {
		d.q.o.Logger.Error("metadata snapshot cannot be read", "offset", at.GetIndex(), "err", err)
		d.call(func() { d.raft.ReportSnapshot(to, raft.SnapshotFailure) })
		return false
	}
	m.Snapshot = &pb.Snapshot{Data: b, Metadata: at}
	d.peers.snapshots[to] = 0
	return true
}

// snapshotTicks is how long a follower has to take a snapshot before it is sent again.
const snapshotTicks = 5 * electionTicks

func (d *driver) giveUpSnapshots() {
	for id := range d.peers.snapshots {
		if d.peers.snapshots[id]++; d.peers.snapshots[id] > snapshotTicks {
			delete(d.peers.snapshots, id)
			d.raft.ReportSnapshot(id, raft.SnapshotFailure)
		}
	}
}

// installed goes on from a snapshot of the leader, which save has made durable.
func (d *driver) installed(s *pb.Snapshot) error {
	if raft.IsEmptySnap(s) {
		return nil
	}
	replay := metadata.NewReplay(metadata.Empty(d.store.id.ClusterID))
	h, err := decodeSnapshot(s.GetData(), replay)
	if err != nil {
		return err
	}
	img, _ := replay.Done()
	d.conf, d.applied = h.Conf, h.Index
	d.peers.members = membersOf(img.Voters())
	d.peers.settled = d.peers.members
	d.wind()
	d.q.keep.installed(h.Index, int64(len(s.GetData())))
	d.q.apply.push(event{snapshot: img, head: h})
	invariant.Sometimes("metadata snapshot installed")
	return nil
}

// reconfigure applies a committed membership change to raft, and to who is talked to.
func (d *driver) reconfigure(cc *pb.ConfChangeV2) error {
	if len(cc.Context) > 0 {
		records, err := metadata.DecodeBatch(cc.Context)
		if err != nil {
			return err
		}
		d.peers.replay(records)
	}
	d.conf = d.raft.ApplyConfChange(cc)
	if len(d.conf.GetVotersOutgoing()) == 0 {
		d.peers.settled = d.peers.members
	}
	d.wind()
	// The next snapshot shall name the new member, and it will soon be needed.
	if d.leading {
		d.q.keep.logGrew()
	}
	return nil
}

// unreachable tells raft that messages to a node were lost, so that it goes back to sending what is missing.
func (d *driver) unreachable(node model.BrokerID) {
	for id, m := range d.peers.members {
		if m.NodeID != node {
			continue
		}
		d.raft.ReportUnreachable(id)
		if _, ok := d.peers.snapshots[id]; ok {
			delete(d.peers.snapshots, id)
			d.raft.ReportSnapshot(id, raft.SnapshotFailure)
		}
	}
}

// lost is unreachable, for good: the process is dead. When it led, the others need not wait for its lease to end. They stand one after
// the other, so that they do not split the votes.
func (d *driver) lost(node model.BrokerID) {
	d.unreachable(node)
	for id, m := range d.peers.members {
		if m.NodeID == node {
			delete(d.peers.heard, id)
		}
	}
	leader := d.leader
	if d.leading || d.peers.members[leader].NodeID != node || leader == raft.None {
		return
	}
	_ = d.raft.ForgetLeader() // it only fails in read modes that are not used here
	d.stand(leader)
}

// stand calls an election soon, unless somebody else has been elected by then. It is for when there is good reason to think that nobody
// leads: where somebody does, the others do not even look up (pre-vote).
func (d *driver) stand(lost uint64) {
	if !slices.Contains(d.conf.GetVoters(), d.id) {
		return
	}
	d.stands++
	tick, rank := d.q.o.ElectionTick, time.Duration(d.peers.rank(d.conf, d.id, lost))
	d.campaignIn(tick/4+rank*(2*tick+tick/4), standTries)
}

// standTries is how often a voter stands that is not heard, once a tick: the others may be starting, too, or have yet to notice that nobody leads.
// It lasts until raft would stand by itself. To ask whether one would be elected (pre-vote) disturbs nobody; voters of different ranks do it at
// different times, so that they do not both go on to ask for the votes.
const standTries = 2 * electionTicks

// campaignIn stands after a while, and again until somebody leads.
func (d *driver) campaignIn(wait time.Duration, tries int) {
	term, stands := d.term, d.stands
	d.q.o.Clock.AfterFunc(wait, func() {
		d.call(func() {
			if d.leader != raft.None || d.term != term || d.stands != stands {
				return
			}
			_ = d.raft.Campaign() // it fails when this node may not stand: then it does not
			if tries > 1 {
				d.campaignIn(d.q.o.ElectionTick, tries-1)
			}
		})
	})
}

// transfer hands leadership to the voter that is furthest, and closes done when this node does not lead (any more), or nobody can.
func (d *driver) transfer(done chan struct{}) {
	var best, match uint64
	now := d.q.o.Clock.Now()
	d.raft.WithProgress(func(id uint64, kind raft.ProgressType, pr tracker.Progress) {
		fresh := now.Sub(d.peers.heard[id]) < electionTicks*d.q.o.ElectionTick
		if id != d.id && kind == raft.ProgressTypePeer && fresh && pr.Match >= match {
			best, match = id, pr.Match
		}
	})
	if !d.leading || best == raft.None {
		close(done)
		return
	}
	d.resigned = append(d.resigned, done)
	d.raft.TransferLeader(best)
}

// publishStatus shows others where raft stands.
func (d *driver) publishStatus() {
	st := d.raft.BasicStatus()
	last, _ := d.store.mem.LastIndex() // it is in memory and cannot fail
	s := &raftStatus{
		lead: st.Lead, term: int32(st.HardState.GetTerm()), members: d.peers.members, settled: d.peers.settled,
		commit: offsetOf(st.HardState.GetCommit()) + 1, end: offsetOf(last) + 1,
	}
	if d.leading && !d.alone() {
		s.progress = map[uint64]progress{}
		d.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
			s.progress[id] = progress{end: offsetOf(pr.Match) + 1, heard: d.peers.heard[id], backed: d.peers.backed[id], caught: d.peers.caught[id]}
		})
	}
	d.q.status.Store(s)
}
