package abuse

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// batch builds record batches that may be wrong in any way.
type batch struct {
	head    kmsg.RecordBatch
	records []kmsg.Record
	// raw stands for the records' bytes when set: compressed, or what is no record at all.
	raw []byte
	// bad makes bytes wrong after length and checksum were right; worse does it before the checksum.
	worse, bad func([]byte) []byte
}

// goodBatch is a batch of n small records of now, without a producer.
func goodBatch(n int) *batch {
	now := time.Now().UnixMilli()
	b := &batch{head: kmsg.RecordBatch{
		Magic: 2, PartitionLeaderEpoch: -1, LastOffsetDelta: int32(n - 1), FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(n),
	}}
	for i := range n {
		b.records = append(b.records, kmsg.Record{OffsetDelta: int32(i), Key: []byte("key"), Value: []byte("value")})
	}
	return b
}

// with changes the header.
func (b *batch) with(change func(*kmsg.RecordBatch)) *batch {
	change(&b.head)
	return b
}

// record changes one record.
func (b *batch) record(i int, change func(*kmsg.Record)) *batch {
	change(&b.records[i])
	return b
}

// body replaces the records' bytes.
func (b *batch) body(raw []byte) *batch {
	b.raw = raw
	return b
}

// before changes the bytes behind the length and ahead of the checksum's making, so that only the checksum is right.
func (b *batch) before(change func([]byte) []byte) *batch {
	b.worse = change
	return b
}

// after changes the finished bytes.
func (b *batch) after(change func([]byte) []byte) *batch {
	b.bad = change
	return b
}

// Places in a batch.
const (
	lengthAt  = 8
	magicAt   = 16
	crcAt     = 17
	summedAt  = 21 // where the checksum begins to count
	recordsAt = 61
)

// encodeRecords writes records with their lengths.
func encodeRecords(records []kmsg.Record) (out []byte) {
	for _, r := range records {
		r.Length = 0
		whole := r.AppendTo(nil)
		n := int64(len(whole) - 1) // the zero length took a byte
		out = append(binary.AppendVarint(out, n), whole[1:]...)
	}
	return out
}

func (b *batch) bytes() []byte {
	h := b.head
	h.Records = b.raw
	if h.Records == nil {
		h.Records = encodeRecords(b.records)
	}
	out := h.AppendTo(nil)
	binary.BigEndian.PutUint32(out[lengthAt:], uint32(len(out)-lengthAt-4))
	if b.worse != nil {
		out = b.worse(out)
	}
	sum(out)
	if b.bad != nil {
		out = b.bad(out)
	}
	return out
}

// sum writes a batch's checksum.
func sum(b []byte) {
	if len(b) >= recordsAt {
		binary.BigEndian.PutUint32(b[crcAt:], crc32.Checksum(b[summedAt:], crc32.MakeTable(crc32.Castagnoli)))
	}
}

// flip turns a bit at i.
func flip(i int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[i] ^= 4
		return b
	}
}

// cut drops n bytes at the end.
func cut(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }

// put32 writes a number at i.
func put32(i int, v int32) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.BigEndian.PutUint32(b[i:], uint32(v))
		return b
	}
}

// message is one message of the formats before batches.
type message struct {
	magic      int8
	attributes int8
	offset     int64
	timestamp  int64
	key, value []byte
}

func (m message) bytes() []byte {
	var out []byte
	if m.magic == 0 {
		v := kmsg.MessageV0{Offset: m.offset, Magic: 0, Attributes: m.attributes, Key: m.key, Value: m.value}
		out = v.AppendTo(nil)
	} else {
		v := kmsg.MessageV1{Offset: m.offset, Magic: m.magic, Attributes: m.attributes, Timestamp: m.timestamp, Key: m.key, Value: m.value}
		out = v.AppendTo(nil)
	}
	binary.BigEndian.PutUint32(out[lengthAt:], uint32(len(out)-lengthAt-4))
	binary.BigEndian.PutUint32(out[12:], ieee(out[magicAt:]))
	return out
}

// ieee is the checksum of messages. Batches have another.
func ieee(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// set puts messages one after another.
func set(messages ...message) []byte {
	var parts [][]byte
	for _, m := range messages {
		parts = append(parts, m.bytes())
	}
	return slices.Concat(parts...)
}
