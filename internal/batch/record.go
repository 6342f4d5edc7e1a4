package batch

import (
	"encoding/binary"
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
// looked at. Keys, values and headers are valid until the next step.
func Records(b []byte, limits Limits) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		one, h, _, err := Next(b)
		if err != nil {
			yield(Record{}, err)
			return
		}
		w := newWorkspace()
		defer w.release()
		if err := w.open(one[HeaderSize:], h.Attributes.Codec(), limits.budget()); err != nil {
			yield(Record{}, err)
			return
		}
		for range h.Count {
			rec, err := w.record(&h)
			if !yield(rec, err) || err != nil {
				return
			}
		}
		if err := w.end(); err != nil {
			yield(Record{}, err)
		}
	}
}

// record reads the next record whole.
func (w *workspace) record(h *Header) (Record, error) {
	length := w.in.varint()
	if length < 0 {
		w.in.fail(corrupt("record of %d bytes", length))
	}
	body := w.in.take(int(length))
	if w.in.failure != nil {
		return Record{}, w.in.failure
	}
	var rec Record
	w.body.fromMemory(body)
	w.body.byte() // attributes, unused so far
	rec.Timestamp = h.BaseTimestamp + w.body.varlong()
	rec.Offset = h.BaseOffset + model.Offset(w.body.varint())
	rec.Key = w.body.nullable()
	rec.Value = w.body.nullable()
	rec.Headers = w.readHeaders()
	if w.body.failure == nil && w.body.pos != len(body) {
		w.body.fail(corrupt("record of %d bytes has %d", length, w.body.pos))
	}
	if h.Attributes.LogAppendTime() {
		rec.Timestamp = h.MaxTimestamp
	}
	return rec, w.body.failure
}

// nullable reads a length and as many bytes; nil for a negative length, as Kafka does.
func (r *reader) nullable() []byte {
	n := r.varint()
	switch {
	case n < 0 || r.failure != nil:
		return nil
	case n == 0:
		return []byte{}
	}
	return r.take(int(n))
}

func (w *workspace) readHeaders() []RecordHeader {
	n := w.body.headerCount()
	if n == 0 {
		return nil
	}
	w.headers = w.headers[:0]
	for range n {
		size := w.body.varint()
		if size < 0 {
			w.body.fail(corrupt("record header with a name of %d bytes", size))
			return nil
		}
		name := string(w.body.take(int(size)))
		w.headers = append(w.headers, RecordHeader{Key: name, Value: w.body.nullable()})
		if w.body.failure != nil {
			return nil
		}
	}
	return w.headers
}

// headerCount reads how many headers follow. Each takes two bytes at least, so a count that cannot be is refused before any work.
func (r *reader) headerCount() int32 {
	n := r.varint()
	if n < 0 || (r.src == nil && int(n) > (len(r.buf)-r.pos)/2) {
		r.fail(corrupt("%d record headers", n))
		return 0
	}
	return n
}

// outline is what checking a record needs of it.
type outline struct {
	timestampDelta int64
	offsetDelta    int32
	hasKey         bool
}

// skim passes over the next record, checking its structure without collecting its bytes.
func (r *reader) skim() outline {
	if o, n := skimInMemory(r.buf[r.pos:]); n > 0 {
		r.pos += n
		return o
	}
	return r.skimStep()
}

// skimInMemory is skim for a record that is fine, all in b, and has no headers. Otherwise n is 0 and skimStep sees to it. This is what
// producing small records costs a broker most, hence the second way to read the same thing.
func skimInMemory(b []byte) (o outline, n int) {
	length, rest := shortUvarint(b)
	end := len(b) - len(rest) + int(length>>1)
	if length&1 != 0 || length == 0 || end > len(b) {
		return o, 0
	}
	rest = b[len(b)-len(rest) : end]
	timestamp, rest := shortUvarint(rest[1:]) // behind the attributes
	offset, rest := shortUvarint(rest)
	o.timestampDelta, o.offsetDelta = int64(timestamp>>1)^-int64(timestamp&1), int32(offset>>1)^-int32(offset&1)
	for field := range 2 {
		var size uint64
		size, rest = shortUvarint(rest)
		if size&1 != 0 {
			continue // null
		}
		if size>>1 > uint64(len(rest)) {
			return o, 0
		}
		rest = rest[size>>1:]
		o.hasKey = o.hasKey || field == 0
	}
	if len(rest) != 1 || rest[0] != 0 { // the number of headers
		return o, 0
	}
	return o, end
}

// shortUvarint cuts a number of at most four bytes off. Longer ones, and the end, leave nothing of b.
func shortUvarint(b []byte) (v uint64, rest []byte) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), b[1:]
	}
	return longUvarint(b)
}

func longUvarint(b []byte) (v uint64, rest []byte) {
	for i, c := range b[:min(len(b), 4)] {
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, b[i+1:]
		}
	}
	return 1, nil
}

// skimStep reads number by number, from wherever the bytes come.
func (r *reader) skimStep() (o outline) {
	length := r.varint()
	if length < 0 {
		r.fail(corrupt("record of %d bytes", length))
		return o
	}
	begin := r.read()
	r.byte()
	o.timestampDelta = r.varlong()
	o.offsetDelta = r.varint()
	o.hasKey = r.skipNullable()
	r.skipNullable()
	for range r.headerCount() {
		size := r.varint()
		if size < 0 {
			r.fail(corrupt("record header with a name of %d bytes", size))
		}
		r.skip(int(max(size, 0)))
		r.skipNullable()
		if r.failure != nil {
			return o
		}
	}
	if got := r.read() - begin; r.failure == nil && got != int64(length) {
		r.fail(corrupt("record of %d bytes has %d", length, got))
	}
	return o
}

func (r *reader) skipNullable() (present bool) {
	n := r.varint()
	if n > 0 {
		r.skip(int(n))
	}
	return n >= 0
}

// appendRecord writes a record with its deltas.
func appendRecord(dst []byte, r *Record, timestampDelta int64, offsetDelta int32) []byte {
	dst = binary.AppendVarint(dst, int64(recordSize(r, timestampDelta, offsetDelta)))
	dst = append(dst, 0)
	dst = binary.AppendVarint(dst, timestampDelta)
	dst = binary.AppendVarint(dst, int64(offsetDelta))
	dst = appendNullable(dst, r.Key)
	dst = appendNullable(dst, r.Value)
	dst = binary.AppendVarint(dst, int64(len(r.Headers)))
	for i := range r.Headers {
		dst = binary.AppendVarint(dst, int64(len(r.Headers[i].Key)))
		dst = append(dst, r.Headers[i].Key...)
		dst = appendNullable(dst, r.Headers[i].Value)
	}
	return dst
}

func appendNullable(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

// recordSize is the length of a record without the length field itself.
func recordSize(r *Record, timestampDelta int64, offsetDelta int32) int {
	n := 1 + varintSize(timestampDelta) + varintSize(int64(offsetDelta)) + nullableSize(r.Key) + nullableSize(r.Value)
	n += varintSize(int64(len(r.Headers)))
	for i := range r.Headers {
		name := len(r.Headers[i].Key)
		n += varintSize(int64(name)) + name + nullableSize(r.Headers[i].Value)
	}
	return n
}

func nullableSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

func varintSize(v int64) int {
	n := 1
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
