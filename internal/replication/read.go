package replication

import (
	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/model"
)

// Isolation says how far a reader may see.
type Isolation int8

// The protocol's two, and what followers use.
const (
	ReadUncommitted Isolation = iota // to the high watermark
	ReadCommitted                    // to the last stable offset
	ReadAll                          // to the log's end
)

// Read is one partition of a fetch.
type Read struct {
	Offset   model.Offset
	MaxBytes int
	// MinOne returns the first batch whole even if it is larger than MaxBytes (KIP-74).
	MinOne      bool
	Isolation   Isolation
	LeaderEpoch model.LeaderEpoch // NoLeaderEpoch: any
	// AnyReplica lets a consumer read from a follower, as far as that knows the high watermark (KIP-392).
	AnyReplica bool
	// ReplicaID is the fetching follower, negative for consumers.
	ReplicaID    model.BrokerID
	ReplicaEpoch model.BrokerEpoch
	// Unsynced is how many offsets before Offset a follower has, but not on its disk yet.
	Unsynced int64
	// Report says that the follower wants no records: it has news of its disk.
	Report bool
	// LastFetchedEpoch is the epoch of the last record the fetcher has; NoLeaderEpoch when it does not ask for divergence (KIP-595).
	LastFetchedEpoch model.LeaderEpoch
}

// Diverging tells a fetcher that its log is not a prefix of the leader's: here is where the largest epoch not above its own ends.
type Diverging struct {
	Set   bool
	Epoch model.LeaderEpoch
	End   model.Offset
}

// ReadResult is what a read gave. Slice has to be released, whether it is empty or not.
type ReadResult struct {
	Slice     commitlog.Slice
	HW, LSO   model.Offset
	LogStart  model.Offset
	Limit     model.Offset // how far this reader may see now: AwaitData waits for more
	Diverging Diverging
	Aborted   []commitlog.AbortedTxn // by first offset; for ReadCommitted

	view *view // as it was; nil after an error
}

// NoRead is the result of a read that failed.
func NoRead() ReadResult {
	return ReadResult{HW: model.NoOffset, LSO: model.NoOffset, LogStart: model.NoOffset}
}

// Read finds the records to send. It takes no lock of this room. With an error the watermarks are those known all the same.
func (p *Partition) Read(r *Read) (ReadResult, error) {
	if e := p.failed.Load(); e != nil {
		return NoRead(), e
	}
	v := p.view.Load()
	if err := p.checkEpoch(v.readableBy(r), v.epoch, r.LeaderEpoch); err != nil {
		return NoRead(), err
	}
	res := ReadResult{HW: p.HighWatermark(), LogStart: p.log().Start(), view: v}
	res.LSO = p.limit(&Read{Isolation: ReadCommitted, ReplicaID: -1}, res.HW)
	res.Limit = p.limit(r, res.HW)
	// Before the range is looked at: a log that is longer than this one has to learn where to cut (KIP-595).
	if r.LastFetchedEpoch != model.NoLeaderEpoch {
		if err := p.diverging(v, r, &res); err != nil || res.Diverging.Set {
			return res, err
		}
	}
	if end := p.log().End(); r.Offset < res.LogStart || r.Offset > end {
		return res, p.outOfRange(v, r, end)
	}
	if r.ReplicaID >= 0 {
		if err := p.followerFetched(r); err != nil {
			return res, err
		}
	}
	if r.Report || r.Offset >= res.Limit || r.MaxBytes <= 0 && !r.MinOne || r.ReplicaID >= 0 && p.heldBack(r) {
		return res, nil
	}
	if err := p.readLog(r, &res); err != nil {
		return res, err
	}
	p.stats.BytesOut.Add(res.Slice.Len)
	if r.ReplicaID >= 0 && p.countsSent(r) {
		p.sending.Took(int(res.Slice.Len))
	}
	return res, nil
}

// outOfRange is the error for an offset that is not in the log. A consumer that is told so begins anew, at the log's start or at its end, so it is not
// told where another replica may well have that offset: by a leader that woke up and may have been replaced meanwhile, or by a follower that lags,
// when the consumer shows by its lack of a leader epoch (KIP-320) that it is too old to ask the leader before it believes a follower (KIP-392).
func (p *Partition) outOfRange(v *view, r *Read, end model.Offset) error {
	if r.ReplicaID < 0 && r.Offset > end {
		if v.role == roleLeader && p.lapsed() || v.role == roleFollower && r.LeaderEpoch == model.NoLeaderEpoch {
			return &Error{p.tp, ErrNotLeader}
		}
	}
	return &commitlog.Error{TP: p.tp, Offset: r.Offset, Err: commitlog.ErrOffsetOutOfRange}
}

// Still reports that a read of these terms which found nothing to send would find nothing again, and the same watermarks. It costs a few loads and no
// lock: a fetch that waited for thousands of partitions has news of one.
func (p *Partition) Still(r *Read, res *ReadResult) bool {
	if res.view == nil || res.view != p.view.Load() || res.Slice.Len > 0 || res.Diverging.Set || r.Offset < res.Limit || p.failed.Load() != nil {
		return false
	}
	hw := p.HighWatermark()
	return hw == res.HW && p.log().Start() == res.LogStart && p.limit(r, hw) == res.Limit &&
		p.limit(&Read{Isolation: ReadCommitted, ReplicaID: -1}, hw) == res.LSO
}

// readableBy is the role that counts for a read: any replica may stand in for the leader, if the reader takes that.
func (v *view) readableBy(r *Read) role {
	if r.AnyReplica && r.ReplicaID < 0 && v.role == roleFollower {
		return roleLeader
	}
	return v.role
}

// readLog fills in the records, and for a read_committed consumer the transactions to leave out.
func (p *Partition) readLog(r *Read, res *ReadResult) error {
	return p.onLog(func(l *commitlog.Log) error { return readFrom(l, r, res) })
}

func readFrom(l *commitlog.Log, r *Read, res *ReadResult) (err error) {
	res.Slice, err = l.Read(r.Offset, commitlog.ReadOptions{MaxBytes: r.MaxBytes, End: res.Limit, MinOne: r.MinOne})
	if err == nil && r.Isolation == ReadCommitted {
		res.Aborted, err = l.AbortedTransactions(r.Offset, res.Limit)
	}
	return err
}

// limit is how far a reader may see, given the high watermark.
func (p *Partition) limit(r *Read, hw model.Offset) model.Offset {
	switch {
	case r.ReplicaID >= 0 || r.Isolation == ReadAll || bug.Is(bug.ReadPastHighWatermark):
		return p.log().End()
	case r.Isolation == ReadCommitted:
		if u, ok := p.log().FirstUnstable(); ok {
			return min(hw, u)
		}
	}
	return hw
}

// diverging compares the end of the fetcher's last epoch there and here.
func (p *Partition) diverging(v *view, r *Read, res *ReadResult) error {
	epoch, end := p.endOffsetForEpoch(v, r.LastFetchedEpoch)
	if epoch == model.NoLeaderEpoch || end == model.NoOffset {
		return &commitlog.Error{TP: p.tp, Offset: r.Offset, Err: commitlog.ErrOffsetOutOfRange}
	}
	if epoch < r.LastFetchedEpoch || end < r.Offset {
		res.Diverging = Diverging{Set: true, Epoch: epoch, End: end}
	}
	return nil
}

// followerFetched notes a follower's progress.
func (p *Partition) followerFetched(r *Read) error {
	p.mu.Lock()
	if p.mu.follower(r.ReplicaID) == nil {
		p.mu.Unlock()
		return &Error{p.tp, ErrNotReplica}
	}
	moved, change := p.mu.fetched(progress{
		id: r.ReplicaID, epoch: r.ReplicaEpoch, read: r.Offset, synced: r.Offset - model.Offset(r.Unsynced), report: r.Report,
	}, p.clock.Now())
	p.unlockAndWake(moved)
	p.proposeISR(change)
	return nil
}

// AwaitData calls w.Wake(slot, nil) once, when a reader of this isolation may see beyond limit, which is the ReadResult.Limit of the read
// that found too little; with an error when this node stops leading. It may do so before it returns. After Wake the handle is void, and
// Cancel with it does nothing.
func (p *Partition) AwaitData(limit model.Offset, kind Isolation, w Waiter, slot int) WaitHandle {
	return p.awaitData(roleLeader, dataWait{waiter: w, slot: slot, seen: limit, kind: kind})
}

// AwaitDataHere is AwaitData for a reader that takes any replica: it waits at a follower, too.
func (p *Partition) AwaitDataHere(limit model.Offset, kind Isolation, w Waiter, slot int) WaitHandle {
	return p.awaitData(roleFollower, dataWait{waiter: w, slot: slot, seen: limit, kind: kind})
}

// awaitData waits while this node leads, or has the other role.
func (p *Partition) awaitData(also role, d dataWait) WaitHandle {
	w, slot, limit, kind := d.waiter, d.slot, d.seen, d.kind
	p.mu.Lock()
	if e := p.failed.Load(); e != nil || p.mu.role != roleLeader && p.mu.role != also {
		p.mu.Unlock()
		w.Wake(slot, &Error{p.tp, ErrNotLeader})
		return WaitHandle{}
	}
	if p.limitLocked(kind) > limit {
		p.mu.Unlock()
		w.Wake(slot, nil)
		return WaitHandle{}
	}
	h := p.mu.data.add(d)
	p.mu.Unlock()
	return h
}

// Cancel ends a wait.
func (p *Partition) Cancel(h WaitHandle) {
	if h == (WaitHandle{}) {
		return
	}
	p.mu.Lock()
	p.mu.data.remove(h)
	p.mu.Unlock()
}

// limitLocked is how far a reader may see now.
func (p *Partition) limitLocked(kind Isolation) model.Offset {
	switch kind {
	case ReadAll:
		return p.mu.end
	case ReadCommitted:
		if u, ok := p.log().FirstUnstable(); ok {
			return min(p.mu.hw, u)
		}
	}
	return p.mu.hw
}
