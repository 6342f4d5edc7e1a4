package batch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/model"
)

// allCodecs is what every test of reading and writing runs over.
var allCodecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

const nowMs = 1_700_000_000_000

// someRecords makes n records with everything that records can have.
func someRecords(rng *rand.Rand, n int) []Record {
	bytesOf := func(most int) []byte {
		switch rng.IntN(6) {
		case 0:
			return nil
		case 1:
			return []byte{}
		case 2:
			return bytes.Repeat([]byte("klamm "), rng.IntN(most)/6+1)
		}
		b := make([]byte, rng.IntN(most)+1)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	recs := make([]Record, n)
	for i := range recs {
		recs[i] = Record{
			Offset: model.Offset(i), Timestamp: nowMs + rng.Int64N(100_000) - 50_000, Key: bytesOf(40), Value: bytesOf(600),
		}
		for range rng.IntN(4) - 1 {
			recs[i].Headers = append(recs[i].Headers, RecordHeader{Key: fmt.Sprintf("h%d", rng.IntN(9)), Value: bytesOf(20)})
		}
	}
	return recs
}

// keyed gives every record a key.
func keyed(recs []Record) []Record {
	for i := range recs {
		recs[i].Key = fmt.Appendf(nil, "key-%d", i)
	}
	return recs
}

// sketch is a batch as franz-go's encoder writes it, with room for what no encoder writes.
type sketch struct {
	records []Record
	codec   Codec
	deltas  func(i int) int32          // nil: 0, 1, ...
	payload func(plain []byte) []byte  // changes the records before compression
	packed  func(packed []byte) []byte // changes them after compression
	header  func(h *kmsg.RecordBatch)  // changes the header before the checksum
	after   func(batch []byte) []byte  // changes the finished batch
}

// theirs compresses with franz-go.
func theirs(t testing.TB, c Codec, plain []byte) []byte {
	t.Helper()
	codecs := map[Codec]kgo.CompressionCodec{
		Gzip: kgo.GzipCompression(), Snappy: kgo.SnappyCompression(), LZ4: kgo.Lz4Compression(), Zstd: kgo.ZstdCompression(),
	}
	if c == None {
		return plain
	}
	z, err := kgo.DefaultCompressor(codecs[c])
	if err != nil {
		t.Fatal(err)
	}
	packed, _ := z.Compress(new(bytes.Buffer), plain)
	return bytes.Clone(packed)
}

func (s sketch) bytes(t testing.TB) []byte {
	t.Helper()
	var plain []byte
	h := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(s.codec), LastOffsetDelta: int32(len(s.records) - 1),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(s.records)), MaxTimestamp: -1,
	}
	for i := range s.records {
		r := &s.records[i]
		if i == 0 {
			h.FirstTimestamp = r.Timestamp
		}
		h.MaxTimestamp = max(h.MaxTimestamp, r.Timestamp)
		k := kmsg.Record{TimestampDelta64: r.Timestamp - h.FirstTimestamp, OffsetDelta: int32(i), Key: r.Key, Value: r.Value}
		if s.deltas != nil {
			k.OffsetDelta = s.deltas(i)
		}
		for _, x := range r.Headers {
			k.Headers = append(k.Headers, kmsg.Header{Key: x.Key, Value: x.Value})
		}
		k.Length = int32(len(k.AppendTo(nil)) - 1) // a length of 0 takes one byte
		plain = k.AppendTo(plain)
	}
	if s.payload != nil {
		plain = s.payload(plain)
	}
	packed := theirs(t, s.codec, plain)
	if s.packed != nil {
		packed = s.packed(packed)
	}
	h.Records, h.Length = packed, int32(len(packed)+minLength)
	if s.header != nil {
		s.header(&h)
	}
	b := h.AppendTo(nil)
	if s.header == nil || h.CRC == 0 {
		setCRC(b)
	}
	if s.after != nil {
		b = s.after(b)
	}
	return b
}

// kgoRecords reads batches or message sets the way franz-go's consumer does.
func kgoRecords(t testing.TB, b []byte) []*kgo.Record {
	t.Helper()
	p := kmsg.NewFetchResponseTopicPartition()
	p.RecordBatches, p.HighWatermark, p.LastStableOffset = b, 1<<60, 1<<60
	got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{KeepControlRecords: true}, &p, kgo.DefaultDecompressor(), nil)
	if got.Err != nil {
		t.Fatalf("franz-go cannot read it: %v", got.Err)
	}
	return got.Records
}

// collect reads a batch with Records, copying what is only lent.
func collect(b []byte, l Limits) ([]Record, error) {
	var recs []Record
	for r, err := range Records(b, l) {
		if err != nil {
			return recs, err
		}
		r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
		var headers []RecordHeader
		for _, h := range r.Headers {
			headers = append(headers, RecordHeader{Key: h.Key, Value: bytes.Clone(h.Value)})
		}
		r.Headers = headers
		recs = append(recs, r)
	}
	return recs, nil
}

func mustCollect(t testing.TB, b []byte) []Record {
	t.Helper()
	recs, err := collect(b, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

// sameRecords compares what was read with what was written; offsets and headers included.
func sameRecords(t testing.TB, got, want []Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		if g, w := fmt.Sprintf("%+q", printable(got[i])), fmt.Sprintf("%+q", printable(want[i])); g != w {
			t.Fatalf("record %d is\n%s, want\n%s", i, g, w)
		}
	}
}

func printable(r Record) []string {
	null := func(b []byte) string {
		if b == nil {
			return "<null>"
		}
		return string(b)
	}
	s := []string{fmt.Sprint(r.Offset), fmt.Sprint(r.Timestamp), null(r.Key), null(r.Value)}
	for _, h := range r.Headers {
		s = append(s, h.Key, null(h.Value))
	}
	return s
}

// legacyMessage writes one message of format v0 or v1.
func legacyMessage(magic int8, offset int64, attributes int8, timestamp int64, key, value []byte) []byte {
	var b []byte
	if magic == 0 {
		m := kmsg.MessageV0{Offset: offset, Attributes: attributes, Key: key, Value: value}
		b = m.AppendTo(nil)
	} else {
		m := kmsg.MessageV1{Offset: offset, Magic: 1, Attributes: attributes, Timestamp: timestamp, Key: key, Value: value}
		b = m.AppendTo(nil)
	}
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-lengthOverhead))
	setLegacyCRC(b)
	return b
}

func setLegacyCRC(b []byte) {
	binary.BigEndian.PutUint32(b[legacyCRCAt:], crc32.ChecksumIEEE(b[legacyMagicAt:]))
}

// plainRules keep what the producer chose and refuse little.
func plainRules() *Rules {
	return &Rules{
		TP: model.TopicPartition{Topic: "t"}, MaxBytes: 1 << 20, NowMs: nowMs, BeforeMaxMs: 1<<63 - 1, AfterMaxMs: 3_600_000,
		Codec: ProducerCodec,
	}
}

func newRand(t testing.TB, seed uint64) *rand.Rand {
	t.Helper()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}
