package abuse

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// produce sends bytes as the records of one partition and returns the partition's answer.
func (c rawConn) produce(t *testing.T, version int16, topic string, partition int32, records []byte) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	req := produceRequest(version, topic, partition, records)
	resp := c.mustAsk(t, req).(*kmsg.ProduceResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.Fatalf("answer about %+v", resp.Topics)
	}
	return resp.Topics[0].Partitions[0]
}

func produceRequest(version int16, topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, -1, 10_000
	rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, records
	rt.Topic, rt.Partitions = topic, []kmsg.ProduceRequestTopicPartition{rp}
	req.Topics = []kmsg.ProduceRequestTopic{rt}
	return req
}

// rejected is something that must not be appended, and the error it gets. Apache Kafka 4.3.1 gives the same where kafka is nil.
//
// Where Kafka answers UNKNOWN_SERVER_ERROR we do not: it is no verdict, and clients have lost and doubled data over it (correctness P2).
type rejected struct {
	name    string
	version int16 // of Produce; 0 stands for the newest with topic names
	records []byte
	want    *kerr.Error
	kafka   *kerr.Error
}

// expected is the error code that this broker is to give.
func (r *rejected) expected(tg *target) *kerr.Error {
	if tg.node == nil && r.kafka != nil {
		return r.kafka
	}
	return r.want
}

// brokenBatches are batches whose checksum is right unless the checksum is the point.
func brokenBatches() []rejected {
	varint := func(v int64) []byte { return binary.AppendVarint(nil, v) }
	// one is the bytes of a record with this behind its length.
	one := func(rest ...[]byte) []byte {
		body := bytes.Join(rest, nil)
		return append(varint(int64(len(body))), body...)
	}
	attributes := func(a int16) func(*kmsg.RecordBatch) { return func(h *kmsg.RecordBatch) { h.Attributes |= a } }
	zero := varint(0)
	return []rejected{
		{"checksum", 0, goodBatch(2).after(flip(crcAt)).bytes(), kerr.CorruptMessage, nil},
		{"bit in a record", 0, goodBatch(2).after(flip(recordsAt + 8)).bytes(), kerr.CorruptMessage, nil},
		{"bit in the attributes", 0, goodBatch(2).after(flip(22)).bytes(), kerr.CorruptMessage, nil},
		{"count one too many", 0, goodBatch(2).with(func(h *kmsg.RecordBatch) { h.NumRecords++ }).bytes(), kerr.InvalidRecord, nil},
		{"count one too few", 0, goodBatch(2).with(func(h *kmsg.RecordBatch) { h.NumRecords-- }).bytes(), kerr.InvalidRecord, nil},
		{"count and last offset one too many", 0, goodBatch(2).with(func(h *kmsg.RecordBatch) { h.NumRecords++; h.LastOffsetDelta++ }).bytes(), kerr.InvalidRecord, nil},
		{"count and last offset one too few", 0, goodBatch(2).with(func(h *kmsg.RecordBatch) { h.NumRecords--; h.LastOffsetDelta-- }).bytes(), kerr.InvalidRecord, nil},
		{"count of 2^31-1", 0, goodBatch(2).with(func(h *kmsg.RecordBatch) { h.NumRecords = 1<<31 - 1; h.LastOffsetDelta = 1<<31 - 2 }).bytes(), kerr.InvalidRecord, nil},
		{"no records", 0, goodBatch(2).with(func(h *kmsg.RecordBatch) { h.NumRecords = 0; h.LastOffsetDelta = -1 }).body([]byte{}).bytes(), kerr.InvalidRecord, nil},
		{"negative count", 0, goodBatch(2).with(func(h *kmsg.RecordBatch) { h.NumRecords = -1 }).bytes(), kerr.InvalidRecord, nil},
		{"negative last offset", 0, goodBatch(2).with(func(h *kmsg.RecordBatch) { h.LastOffsetDelta = -5 }).bytes(), kerr.InvalidRecord, nil},
		{"first offset not zero", 0, goodBatch(2).with(func(h *kmsg.RecordBatch) { h.FirstOffset = 7 }).bytes(), kerr.InvalidRecord, nil},
		{"gap in the offsets, compressed", 0, gzipped(goodBatch(2).with(func(h *kmsg.RecordBatch) { h.LastOffsetDelta = 2; h.NumRecords = 3 }).record(1, func(r *kmsg.Record) { r.OffsetDelta = 2 })).bytes(), kerr.InvalidRecord, nil},
		{"format 3", 0, goodBatch(2).before(func(b []byte) []byte { b[magicAt] = 3; return b }).bytes(), kerr.CorruptMessage, nil},
		{"format 1 in a batch", 0, goodBatch(2).before(func(b []byte) []byte { b[magicAt] = 1; return b }).bytes(), kerr.InvalidRecord, nil},
		{"messages of format 1", 0, set(message{magic: 1, value: []byte("v"), timestamp: time.Now().UnixMilli()}), kerr.InvalidRecord, nil},
		{"messages of format 0", 0, set(message{value: []byte("v")}), kerr.InvalidRecord, nil},
		{"negative length", 0, goodBatch(2).after(put32(lengthAt, -1)).bytes(), kerr.CorruptMessage, nil},
		{"length of nothing", 0, goodBatch(2).after(put32(lengthAt, 0)).bytes(), kerr.CorruptMessage, nil},
		{"length less than a header", 0, goodBatch(2).after(put32(lengthAt, 30)).bytes(), kerr.CorruptMessage, nil},
		{"length of 2^31-1", 0, goodBatch(2).after(put32(lengthAt, 1<<31-1)).bytes(), kerr.InvalidRecord, kerr.UnknownServerError},
		{"cut off in the records", 0, goodBatch(2).after(cut(3)).bytes(), kerr.InvalidRecord, nil},
		{"cut off in the header", 0, goodBatch(2).bytes()[:40], kerr.InvalidRecord, nil},
		{"cut off in the length", 0, goodBatch(2).bytes()[:10], kerr.InvalidRecord, nil},
		{"too large", 0, goodBatch(1).record(0, func(r *kmsg.Record) { r.Value = make([]byte, 1100*1024) }).bytes(), kerr.MessageTooLarge, nil},
		{"two hours ahead", 0, goodBatch(2).with(func(h *kmsg.RecordBatch) { h.FirstTimestamp += 2 * 3600 * 1000; h.MaxTimestamp = h.FirstTimestamp }).bytes(), kerr.InvalidTimestamp, nil},
		{"one record two hours ahead", 0, goodBatch(2).record(1, func(r *kmsg.Record) { r.TimestampDelta64 = 2 * 3600 * 1000 }).bytes(), kerr.InvalidTimestamp, nil},
		{"control batch", 0, goodBatch(1).with(attributes(32)).bytes(), kerr.InvalidRecord, nil},
		{"transaction of nobody", 0, goodBatch(1).with(attributes(16)).bytes(), kerr.InvalidRecord, kerr.TransactionalIDAuthorizationFailed},
		{"producer without sequence", 0, goodBatch(1).with(func(h *kmsg.RecordBatch) { h.ProducerID = 5; h.ProducerEpoch = 0 }).bytes(), kerr.InvalidRecord, nil},
		{"codec 5", 0, goodBatch(1).with(attributes(5)).bytes(), kerr.UnsupportedCompressionType, kerr.UnknownServerError},
		{"codec 7", 0, goodBatch(1).with(attributes(7)).bytes(), kerr.UnsupportedCompressionType, kerr.UnknownServerError},
		{"gzip that is none", 0, goodBatch(1).with(attributes(1)).body([]byte("this is not gzip at all")).bytes(), kerr.InvalidRecord, kerr.UnknownServerError},
		{"snappy that is none", 0, goodBatch(1).with(attributes(2)).body([]byte("this is not snappy at all")).bytes(), kerr.InvalidRecord, kerr.UnknownServerError},
		{"lz4 that is none", 0, goodBatch(1).with(attributes(3)).body([]byte("this is not lz4 at all")).bytes(), kerr.InvalidRecord, kerr.UnknownServerError},
		{"zstd that is none", 0, goodBatch(1).with(attributes(4)).body([]byte("this is not zstd at all")).bytes(), kerr.InvalidRecord, kerr.UnknownServerError},
		{"gzip cut off", 0, goodBatch(1).with(attributes(1)).body(compress(encodeRecords(goodBatch(1).records))[:20]).bytes(), kerr.InvalidRecord, kerr.UnknownServerError},
		{"zstd before version 7", 6, goodBatch(1).with(attributes(4)).bytes(), kerr.UnsupportedCompressionType, nil},
		{"two batches", 0, append(goodBatch(1).bytes(), goodBatch(1).bytes()...), kerr.InvalidRecord, nil},
		{"empty", 0, []byte{}, kerr.InvalidRecord, nil},
		{"record longer than the batch", 0, goodBatch(1).body(append(varint(1000), 0, 0, 0, 1, 1, 0)).bytes(), kerr.InvalidRecord, nil},
		{"record of negative length", 0, goodBatch(1).body(append(varint(-10), 0, 0, 0, 1, 1, 0)).bytes(), kerr.InvalidRecord, nil},
		{"key longer than the record", 0, goodBatch(1).body(one([]byte{0}, zero, zero, varint(100), []byte("k"), varint(-1), zero)).bytes(), kerr.InvalidRecord, nil},
		{"value longer than the record", 0, goodBatch(1).body(one([]byte{0}, zero, zero, varint(-1), varint(100), []byte("v"), zero)).bytes(), kerr.InvalidRecord, nil},
		{"negative header count", 0, goodBatch(1).body(one([]byte{0}, zero, zero, varint(-1), varint(-1), varint(-1))).bytes(), kerr.InvalidRecord, nil},
		{"more headers than bytes", 0, goodBatch(1).body(one([]byte{0}, zero, zero, varint(-1), varint(-1), varint(1000))).bytes(), kerr.InvalidRecord, nil},
		{"header without key", 0, goodBatch(1).body(one([]byte{0}, zero, zero, varint(-1), varint(-1), varint(1), varint(-1), varint(-1))).bytes(), kerr.InvalidRecord, nil},
		{"bytes behind the headers", 0, goodBatch(1).body(one([]byte{0}, zero, zero, varint(-1), varint(-1), zero, []byte("more"))).bytes(), kerr.InvalidRecord, nil},
		{"bytes behind the records", 0, goodBatch(1).body(append(encodeRecords(goodBatch(1).records), "more"...)).bytes(), kerr.InvalidRecord, nil},
		{"varint without end", 0, goodBatch(1).body(bytes.Repeat([]byte{0xff}, 40)).bytes(), kerr.InvalidRecord, kerr.UnknownServerError},
	}
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// gzipped compresses a batch's records.
func gzipped(b *batch) *batch {
	b.head.Attributes |= 1
	return b.body(compress(encodeRecords(b.records)))
}

// newestByName is the newest Produce that names topics and that Kafka 3.9 has too.
const newestByName = 11

// checkRejected sends what must be rejected, and wants nothing of it to be appended.
func (tg *target) checkRejected(t *testing.T, topic string, rows []rejected) {
	t.Helper()
	c := tg.dial(t)
	first := c.produce(t, newestByName, topic, 0, goodBatch(3).bytes())
	if first.ErrorCode != 0 {
		t.Fatalf("a good batch: %v", kerr.ErrorForCode(first.ErrorCode))
	}
	end := first.BaseOffset + 3
	for _, tc := range rows {
		version := tc.version
		if version == 0 {
			version = newestByName
		}
		r := c.produce(t, version, topic, 0, tc.records)
		if want := tc.expected(tg); r.ErrorCode != want.Code {
			text := ""
			if r.ErrorMessage != nil {
				text = *r.ErrorMessage
			}
			t.Errorf("%s: %v (%s), want %s", tc.name, kerr.ErrorForCode(r.ErrorCode), text, want.Message)
		}
		if r.BaseOffset != -1 {
			t.Errorf("%s: base offset %d of what was refused", tc.name, r.BaseOffset)
		}
		if now := tg.endOffset(t, topic, 0); now != end {
			t.Errorf("%s: the partition ends at %d, want %d", tc.name, now, end)
			end = now
		}
	}
	if r := c.produce(t, newestByName, topic, 0, goodBatch(1).bytes()); r.ErrorCode != 0 || r.BaseOffset != end {
		t.Errorf("a good batch after all this: %+v, want offset %d", r, end)
	}
}

func TestBrokenBatches(t *testing.T) {
	tg := attack(t)
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	tg.checkRejected(t, topic, brokenBatches())
	tg.checkAlive(t)
}

// TestTopicsThatDemandMore has what is only wrong in some topics.
func TestTopicsThatDemandMore(t *testing.T) {
	tg := attack(t)
	for _, tc := range []struct {
		key, value string
		row        rejected
	}{
		{"cleanup.policy", "compact", rejected{"record without key", 0, goodBatch(2).record(1, func(r *kmsg.Record) { r.Key = nil }).bytes(), kerr.InvalidRecord, nil}},
		{"message.timestamp.type", "LogAppendTime", rejected{"append time from a producer", 0, goodBatch(2).with(func(h *kmsg.RecordBatch) { h.Attributes |= 8 }).bytes(), kerr.InvalidTimestamp, nil}},
		{"message.timestamp.before.max.ms", "60000", rejected{"an hour old", 0, goodBatch(2).with(func(h *kmsg.RecordBatch) { h.FirstTimestamp -= 3_600_000 }).bytes(), kerr.InvalidTimestamp, nil}},
		{"max.message.bytes", "1000", rejected{"larger than the topic wants", 0, goodBatch(1).record(0, func(r *kmsg.Record) { r.Value = make([]byte, 1000) }).bytes(), kerr.MessageTooLarge, nil}},
	} {
		topic := fresh(t)
		tg.createTopic(t, topic, 1, map[string]*string{tc.key: &tc.value})
		tg.checkRejected(t, topic, []rejected{tc.row})
	}
}

// TestWhereNothingIs produces to what does not exist.
func TestWhereNothingIs(t *testing.T) {
	tg := attack(t)
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	c := tg.dial(t)
	for _, partition := range []int32{-1, 1, 1 << 30, -1 << 31} {
		if r := c.produce(t, newestByName, topic, partition, goodBatch(1).bytes()); r.ErrorCode != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("partition %d: %v", partition, kerr.ErrorForCode(r.ErrorCode))
		}
	}
	for _, name := range []string{"no-such-topic", "", "..", "a/b", "\xff"} {
		if r := c.produce(t, newestByName, name, 0, goodBatch(1).bytes()); r.ErrorCode == 0 {
			t.Errorf("topic %q took records", name)
		}
	}
	for _, acks := range []int16{2, -2, 100} {
		req := produceRequest(newestByName, topic, 0, goodBatch(1).bytes())
		req.Acks = acks
		if r := c.mustAsk(t, req).(*kmsg.ProduceResponse); r.Topics[0].Partitions[0].ErrorCode != kerr.InvalidRequiredAcks.Code {
			t.Errorf("acks=%d: %+v", acks, r)
		}
	}
	if end := tg.endOffset(t, topic, 0); end != 0 {
		t.Errorf("the partition ends at %d", end)
	}
}
