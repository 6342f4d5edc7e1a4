package replication

import (
	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/model"
)

// The special positions that ListOffsets takes in place of a timestamp.
const (
	Latest                = -1 // the high watermark, or the last stable offset (KIP-79)
	Earliest              = -2
	MaxTimestamp          = -3 // the record with the largest timestamp (KIP-734)
	EarliestLocal         = -4 // without tiered storage the same as Earliest (KIP-405)
	LatestTiered          = -5 // none without tiered storage (KIP-1005)
	EarliestPendingUpload = -6 // none without tiered storage (KIP-1023)
)

// FoundOffset is the answer to ListOffset; NoOffset when there is no such record.
type FoundOffset struct {
	Offset      model.Offset
	Timestamp   int64 // ms, -1 for special positions
	LeaderEpoch model.LeaderEpoch
}

func notFound() FoundOffset {
	return FoundOffset{Offset: model.NoOffset, Timestamp: -1, LeaderEpoch: model.NoLeaderEpoch}
}

// ListOffset finds the first record at or after a timestamp (ms), or a special position, among what a reader of this isolation may see.
func (p *Partition) ListOffset(ts int64, kind Isolation, epoch model.LeaderEpoch) (FoundOffset, error) {
	v, err := p.leading(epoch)
	if err != nil {
		return notFound(), err
	}
	hw := p.HighWatermark()
	limit := p.limit(&Read{Isolation: kind, ReplicaID: -1}, hw)
	if hw < v.epochStart && ts != Earliest && ts != EarliestLocal && !bug.Is(bug.StaleOffsetsServed) {
		// The predecessor may have committed more than we know yet; what is answered must not go back later (L3).
		return notFound(), &Error{p.tp, ErrOffsetNotAvailable}
	}
	switch ts {
	case Latest:
		return FoundOffset{Offset: limit, Timestamp: -1, LeaderEpoch: v.epoch}, nil
	case Earliest, EarliestLocal:
		start := p.log().Start()
		epoch := p.log().EpochAt(start)
		if start >= p.log().End() { // no record there yet: the next one will be of this leader
			epoch = v.epoch
		}
		return FoundOffset{Offset: start, Timestamp: -1, LeaderEpoch: epoch}, nil
	case LatestTiered, EarliestPendingUpload:
		return notFound(), nil
	case MaxTimestamp:
		return p.find(func(l *commitlog.Log) (commitlog.Found, bool, error) { return l.MaxTimestamp(limit) })
	}
	return p.find(func(l *commitlog.Log) (commitlog.Found, bool, error) { return l.OffsetForTimestamp(ts, limit) })
}

func (p *Partition) find(search func(*commitlog.Log) (commitlog.Found, bool, error)) (res FoundOffset, err error) {
	err = p.onLog(func(l *commitlog.Log) error {
		f, ok, err := search(l)
		res = found(f, ok)
		return err
	})
	return res, err
}

func found(f commitlog.Found, ok bool) FoundOffset {
	if !ok {
		return notFound()
	}
	return FoundOffset{Offset: f.Offset, Timestamp: f.Timestamp, LeaderEpoch: f.LeaderEpoch}
}

// EndOffsetForEpoch is where the largest leader epoch not above the asked one ends in this log (KIP-101, KIP-279).
func (p *Partition) EndOffsetForEpoch(asked, current model.LeaderEpoch) (model.LeaderEpoch, model.Offset, error) {
	v, err := p.leading(current)
	if err != nil {
		return model.NoLeaderEpoch, model.NoOffset, err
	}
	epoch, end := p.endOffsetForEpoch(v, asked)
	return epoch, end, nil
}

// endOffsetForEpoch adds to what the log knows by its records that this leader's epoch has begun at the log's end, where it has no record
// yet: epochs before it, back to the last one with a record, have ended there.
func (p *Partition) endOffsetForEpoch(v *view, asked model.LeaderEpoch) (model.LeaderEpoch, model.Offset) {
	latest := p.log().LatestEpoch()
	switch {
	case asked == v.epoch:
		return asked, p.log().End()
	case asked < 0 || asked > v.epoch || asked <= latest:
		return p.log().EndOffsetForEpoch(asked)
	case latest == model.NoLeaderEpoch:
		return asked, p.log().End()
	}
	return latest, p.log().End()
}

// DeleteRecords raises the log start offset to to, or to the high watermark when that is -1, and returns the new one. Offsets at or
// below the present start change nothing; those above the high watermark are out of range (KIP-107).
func (p *Partition) DeleteRecords(to model.Offset) (model.Offset, error) {
	if _, err := p.leading(model.NoLeaderEpoch); err != nil {
		return model.NoOffset, err
	}
	hw := p.HighWatermark()
	if to == model.NoOffset {
		to = hw
	}
	if to < 0 || to > hw {
		return model.NoOffset, &commitlog.Error{TP: p.tp, Offset: to, Err: commitlog.ErrOffsetOutOfRange}
	}
	if to > p.log().Start() {
		if err := p.onLog(func(l *commitlog.Log) error { return l.DeleteRecords(to) }); err != nil {
			return model.NoOffset, err
		}
		p.mu.Lock()
		p.refreshLocked()
		p.unlockAndWake(false)
	}
	return p.log().Start(), nil
}

// Producers are the idempotent producers the log knows.
func (p *Partition) Producers() ([]commitlog.ProducerInfo, error) {
	if _, err := p.leading(model.NoLeaderEpoch); err != nil {
		return nil, err
	}
	var out []commitlog.ProducerInfo
	err := p.onLog(func(l *commitlog.Log) (err error) {
		out, err = l.Producers()
		return err
	})
	return out, err
}

// leading checks that this node leads at the epoch the caller believes in.
func (p *Partition) leading(epoch model.LeaderEpoch) (*view, error) {
	if e := p.failed.Load(); e != nil {
		return nil, e
	}
	v := p.view.Load()
	return v, p.checkEpoch(v.role, v.epoch, epoch)
}
