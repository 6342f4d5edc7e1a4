package batch

import (
	"encoding/binary"
	"math"

	"github.com/klamm/klamm/internal/model"
)

// HeaderSize is the length of a v2 batch without records.
const HeaderSize = 61

// Where the fields of a v2 batch lie. The first two are the same in every format, and so is the place of the magic.
const (
	baseOffsetAt    = 0
	lengthAt        = 8
	leaderEpochAt   = 12
	magicAt         = 16
	crcAt           = 17
	attributesAt    = 21 // the checksum covers everything from here on
	lastDeltaAt     = 23
	baseTimestampAt = 27
	maxTimestampAt  = 35
	producerIDAt    = 43
	producerEpochAt = 51
	baseSequenceAt  = 53
	countAt         = 57
	lengthOverhead  = 12 // the base offset and the length itself are not counted in the length
	minLength       = HeaderSize - lengthOverhead
	currentMagic    = 2
	noTimestamp     = -1
	noSequence      = -1
	sequenceModulus = 1 << 31
	attrCodecMask   = 0x07
	attrAppendTime  = 0x08
	attrTransaction = 0x10
	attrControl     = 0x20
	attrDeleteHoriz = 0x40
)

// Attributes is the batch's set of flags.
type Attributes int16

// Codec is the compression of the records.
func (a Attributes) Codec() Codec { return Codec(a & attrCodecMask) }

// LogAppendTime reports that all records have the broker's time, which is the header's MaxTimestamp.
func (a Attributes) LogAppendTime() bool { return a&attrAppendTime != 0 }

// Transactional reports that the batch belongs to a transaction.
func (a Attributes) Transactional() bool { return a&attrTransaction != 0 }

// Control reports that the batch holds a control record (a transaction marker), which is no data.
func (a Attributes) Control() bool { return a&attrControl != 0 }

// DeleteHorizon reports that the header's BaseTimestamp is the time from which on the tombstones in the batch may go (KIP-534).
// The records' timestamps are relative to it all the same.
func (a Attributes) DeleteHorizon() bool { return a&attrDeleteHoriz != 0 }

// Header is the first 61 bytes of a v2 batch.
type Header struct {
	BaseOffset      model.Offset
	Length          int32 // of what follows this field
	LeaderEpoch     model.LeaderEpoch
	Magic           int8
	CRC             uint32
	Attributes      Attributes
	LastOffsetDelta int32
	BaseTimestamp   int64 // ms; see Attributes.DeleteHorizon
	MaxTimestamp    int64 // ms
	ProducerID      model.ProducerID
	ProducerEpoch   model.ProducerEpoch
	BaseSequence    int32
	Count           int32 // of records, which after compaction is less than LastOffsetDelta+1
}

// ParseHeader reads the header of a v2 batch. It needs HeaderSize bytes (ErrShort) and refuses another magic and fields that no
// batch can have (ErrCorrupt). It does not look at the checksum, nor ask whether all of the batch is there.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, ErrShort
	}
	b = b[:HeaderSize]
	h := Header{
		BaseOffset:      model.Offset(binary.BigEndian.Uint64(b[baseOffsetAt:])),
		Length:          int32(binary.BigEndian.Uint32(b[lengthAt:])),
		LeaderEpoch:     model.LeaderEpoch(binary.BigEndian.Uint32(b[leaderEpochAt:])),
		Magic:           int8(b[magicAt]),
		CRC:             binary.BigEndian.Uint32(b[crcAt:]),
		Attributes:      Attributes(binary.BigEndian.Uint16(b[attributesAt:])),
		LastOffsetDelta: int32(binary.BigEndian.Uint32(b[lastDeltaAt:])),
		BaseTimestamp:   int64(binary.BigEndian.Uint64(b[baseTimestampAt:])),
		MaxTimestamp:    int64(binary.BigEndian.Uint64(b[maxTimestampAt:])),
		ProducerID:      model.ProducerID(binary.BigEndian.Uint64(b[producerIDAt:])),
		ProducerEpoch:   model.ProducerEpoch(binary.BigEndian.Uint16(b[producerEpochAt:])),
		BaseSequence:    int32(binary.BigEndian.Uint32(b[baseSequenceAt:])),
		Count:           int32(binary.BigEndian.Uint32(b[countAt:])),
	}
	switch {
	case h.Magic != currentMagic:
		return h, corrupt("magic %d", h.Magic)
	case h.Length < minLength || h.Length > math.MaxInt32-lengthOverhead:
		return h, corrupt("length %d", h.Length)
	case h.BaseOffset < 0 || h.LastOffsetDelta < 0 || h.BaseOffset > math.MaxInt64-model.Offset(h.LastOffsetDelta)-1:
		return h, corrupt("offsets from %d to %d behind it", h.BaseOffset, h.LastOffsetDelta)
	case h.Count < 0:
		return h, corrupt("%d records", h.Count)
	}
	return h, nil
}

// Size is the length of the whole batch in bytes.
func (h *Header) Size() int { return int(h.Length) + lengthOverhead }

// LastOffset is the offset of the last record the batch was produced with, whether or not compaction has removed it.
func (h *Header) LastOffset() model.Offset { return h.BaseOffset + model.Offset(h.LastOffsetDelta) }

// NextOffset is the offset behind the batch.
func (h *Header) NextOffset() model.Offset { return h.LastOffset() + 1 }

// LastSequence is the producer's sequence of the last record, -1 without a sequence. Sequences begin again at 0 after 2^31-1.
func (h *Header) LastSequence() int32 {
	if h.BaseSequence < 0 {
		return noSequence
	}
	return int32((int64(h.BaseSequence) + int64(h.LastOffsetDelta)) % sequenceModulus)
}
