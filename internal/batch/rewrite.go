package batch

import (
	"slices"

	"github.com/klamm/klamm/internal/invariant"
)

// Rewrite appends to dst what is left of the batch one when only the records that keep names by index stay: what compaction does. Offsets,
// producer, epoch, codec and the range of offsets stay, so that sequences can still be checked; without a record left it is a header
// alone. A deleteHorizonMs other than NoDeleteHorizon becomes the batch's horizon (KIP-534), an earlier one stays.
func (b *Builder) Rewrite(dst, one []byte, deleteHorizonMs int64, keep func(index int) bool) ([]byte, error) {
	h, err := ParseHeader(one)
	if err != nil {
		return dst, err
	}
	o := BuildOptions{
		BaseOffset: h.BaseOffset, LeaderEpoch: h.LeaderEpoch, Codec: h.Attributes.Codec(), ProducerID: h.ProducerID,
		ProducerEpoch: h.ProducerEpoch, BaseSequence: h.BaseSequence, Transactional: h.Attributes.Transactional(),
		Control: h.Attributes.Control(), LogAppendTime: h.Attributes.LogAppendTime(),
	}
	if !o.Codec.valid() {
		return dst, corrupt("compression codec %d", o.Codec)
	}
	b.Reset(o)
	switch {
	case h.Attributes.DeleteHorizon():
		b.setHorizon(h.BaseTimestamp)
	case deleteHorizonMs != NoDeleteHorizon:
		b.setHorizon(deleteHorizonMs)
	}
	i := 0
	for rec, err := range Records(one, Limits{}) {
		if err != nil {
			return dst, err
		}
		if keep(i) {
			b.add(&rec, int32(rec.Offset-h.BaseOffset))
		}
		i++
	}
	if b.count == 0 {
		b.o.Codec = None
		b.Reset(b.o)
	}
	b.lastDelta = h.LastOffsetDelta
	if b.count == 0 || o.LogAppendTime {
		b.maxTime = h.MaxTimestamp
	}
	out := b.finish()
	invariant.Check(len(dst) == 0 || &dst[0] != &out[0], "a batch rewritten onto itself")
	return append(slices.Grow(dst, len(out)), out...), nil
}

// NoDeleteHorizon leaves a batch without a time to drop its tombstones.
const NoDeleteHorizon = noTimestamp

// setHorizon makes the base timestamp the delete horizon. It must come before the first record: timestamps are relative to it.
func (b *Builder) setHorizon(ms int64) {
	b.baseTime, b.fixedBase, b.deleteHorizon = ms, true, true
}

// DeleteHorizonMs is the time from which on the batch's tombstones may go, NoDeleteHorizon when the cleaner has not set one.
func (h *Header) DeleteHorizonMs() int64 {
	if !h.Attributes.DeleteHorizon() {
		return NoDeleteHorizon
	}
	return h.BaseTimestamp
}

// ControlType is what a control record's key says it is: abort or commit of a transaction.
type ControlType int16

// The types of control records (KIP-98).
const (
	ControlAbort  ControlType = 0
	ControlCommit ControlType = 1
)

// ParseControlKey reads the key of a control record: a version and a type, 16 bits each.
func ParseControlKey(key []byte) (ControlType, error) {
	if len(key) < 4 {
		return 0, corrupt("control record with a key of %d bytes", len(key))
	}
	return ControlType(int16(key[2])<<8 | int16(key[3])), nil
}
