package replication

import (
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/model"
)

// AcksAll asks for the acknowledgement of every in-sync replica.
const AcksAll = -1

// Append is one produce to a partition. An Append that is used again costs no allocation.
type Append struct {
	// Records are as the client sent them. Offsets and epoch are written into them.
	Records        []byte
	ProduceVersion int16
	Acks           int16
	// LeaderEpoch must be the current one, unless it is NoLeaderEpoch.
	LeaderEpoch model.LeaderEpoch
	Origin      commitlog.Origin
	// Waiter gets Wake(Slot) when an append that had to wait is acknowledged, perhaps before Append returns.
	Waiter Waiter
	Slot   int
	// CommitLater leaves asking for the sync to the caller, who does so for many appends at once by Commit.
	CommitLater bool

	rules batch.Rules // of this append: here, because on Append's stack it would have to be allocated
}

// AppendResult is where an append went.
type AppendResult struct {
	Base          model.Offset
	Last          model.Offset
	LogAppendTime int64 // ms, -1 unless the topic stamps batches itself
	LogStart      model.Offset
	// Wait says that Waiter will be called.
	Wait bool
	// Sync says that a sync is wanted which nobody has asked for yet: Append.CommitLater.
	Sync bool
}

// NoAppend is the result of an append that failed.
func NoAppend() AppendResult {
	return AppendResult{Base: model.NoOffset, Last: model.NoOffset, LogAppendTime: -1, LogStart: model.NoOffset}
}

// Append validates the records, appends them and says whether their acknowledgement has to be waited for. Its errors are those of this
// room, of commitlog and *batch.RecordError.
func (p *Partition) Append(a *Append) (AppendResult, error) {
	if e := p.failed.Load(); e != nil {
		return NoAppend(), e
	}
	records, count := a.Records, int32(0)
	if a.Origin == commitlog.FromClient {
		a.rules = *p.rules.Load()
		a.rules.NowMs = p.clock.Now().UnixMilli()
		checked, err := batch.Validate(records, a.ProduceVersion, &a.rules)
		if err != nil {
			return NoAppend(), err
		}
		records, count = checked.Records, checked.Header.Count
	}
	p.mu.Lock()
	if err := p.mayAppendLocked(a); err != nil {
		p.mu.Unlock()
		return NoAppend(), err
	}
	info, err := p.log().AppendLeader(records, p.mu.epoch, commitlog.AppendOptions{Origin: a.Origin})
	if err != nil {
		p.mu.Unlock()
		return NoAppend(), err
	}
	res := AppendResult{Base: info.Base, Last: info.Last, LogAppendTime: info.LogAppendTime, LogStart: info.LogStart}
	moved := false
	if !info.Duplicate {
		moved = p.appendedLocked(info.Last + 1)
		p.stats.BatchesIn.Add(1)
		p.stats.RecordsIn.Add(int64(count))
		p.stats.BytesIn.Add(int64(len(records)))
	}
	if a.Acks == AcksAll && info.Last >= p.mu.acknowledged() {
		res.Wait = true
		p.mu.acks.push(ackWait{offset: info.Last + 1, waiter: a.Waiter, slot: a.Slot})
	}
	commit := res.Wait && p.mu.durability == commitlog.Fsync || p.mu.wantsSync()
	res.Sync = commit && a.CommitLater
	p.unlockAndWake(moved || len(p.mu.followers) > 0)
	if commit && !a.CommitLater {
		p.log().Commit()
	}
	return res, nil
}

// appendedLocked takes over the log's new end.
func (p *Partition) appendedLocked(end model.Offset) (moved bool) {
	if len(p.mu.followers) == 0 {
		// The clock matters only for followers.
		return p.mu.appended(end, time.Time{})
	}
	return p.mu.appended(end, p.clock.Now())
}

// mayAppendLocked checks who leads, and that enough replicas are in sync for what the producer wants.
func (p *Partition) mayAppendLocked(a *Append) error {
	if e := p.failed.Load(); e != nil {
		return e
	}
	if err := p.checkEpoch(p.mu.role, p.mu.epoch, a.LeaderEpoch); err != nil {
		return err
	}
	if a.Acks == AcksAll && !p.mu.enoughReplicas() {
		return &Error{p.tp, ErrNotEnoughReplicas}
	}
	return nil
}

// checkEpoch compares what the caller believes with what is. An epoch from the future means that this node has yet to hear of it.
func (p *Partition) checkEpoch(r role, epoch, asked model.LeaderEpoch) error {
	switch {
	case asked >= 0 && asked < epoch:
		return &Error{p.tp, ErrFencedLeaderEpoch}
	case asked >= 0 && asked > epoch:
		return &Error{p.tp, ErrUnknownLeaderEpoch}
	case r != roleLeader:
		return &Error{p.tp, ErrNotLeader}
	}
	return nil
}
