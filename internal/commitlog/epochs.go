package commitlog

import (
	"slices"

	"github.com/klamm/klamm/internal/commitlog/remember"
	"github.com/klamm/klamm/internal/model"
)

// EpochStart says at which offset a leader epoch began in a log (KIP-101).
type EpochStart = remember.EpochStart

// epochs is the history of a log's leader epochs, oldest first.
//
// Invariant: both Epoch and Start strictly increase.
type epochs struct {
	entries []EpochStart
}

// assign notes that epoch began at start, and reports whether that was news. Entries that contradict it are dropped: an epoch
// that is not older than the new one, or that begins where the new one begins, has left no record.
func (e *epochs) assign(epoch model.LeaderEpoch, start model.Offset) bool {
	if epoch < 0 || start < 0 {
		return false
	}
	if n := len(e.entries); n > 0 {
		if last := e.entries[n-1]; last.Epoch == epoch && last.Start <= start {
			return false
		}
	}
	n := len(e.entries)
	for n > 0 && (e.entries[n-1].Epoch >= epoch || e.entries[n-1].Start >= start) {
		n--
	}
	e.entries = append(e.entries[:n:n], EpochStart{Epoch: epoch, Start: start})
	return true
}

// latest is the newest epoch, NoLeaderEpoch when none is known.
func (e *epochs) latest() model.LeaderEpoch {
	if n := len(e.entries); n > 0 {
		return e.entries[n-1].Epoch
	}
	return model.NoLeaderEpoch
}

// beginsAt reports whether the newest epoch begins at start.
func (e *epochs) beginsAt(start model.Offset) bool {
	n := len(e.entries)
	return n > 0 && e.entries[n-1].Start == start
}

// endOffset is the answer to OffsetForLeaderEpoch (KIP-279): the largest epoch not above the one asked for, and where it ended. An
// epoch above all known ones is unknown (-1, -1); one below all of them ended where the oldest known one began.
func (e *epochs) endOffset(epoch model.LeaderEpoch, logEnd model.Offset) (model.LeaderEpoch, model.Offset) {
	n := len(e.entries)
	if epoch < 0 || n == 0 || epoch > e.entries[n-1].Epoch {
		return model.NoLeaderEpoch, model.NoOffset
	}
	if epoch == e.entries[n-1].Epoch {
		return epoch, logEnd
	}
	higher, _ := slices.BinarySearchFunc(e.entries, epoch+1, func(a EpochStart, b model.LeaderEpoch) int { return int(a.Epoch) - int(b) })
	if higher == 0 {
		return epoch, e.entries[0].Start
	}
	return e.entries[higher-1].Epoch, e.entries[higher].Start
}

// at is the epoch of the record at offset, NoLeaderEpoch when it is older than the history.
func (e *epochs) at(offset model.Offset) model.LeaderEpoch {
	epoch := model.NoLeaderEpoch
	for _, x := range e.entries {
		if x.Start > offset {
			break
		}
		epoch = x.Epoch
	}
	return epoch
}

// truncateEnd forgets epochs that begin at or behind end, and reports whether there were any.
func (e *epochs) truncateEnd(end model.Offset) bool {
	n := len(e.entries)
	for n > 0 && e.entries[n-1].Start >= end {
		n--
	}
	changed := n < len(e.entries)
	e.entries = e.entries[:n:n]
	return changed
}

// truncateStart forgets epochs that ended at or before start; the one that holds start now begins there.
func (e *epochs) truncateStart(start model.Offset) bool {
	n := 0
	for n < len(e.entries) && e.entries[n].Start <= start {
		n++
	}
	if n == 0 || (n == 1 && e.entries[0].Start == start) {
		return false
	}
	kept := slices.Clone(e.entries[n-1:])
	kept[0].Start = start
	e.entries = kept
	return true
}
