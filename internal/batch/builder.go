package batch

import (
	"encoding/binary"

	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/model"
)

// BuildOptions is what a batch says about itself. The zero value is a plain, uncompressed batch at offset 0 except for the producer,
// whose fields must be NoProducerID, NoProducerEpoch and -1 when there is none: PlainBatch gives those.
type BuildOptions struct {
	BaseOffset    model.Offset
	LeaderEpoch   model.LeaderEpoch
	Codec         Codec
	Level         int // DefaultLevel, or as in compression.{gzip,lz4,zstd}.level
	ProducerID    model.ProducerID
	ProducerEpoch model.ProducerEpoch
	BaseSequence  int32
	Transactional bool
	Control       bool
	LogAppendTime bool // the records' largest timestamp becomes that of all
}

// PlainBatch is a batch of no producer, at offset 0.
func PlainBatch() BuildOptions {
	return BuildOptions{
		LeaderEpoch: model.NoLeaderEpoch, ProducerID: model.NoProducerID, ProducerEpoch: model.NoProducerEpoch, BaseSequence: noSequence,
	}
}

func (o *BuildOptions) attributes() Attributes {
	a := Attributes(o.Codec)
	if o.LogAppendTime {
		a |= attrAppendTime
	}
	if o.Transactional {
		a |= attrTransaction
	}
	if o.Control {
		a |= attrControl
	}
	return a
}

// Builder writes a batch, compressing as records come.
type Builder struct {
	o        BuildOptions
	out      []byte // room for the header, then the records as far as they are encoded
	raw      int    // bytes of records before compression
	scratch  []byte // one record on its way to the encoder
	enc      encoder
	encCodec Codec // what enc was made for
	encLevel int

	count         int32
	lastDelta     int32
	baseTime      int64
	maxTime       int64
	fixedBase     bool // baseTime was set before the first record
	done          bool
	deleteHorizon bool
}

// NewBuilder begins a batch.
func NewBuilder(o BuildOptions) *Builder {
	b := &Builder{}
	b.Reset(o)
	return b
}

// Reset begins another batch in the same memory: what Bytes returned is no longer valid.
func (b *Builder) Reset(o BuildOptions) {
	invariant.Check(o.Codec.valid(), "batch built with codec %d", o.Codec)
	b.o = o
	b.out = append(b.out[:0], make([]byte, HeaderSize)...)
	b.raw, b.count, b.lastDelta = 0, 0, -1
	b.baseTime, b.maxTime, b.fixedBase = noTimestamp, noTimestamp, false
	b.done, b.deleteHorizon = false, false
	if o.Codec == None {
		return
	}
	if b.enc == nil || b.encCodec != o.Codec || b.encLevel != o.Level {
		enc, err := newEncoder(o.Codec, o.Level)
		invariant.Check(err == nil, "no %v encoder of level %d: %v", o.Codec, o.Level, err)
		b.enc, b.encCodec, b.encLevel = enc, o.Codec, o.Level
	}
	b.enc.reset(b.out)
	b.out = nil
}

// Add appends a record. It gets the offset behind the last one, whatever its own says.
func (b *Builder) Add(r Record) {
	b.add(&r, b.lastDelta+1)
}

func (b *Builder) add(r *Record, delta int32) {
	invariant.Check(!b.done, "record added to a finished batch")
	if b.count == 0 && !b.fixedBase {
		b.baseTime = r.Timestamp
	}
	b.maxTime = max(b.maxTime, r.Timestamp)
	b.count++
	b.lastDelta = delta
	if b.o.Codec == None {
		b.out = appendRecord(b.out, r, r.Timestamp-b.baseTime, delta)
		b.raw = len(b.out) - HeaderSize
		return
	}
	b.scratch = appendRecord(b.scratch[:0], r, r.Timestamp-b.baseTime, delta)
	b.raw += len(b.scratch)
	err := b.enc.write(b.scratch)
	invariant.Check(err == nil, "%v encoder: %v", b.o.Codec, err) // it writes to memory
}

// Count is the number of records added.
func (b *Builder) Count() int { return int(b.count) }

// Size is the length the batch would have now without compression.
func (b *Builder) Size() int { return HeaderSize + b.raw }

// Bytes ends the batch and returns it, nil if it has no records. It is valid until Reset.
func (b *Builder) Bytes() []byte {
	if b.count == 0 {
		return nil
	}
	return b.finish()
}

// finish writes the header.
func (b *Builder) finish() []byte {
	if b.done {
		return b.out
	}
	b.done = true
	if b.o.Codec != None {
		out, err := b.enc.close()
		invariant.Check(err == nil, "%v encoder: %v", b.o.Codec, err)
		b.out = out
	}
	a := b.o.attributes()
	if b.deleteHorizon {
		a |= attrDeleteHoriz
	}
	h := b.out[:HeaderSize]
	SetOffset(h, b.o.BaseOffset, b.o.LeaderEpoch)
	binary.BigEndian.PutUint32(h[lengthAt:], uint32(len(b.out)-lengthOverhead))
	h[magicAt] = currentMagic
	binary.BigEndian.PutUint16(h[attributesAt:], uint16(a))
	binary.BigEndian.PutUint32(h[lastDeltaAt:], uint32(b.lastDelta))
	binary.BigEndian.PutUint64(h[baseTimestampAt:], uint64(b.baseTime))
	binary.BigEndian.PutUint64(h[maxTimestampAt:], uint64(b.maxTime))
	binary.BigEndian.PutUint64(h[producerIDAt:], uint64(b.o.ProducerID))
	binary.BigEndian.PutUint16(h[producerEpochAt:], uint16(b.o.ProducerEpoch))
	binary.BigEndian.PutUint32(h[baseSequenceAt:], uint32(b.o.BaseSequence))
	binary.BigEndian.PutUint32(h[countAt:], uint32(b.count))
	setCRC(b.out)
	return b.out
}
