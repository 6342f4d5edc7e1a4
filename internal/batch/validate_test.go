package batch

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/model"
)

// produceCase is one thing a producer may send. The table is also sent to Apache Kafka, see oracle_test.go.
type produceCase struct {
	name    string
	send    func(t testing.TB) []byte
	version int16             // of the Produce request; 0 stands for 9
	config  map[string]string // of the topic, for Kafka
	rules   func(r *Rules)    // the same for us
	want    model.ErrorCode   // None: accepted
	blamed  []int32           // indexes of failing records
	differs string            // what Kafka answers instead
}

// kafkaFails is what Kafka answers when an exception that no code expects ends its handler. We never do.
const kafkaFails = "UNKNOWN_SERVER_ERROR"

func sketched(s sketch) func(testing.TB) []byte {
	return func(t testing.TB) []byte { return s.bytes(t) }
}

// threeRecords are what most cases begin with. The time is filled in when they are sent: Kafka looks at its clock.
func threeRecords() []Record {
	return []Record{
		{Timestamp: nowMs, Key: []byte("a"), Value: []byte("one")},
		{Timestamp: nowMs + 1, Key: []byte("b"), Value: []byte("two"), Headers: []RecordHeader{{Key: "h", Value: []byte("x")}}},
		{Timestamp: nowMs + 2, Key: []byte("c")},
	}
}

func withKeyless(at int) []Record {
	recs := threeRecords()
	recs[at].Key = nil
	return recs
}

func withTimestamp(at int, ms int64) []Record {
	recs := threeRecords()
	recs[at].Timestamp = ms
	return recs
}

func compacted() map[string]string { return map[string]string{"cleanup.policy": "compact"} }

func produceCases() []produceCase {
	header := func(change func(h *kmsg.RecordBatch)) func(testing.TB) []byte {
		return sketched(sketch{records: threeRecords(), header: change})
	}
	cases := []produceCase{
		{name: "nothing", send: func(testing.TB) []byte { return []byte{} }, want: model.InvalidRecord},
		{name: "eleven bytes", send: func(testing.TB) []byte { return make([]byte, 11) }, want: model.InvalidRecord},
		{name: "length 13", send: func(testing.TB) []byte { return append(make([]byte, 11), 13, 0, 0, 0, 0, 2) }, want: model.CorruptMessage},
		{name: "magic 3", send: sketched(sketch{records: threeRecords(), after: func(b []byte) []byte { b[magicAt] = 3; return b }}),
			want: model.CorruptMessage},
		{name: "magic 1", send: func(testing.TB) []byte { return legacyMessage(1, 0, 0, nowMs, nil, []byte("v")) }, want: model.InvalidRecord},
		{name: "cut off", send: sketched(sketch{records: threeRecords(), after: func(b []byte) []byte { return b[:len(b)-1] }}),
			want: model.InvalidRecord},
		{name: "shorter than its header", send: func(testing.TB) []byte {
			b := make([]byte, 40)
			b[11], b[magicAt] = 28, 2
			return b
		}, want: model.CorruptMessage, differs: kafkaFails},
		{name: "two batches", send: sketched(sketch{records: threeRecords(), after: func(b []byte) []byte { return append(b, b...) }}),
			want: model.InvalidRecord},
		{name: "some bytes behind", send: sketched(sketch{records: threeRecords(), after: func(b []byte) []byte { return append(b, 1, 2, 3) }})},
		{name: "half a batch behind", send: sketched(sketch{records: threeRecords(), after: func(b []byte) []byte { return append(b, b[:70]...) }})},
		{name: "garbage behind", send: sketched(sketch{records: threeRecords(), after: func(b []byte) []byte {
			return append(b, make([]byte, 30)...)
		}}), want: model.CorruptMessage},
		{name: "zstd before version 7", version: 6, send: sketched(sketch{records: threeRecords(), codec: Zstd}),
			want: model.UnsupportedCompressionType},
		{name: "zstd in version 7", version: 7, send: sketched(sketch{records: threeRecords(), codec: Zstd})},
		{name: "base offset", send: header(func(h *kmsg.RecordBatch) { h.FirstOffset = 5 }), want: model.InvalidRecord},
		{name: "too large", send: sketched(sketch{records: []Record{{Timestamp: nowMs, Value: make([]byte, 2000)}}}),
			config: map[string]string{"max.message.bytes": "1000"}, rules: func(r *Rules) { r.MaxBytes = 1000 }, want: model.MessageTooLarge},
		{name: "checksum", send: sketched(sketch{records: threeRecords(), after: func(b []byte) []byte { b[70] ^= 1; return b }}),
			want: model.CorruptMessage},
		{name: "last offset delta negative", send: header(func(h *kmsg.RecordBatch) { h.LastOffsetDelta = -1 }), want: model.InvalidRecord},
		{name: "last offset delta small", send: header(func(h *kmsg.RecordBatch) { h.LastOffsetDelta = 1 }), want: model.InvalidRecord},
		{name: "count zero", send: header(func(h *kmsg.RecordBatch) { h.NumRecords = 0 }), want: model.InvalidRecord},
		{name: "count negative", send: header(func(h *kmsg.RecordBatch) { h.NumRecords = -3 }), want: model.InvalidRecord},
		{name: "count and delta too large", send: header(func(h *kmsg.RecordBatch) { h.NumRecords, h.LastOffsetDelta = 4, 3 }),
			want: model.InvalidRecord},
		{name: "count and delta too small", send: header(func(h *kmsg.RecordBatch) { h.NumRecords, h.LastOffsetDelta = 2, 1 }),
			want: model.InvalidRecord},
		{name: "control batch", send: header(func(h *kmsg.RecordBatch) { h.Attributes = attrControl }), want: model.InvalidRecord},
		{name: "producer without sequence", send: header(func(h *kmsg.RecordBatch) { h.ProducerID, h.ProducerEpoch = 9, 0 }),
			want: model.InvalidRecord},
		{name: "codec 5", send: header(func(h *kmsg.RecordBatch) { h.Attributes = 5 }), want: model.UnsupportedCompressionType,
			differs: kafkaFails},
		{name: "delete horizon", send: header(func(h *kmsg.RecordBatch) { h.Attributes = attrDeleteHoriz }), want: model.InvalidRecord,
			differs: "NONE"}, // and loses track of when tombstones may go
		{name: "unused attributes", send: header(func(h *kmsg.RecordBatch) { h.Attributes = 0x0100 })},
		{name: "log append time from a producer", send: header(func(h *kmsg.RecordBatch) { h.Attributes = attrAppendTime })},
		{name: "log append time twice", send: header(func(h *kmsg.RecordBatch) { h.Attributes = attrAppendTime }),
			config: map[string]string{"message.timestamp.type": "LogAppendTime"}, rules: func(r *Rules) { r.LogAppendTime = true },
			want: model.InvalidTimestamp, blamed: []int32{0, 1, 2}},
		{name: "log append time", send: sketched(sketch{records: threeRecords()}),
			config: map[string]string{"message.timestamp.type": "LogAppendTime"}, rules: func(r *Rules) { r.LogAppendTime = true }},
		{name: "wrong max timestamp", send: header(func(h *kmsg.RecordBatch) { h.MaxTimestamp = 17 })},
		{name: "timestamp in the far future", send: sketched(sketch{records: withTimestamp(1, nowMs+3_700_000)}), want: model.InvalidTimestamp,
			blamed: []int32{1}},
		{name: "timestamp in the near future", send: sketched(sketch{records: withTimestamp(1, nowMs+3_500_000)})},
		{name: "no timestamp", send: sketched(sketch{records: withTimestamp(1, -1)})},
		{name: "negative timestamp", send: sketched(sketch{records: withTimestamp(1, -5)})},
		{name: "timestamp at the end of time", send: sketched(sketch{records: withTimestamp(1, math.MaxInt64)}), want: model.InvalidTimestamp,
			blamed: []int32{1}},
		{name: "timestamp too old", send: sketched(sketch{records: withTimestamp(2, nowMs-70_000)}),
			config: map[string]string{"message.timestamp.before.max.ms": "60000"}, rules: func(r *Rules) { r.BeforeMaxMs = 60000 },
			want: model.InvalidTimestamp, blamed: []int32{2}},
		{name: "key missing", send: sketched(sketch{records: withKeyless(1)}), config: compacted(), rules: func(r *Rules) { r.KeyRequired = true },
			want: model.InvalidRecord, blamed: []int32{1}},
		{name: "recompressed from nothing", send: sketched(sketch{records: threeRecords()}), config: map[string]string{"compression.type": "zstd"},
			rules: func(r *Rules) { r.Codec = Zstd }},
	}
	cases = append(cases, recordCases(None)...)
	for _, c := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		cases = append(cases, recordCases(c)...)
		cases = append(cases, packedCases(c)...)
	}
	return cases
}

// recordCases damage the records before they are compressed.
func recordCases(c Codec) []produceCase {
	named := func(name string, want model.ErrorCode, s sketch) produceCase {
		s.codec = c
		if s.records == nil {
			s.records = threeRecords()
		}
		return produceCase{name: c.String() + ": " + name, send: sketched(s), want: want}
	}
	change := func(at int, to byte) sketch {
		return sketch{payload: func(b []byte) []byte { b[at] = to; return b }}
	}
	differs := func(kafka string, p produceCase) produceCase {
		p.differs = kafka
		return p
	}
	// Kafka skims compressed records without looking at their lengths, so consumers find out.
	lengths, endless, deltas := "NONE", "", kafkaFails
	if c == None {
		lengths, endless, deltas = "", kafkaFails, "NONE"
	}
	// The first record is: length 0, attributes 1, timestamp 2, offset 3, key length 4, key 5, value length 6, value 7-9, headers 10.
	cases := []produceCase{
		named("fine", model.None, sketch{}),
		named("record attributes", model.None, change(1, 0x55)),
		differs(lengths, named("record length too small", model.InvalidRecord, change(0, 18))),
		differs(lengths, named("record length too large", model.InvalidRecord, change(0, 22))),
		differs(lengths, named("record length negative", model.InvalidRecord, change(0, 1))),
		named("key length beyond", model.InvalidRecord, change(4, 126)),
		named("header count negative", model.InvalidRecord, change(10, 1)),
		named("header count beyond", model.InvalidRecord, change(10, 126)),
		named("bytes behind the records", model.InvalidRecord, sketch{payload: func(b []byte) []byte { return append(b, 0) }}),
		named("records cut", model.InvalidRecord, sketch{payload: func(b []byte) []byte { return b[:len(b)-2] }}),
		named("no records", model.InvalidRecord, sketch{payload: func([]byte) []byte { return nil }}),
		differs(endless, named("endless number", model.InvalidRecord, sketch{payload: func([]byte) []byte { return bytes.Repeat([]byte{0xff}, 40) }})),
		differs(deltas, named("offset deltas from 5", model.InvalidRecord, sketch{deltas: func(i int) int32 { return int32(i + 5) }})),
		differs(deltas, named("offset deltas all 0", model.InvalidRecord, sketch{deltas: func(int) int32 { return 0 }})),
	}
	keyless := named("key missing", model.InvalidRecord, sketch{records: withKeyless(2)})
	keyless.config, keyless.rules, keyless.blamed = compacted(), func(r *Rules) { r.KeyRequired = true }, []int32{2}
	uncompressed := named("made uncompressed", model.None, sketch{})
	uncompressed.config, uncompressed.rules = map[string]string{"compression.type": "uncompressed"}, func(r *Rules) { r.Codec = None }
	gz := named("made gzip", model.None, sketch{})
	gz.config, gz.rules = map[string]string{"compression.type": "gzip", "compression.gzip.level": "9"}, func(r *Rules) { r.Codec, r.Level = Gzip, 9 }
	return append(cases, keyless, uncompressed, gz)
}

// packedCases damage the compressed bytes.
func packedCases(c Codec) []produceCase {
	named := func(name string, packed func(b []byte) []byte) produceCase {
		return produceCase{name: c.String() + ": " + name, send: sketched(sketch{records: threeRecords(), codec: c, packed: packed}),
			want: model.InvalidRecord, differs: kafkaFails}
	}
	empty := named("no bytes", func([]byte) []byte { return nil })
	if c == Zstd {
		empty.differs = ""
	}
	return []produceCase{
		empty,
		named("noise", func([]byte) []byte { return []byte("this was never compressed by any codec at all") }),
		named("cut", func(b []byte) []byte { return b[:len(b)/2] }),
		named("first byte", func(b []byte) []byte { b[0] ^= 0x40; return b }),
	}
}

func (c *produceCase) produceVersion() int16 {
	if c.version == 0 {
		return 9
	}
	return c.version
}

func TestValidate(t *testing.T) {
	for _, c := range produceCases() {
		t.Run(c.name, func(t *testing.T) {
			r := plainRules()
			if c.rules != nil {
				c.rules(r)
			}
			sent := c.send(t)
			got, err := Validate(bytes.Clone(sent), c.produceVersion(), r)
			if c.want != model.None {
				wantRefused(t, err, c.want, c.blamed)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkAccepted(t, got, r)
		})
	}
}

func wantRefused(t *testing.T, err error, want model.ErrorCode, blamed []int32) {
	t.Helper()
	var refused *RecordError
	if !errors.As(err, &refused) {
		t.Fatalf("error is %v, want %v", err, want)
	}
	if refused.Code != want || !errors.Is(err, want) {
		t.Fatalf("refused with %v, want %v", err, want)
	}
	var got []int32
	for _, f := range refused.Failures {
		got = append(got, f.Index)
	}
	if len(got) != len(blamed) {
		t.Fatalf("blames %v, want %v (%v)", got, blamed, err)
	}
	for i := range got {
		if got[i] != blamed[i] {
			t.Fatalf("blames %v, want %v", got, blamed)
		}
	}
}

// checkAccepted is what must hold of everything that gets into a log.
func checkAccepted(t testing.TB, got Checked, r *Rules) {
	t.Helper()
	if err := VerifyCRC(got.Records); err != nil {
		t.Fatal(err)
	}
	h, err := ParseHeader(got.Records)
	if err != nil || h != got.Header {
		t.Fatalf("header says %+v, returned was %+v, %v", h, got.Header, err)
	}
	if h.Size() != len(got.Records) || h.LastOffsetDelta+1 != h.Count || h.MaxTimestamp != got.MaxTimestamp {
		t.Fatalf("header %+v of %d bytes, max timestamp %d", h, len(got.Records), got.MaxTimestamp)
	}
	if h.Attributes.LogAppendTime() != r.LogAppendTime || (r.Codec != ProducerCodec && h.Attributes.Codec() != r.Codec) {
		t.Fatalf("attributes %x", h.Attributes)
	}
	recs, err := collect(got.Records, LimitsFor(r.MaxBytes))
	if err != nil || len(recs) != int(h.Count) {
		t.Fatalf("%d of %d records can be read: %v", len(recs), h.Count, err)
	}
	latest := int64(noTimestamp)
	for i, rec := range recs {
		if rec.Offset != h.BaseOffset+model.Offset(i) {
			t.Fatalf("record %d has offset %d", i, rec.Offset)
		}
		latest = max(latest, rec.Timestamp)
	}
	if latest != got.MaxTimestamp {
		t.Fatalf("latest record is of %d, the batch says %d", latest, got.MaxTimestamp)
	}
}

func TestValidateKeepsTheRecords(t *testing.T) {
	rng := newRand(t, 20)
	for _, from := range allCodecs {
		for _, to := range append([]Codec{ProducerCodec}, allCodecs...) {
			want := someRecords(rng, 40)
			sent := sketch{records: want, codec: from, header: func(h *kmsg.RecordBatch) {
				h.ProducerID, h.ProducerEpoch, h.FirstSequence = 77, 2, 1000
			}}.bytes(t)
			before := bytes.Clone(sent)
			r := plainRules()
			r.Codec = to
			got, err := Validate(sent, 9, r)
			if err != nil {
				t.Fatal(err)
			}
			checkAccepted(t, got, r)
			sameRecords(t, mustCollect(t, got.Records), want)
			if h := got.Header; h.ProducerID != 77 || h.ProducerEpoch != 2 || h.BaseSequence != 1000 {
				t.Fatalf("producer became %+v", h)
			}
			if same := &got.Records[0] == &sent[0]; same != (to == ProducerCodec || to == from) {
				t.Fatalf("%v to %v: records are the input's own: %v", from, to, same)
			}
			if !bytes.Equal(sent, before) {
				t.Fatalf("%v to %v: the input changed although its timestamps were right", from, to)
			}
		}
	}
}

func TestValidateCorrectsTimesInPlace(t *testing.T) {
	sent := sketch{records: threeRecords(), header: func(h *kmsg.RecordBatch) { h.MaxTimestamp = 1 }}.bytes(t)
	got, err := Validate(sent, 9, plainRules())
	if err != nil || got.MaxTimestamp != nowMs+2 || &got.Records[0] != &sent[0] {
		t.Fatalf("max timestamp %d, %v", got.MaxTimestamp, err)
	}
	r := plainRules()
	r.LogAppendTime, r.NowMs = true, 99
	got, err = Validate(sent, 9, r)
	if err != nil || got.MaxTimestamp != 99 || !got.Header.Attributes.LogAppendTime() || &got.Records[0] != &sent[0] {
		t.Fatalf("log append time %d, %v", got.MaxTimestamp, err)
	}
	checkAccepted(t, got, r)
}

func TestRecompressedTooLarge(t *testing.T) {
	r := plainRules()
	r.MaxBytes = 1000
	big := []Record{{Timestamp: nowMs, Value: make([]byte, 3000)}}
	for _, to := range []Codec{None} {
		r.Codec = to
		_, err := Validate(sketch{records: big, codec: Zstd}.bytes(t), 9, r)
		wantRefused(t, err, model.MessageTooLarge, nil)
	}
	noise := someRecords(newRand(t, 21), 3)
	for i := range noise {
		noise[i].Value = make([]byte, 330)
		for j := range noise[i].Value {
			noise[i].Value[j] = byte(j * j >> i)
		}
	}
	plain := sketch{records: noise}.bytes(t)
	r.MaxBytes, r.Codec = len(plain), Gzip
	if _, err := Validate(plain, 9, r); err != nil {
		t.Fatal(err)
	}
}

func TestFailuresAreBounded(t *testing.T) {
	recs := make([]Record, 3*maxFailures)
	for i := range recs {
		recs[i].Timestamp = nowMs
	}
	r := plainRules()
	r.KeyRequired = true
	_, err := Validate(sketch{records: recs, codec: Zstd}.bytes(t), 9, r)
	var refused *RecordError
	if !errors.As(err, &refused) || len(refused.Failures) != maxFailures {
		t.Fatalf("%v", err)
	}
	if len(refused.Message) > 1000 {
		t.Fatalf("message of %d bytes", len(refused.Message))
	}
}

// What the topic's partition is called in the message is Kafka's text, which users search for.
func TestMessagesAreKafkas(t *testing.T) {
	r := plainRules()
	r.KeyRequired = true
	_, err := Validate(sketch{records: withKeyless(1)}.bytes(t), 9, r)
	want := "INVALID_RECORD: One or more records have been rejected due to 1 record errors in total, and only showing the first three " +
		"errors at most: [RecordError(batchIndex=1, message='Compacted topic cannot accept message without key in topic partition t-0')]"
	if err == nil || err.Error() != want {
		t.Fatalf("%v", err)
	}
	_, err = Validate(sketch{records: withTimestamp(1, nowMs+4_000_000)}.bytes(t), 9, plainRules())
	var refused *RecordError
	want = "Timestamp 1700004000000 of message with offset 1 is out of range. The timestamp should be within " +
		"[-9223370336854775807, 1700003600000]"
	if !errors.As(err, &refused) || refused.Failures[0].Message != want {
		t.Fatalf("%v %+v", err, refused)
	}
}

func TestOldRequestsMayCarryNewBatches(t *testing.T) {
	b := sketch{records: threeRecords(), codec: LZ4}.bytes(t)
	got, err := Validate(b, 2, plainRules())
	if err != nil {
		t.Fatal(err)
	}
	checkAccepted(t, got, plainRules())
	_, err = Validate(append(b, b...), 2, plainRules())
	wantRefused(t, err, model.InvalidRecord, nil)
}

func TestNullLengthsBelowMinusOne(t *testing.T) {
	// Kafka takes any negative length for null.
	b := sketch{records: []Record{{Timestamp: nowMs}}, payload: func(p []byte) []byte { p[4], p[5] = 9, 7; return p }}.bytes(t)
	if _, err := Validate(b, 9, plainRules()); err != nil {
		t.Fatal(err)
	}
	if r := mustCollect(t, b)[0]; r.Key != nil || r.Value != nil {
		t.Fatalf("%+v", r)
	}
}
