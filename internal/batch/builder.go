package batch

import "github.com/klamm/klamm/internal/model"

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

// Builder writes a batch.
type Builder struct{}

// NewBuilder begins a batch.
func NewBuilder(o BuildOptions) *Builder { panic("not yet") }

// Add appends a record. Records are numbered from the base offset on whatever their Offset says.
func (b *Builder) Add(r Record) { panic("not yet") }

// Count is the number of records added.
func (b *Builder) Count() int { panic("not yet") }

// Bytes ends the batch and returns it. It is valid until Reset.
func (b *Builder) Bytes() []byte { panic("not yet") }

// Reset begins another batch in the same memory.
func (b *Builder) Reset(o BuildOptions) { panic("not yet") }
