package replication

import (
	"slices"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/model"
)

// Position is where a follower goes on fetching.
type Position struct {
	Leader      model.BrokerID
	LeaderEpoch model.LeaderEpoch
	// Offset to fetch from: the log's end.
	Offset model.Offset
	// Synced is the end of what is on the disk: that is what the leader may count on. NoOffset under log.durability=page-cache, where the
	// leader may count on Offset.
	Synced model.Offset
	// LastEpoch of the record before Offset, by which the leader finds out that the logs differ; NoLeaderEpoch when there is no such record
	// here. What agrees up to Offset agrees up to Synced.
	LastEpoch model.LeaderEpoch
	LogStart  model.Offset
}

// FetchPosition is where to fetch from; ErrNotLeader when this node does not follow (it leads, or was told nothing yet).
//
// A fetch does not wait for the disk: what it asks for, and what it claims to be safe, are two offsets. So the next records come in while
// those before are synced, and the leader counts a record only when the follower's disk has it.
func (p *Partition) FetchPosition() (Position, error) {
	if e := p.failed.Load(); e != nil {
		return Position{}, e
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.role != roleFollower {
		return Position{}, &Error{p.tp, ErrNotLeader}
	}
	p.refreshLocked()
	pos := Position{
		Leader: p.mu.leader, LeaderEpoch: p.mu.epoch, Offset: p.mu.end, Synced: model.NoOffset, LogStart: p.mu.start, LastEpoch: model.NoLeaderEpoch,
	}
	if p.mu.durability == commitlog.Fsync && !bug.Is(bug.FollowerReportsLogEnd) {
		pos.Synced = p.mu.durable
	}
	if pos.Offset > pos.LogStart && !bug.Is(bug.NeverTruncate) {
		// Not the newest epoch of the history: one in which this node led and appended nothing says nothing about its records, and could
		// not be cut away.
		pos.LastEpoch = p.log().EpochAt(pos.Offset - 1)
	}
	return pos, nil
}

// Replicated is what a fetch from the leader brought.
type Replicated struct {
	LeaderEpoch model.LeaderEpoch // of the fetch
	Records     []byte
	HW          model.Offset // the leader's
	LogStart    model.Offset // the leader's
}

// AppendAsFollower appends what the leader sent, takes its high watermark over as far as this log reaches, and follows its log start. An
// answer from before a change of the leader epoch is refused.
func (p *Partition) AppendAsFollower(r *Replicated) error {
	p.mu.Lock()
	if err := p.followsLocked(r.LeaderEpoch); err != nil {
		p.mu.Unlock()
		return err
	}
	if err := p.copyLocked(r.Records); err != nil {
		p.mu.Unlock()
		return err
	}
	moved := p.mu.replicated(p.log().End(), r.HW)
	start := min(r.LogStart, p.mu.hw)
	p.unlockAndWake(moved)
	if start > p.log().Start() {
		return p.onLog(func(l *commitlog.Log) error { return l.DeleteRecords(start) })
	}
	return nil
}

// copyLocked appends the leader's batches. They may be more than a segment takes at once.
func (p *Partition) copyLocked(records []byte) error {
	if len(records) == 0 {
		return nil
	}
	if err := p.meetBatchLocked(records); err != nil {
		return err
	}
	for len(records) > 0 {
		piece := wholeBatches(records, p.log().Config().Segment.Bytes)
		if len(piece) == 0 {
			// What is left is a part of a batch, as fetches leave it. If there was nothing else, the log says so.
			piece = records
		}
		if _, err := p.log().AppendFollower(piece); err != nil {
			return err
		}
		p.mu.end = p.log().End()
		if records = records[len(piece):]; len(wholeBatches(records, len(records))) == 0 {
			return nil
		}
	}
	return nil
}

// wholeBatches is the longest run of whole batches at the beginning of b that is at most limit long; one batch at least, if there is one.
func wholeBatches(b []byte, limit int) []byte {
	n := 0
	for n < len(b) {
		one, _, _, err := batch.Next(b[n:])
		if err != nil || n > 0 && n+len(one) > limit {
			break
		}
		n += len(one)
	}
	return b[:n]
}

// meetBatchLocked lets an empty log that begins inside of the leader's first batch begin where that does: DeleteRecords can put the
// leader's log start there (KIP-107), and batches are copied whole.
func (p *Partition) meetBatchLocked(records []byte) error {
	_, h, _, err := batch.Next(records)
	if err != nil || p.log().Start() != p.log().End() || h.BaseOffset >= p.log().End() || h.LastOffset() < p.log().End() {
		return nil // in order, or the log will say what is wrong
	}
	if err := p.log().TruncateFullyTo(h.BaseOffset); err != nil {
		return err
	}
	p.mu.startedOver(h.BaseOffset)
	return nil
}

// Diverged cuts the log after the leader said that its epoch, the largest not above ours, ends at end there. lost reports that records
// below the known high watermark went: an unclean election did that.
func (p *Partition) Diverged(current, epoch model.LeaderEpoch, end model.Offset) (lost bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.followsLocked(current); err != nil {
		return false, err
	}
	_, ourEnd := p.log().EndOffsetForEpoch(epoch)
	cut := truncation(end, ourEnd, p.log().End())
	if cut < p.log().Start() {
		// Nothing here is in the leader's log. Where that begins is for the next fetch to find out.
		err = p.log().TruncateFullyTo(cut)
	} else {
		err = p.log().TruncateTo(cut)
	}
	if err != nil {
		return false, err
	}
	p.mu.start = p.log().Start()
	lost = p.mu.truncated(p.log().End(), p.log().DurableEnd())
	p.hw.Store(int64(p.mu.hw))
	return lost, nil
}

func (p *Partition) followsLocked(epoch model.LeaderEpoch) error {
	if e := p.failed.Load(); e != nil {
		return e
	}
	switch {
	case p.mu.role != roleFollower:
		return &Error{p.tp, ErrNotLeader}
	case epoch < p.mu.epoch:
		return &Error{p.tp, ErrFencedLeaderEpoch}
	case epoch > p.mu.epoch:
		return &Error{p.tp, ErrUnknownLeaderEpoch}
	}
	return nil
}

// StartOver empties the log and lets it begin at a leader's log start: the follower asked for what the leader no longer has.
func (p *Partition) StartOver(current model.LeaderEpoch, at model.Offset) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.followsLocked(current); err != nil {
		return err
	}
	if empty := p.log().Start() == p.log().End(); at < 0 || !empty && at <= p.log().End() {
		// There are records here that the leader has too, or should: the next fetch finds out by epochs where the logs part. Records are
		// thrown away only when the leader has deleted them.
		return &Error{p.tp, ErrUnknownLeaderEpoch}
	}
	if err := p.log().TruncateFullyTo(at); err != nil {
		return err
	}
	p.mu.startedOver(at)
	p.hw.Store(int64(at))
	p.log().SetHighWatermark(at)
	return nil
}

// AwaitSynced calls w.Wake(slot, nil) once what is in the log now is durable, and asks for that. Where the topic does not want to wait for the
// disk it does so at once. With an error when the replica fails or is told of another leader first.
func (p *Partition) AwaitSynced(w Waiter, slot int) {
	p.mu.Lock()
	p.refreshLocked()
	switch {
	case p.failed.Load() != nil:
		err := p.failed.Load()
		p.mu.Unlock()
		w.Wake(slot, err)
	case p.mu.durability == commitlog.PageCache || p.mu.durable >= p.mu.end:
		p.mu.Unlock()
		w.Wake(slot, nil)
	default:
		p.mu.syncs = append(p.mu.syncs, ackWait{offset: p.mu.end, waiter: w, slot: slot})
		p.mu.Unlock()
		p.log().Commit()
	}
}

// takeSyncsLocked removes the waits that a durable end settles; all of them when failed.
func (p *Partition) takeSyncsLocked(durable model.Offset) []ackWait {
	if len(p.mu.syncs) == 0 {
		return nil
	}
	var out []ackWait
	p.mu.syncs = slices.DeleteFunc(p.mu.syncs, func(a ackWait) bool {
		if a.offset > durable {
			return false
		}
		out = append(out, a)
		return true
	})
	return out
}
