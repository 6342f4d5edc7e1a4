package batch

import (
	"iter"

	"github.com/klamm/klamm/internal/model"
)

// Record is one record. The slices belong to whoever made the record: what Records yields is valid until the next step only.
type Record struct {
	Offset     model.Offset
	Timestamp  int64  // ms, -1 when there is none
	Key, Value []byte // nil is Kafka's null; a null value is a tombstone
	Headers    []RecordHeader
}

// RecordHeader is a name and a value that go with a record (KIP-82). Names may repeat; a value may be nil.
type RecordHeader struct {
	Key   string
	Value []byte
}

// Records yields the records of one whole v2 batch in order, decompressing as it goes. A batch that is damaged (ErrCorrupt) or
// larger than the limits (ErrTooLarge) ends the sequence with an error; the records before it were good. The checksum is not
// looked at. Records, keys and values are valid until the next step.
func Records(b []byte, limits Limits) iter.Seq2[Record, error] { panic("not yet") }
