package batch

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/klamm/klamm/internal/model"
)

// legacySet writes records as messages of one format, one after another.
func legacySet(magic int8, recs []Record) []byte {
	var b []byte
	for i, r := range recs {
		b = append(b, legacyMessage(magic, int64(i), 0, r.Timestamp, r.Key, r.Value)...)
	}
	return b
}

// wrapped compresses a set into one message.
func wrapped(t testing.TB, magic int8, c Codec, recs []Record) []byte {
	t.Helper()
	packed := theirs(t, c, legacySet(magic, recs))
	if c == LZ4 && magic == 0 {
		packed = bytes.Clone(packed)
		packed[6] = lz4HeaderSum(packed[:6]) // as those clients did
	}
	return legacyMessage(magic, int64(len(recs)-1), int8(c), nowMs, nil, packed)
}

// legacyRecords have what messages can have.
func legacyRecords(magic int8, n int) []Record {
	recs := make([]Record, n)
	for i := range recs {
		recs[i] = Record{Offset: model.Offset(i), Timestamp: nowMs + int64(i), Key: fmt.Appendf(nil, "k%d", i), Value: bytes.Repeat([]byte{'v'}, i)}
		if i%5 == 3 {
			recs[i].Value = nil
		}
		if magic == 0 {
			recs[i].Timestamp = -1
		}
	}
	return recs
}

func TestMessageSetsBecomeBatches(t *testing.T) {
	for magic := int8(0); magic <= 1; magic++ {
		for _, from := range []Codec{None, Gzip, Snappy, LZ4} {
			for _, to := range append([]Codec{ProducerCodec}, allCodecs...) {
				want := legacyRecords(magic, 30)
				set := legacySet(magic, want)
				if from != None {
					set = wrapped(t, magic, from, want)
				}
				r := plainRules()
				r.Codec = to
				got, err := Validate(set, int16(magic)+1, r)
				if err != nil {
					t.Fatalf("v%d %v to %v: %v", magic, from, to, err)
				}
				checkAccepted(t, got, r)
				sameRecords(t, mustCollect(t, got.Records), want)
				if c := got.Header.Attributes.Codec(); to == ProducerCodec && c != from {
					t.Fatalf("v%d %v became %v", magic, from, c)
				}
				if read := kgoRecords(t, got.Records); len(read) != len(want) {
					t.Fatalf("franz-go reads %d of %d", len(read), len(want))
				}
			}
		}
	}
}

func TestMessageSetLogAppendTime(t *testing.T) {
	r := plainRules()
	r.LogAppendTime = true
	got, err := Validate(legacySet(1, legacyRecords(1, 3)), 2, r)
	if err != nil || got.MaxTimestamp != nowMs || !got.Header.Attributes.LogAppendTime() {
		t.Fatalf("%+v, %v", got, err)
	}
	checkAccepted(t, got, r)
}

// legacyCase is a message set that is refused. The table is also sent to Apache Kafka, see oracle_test.go.
type legacyCase struct {
	set     []byte
	config  map[string]string
	rules   func(r *Rules)
	want    model.ErrorCode
	blamed  []int32
	differs string // what Kafka 3.9.1 answers instead of want; 4.x takes no such request
}

func legacyCases(t *testing.T) map[string]legacyCase {
	t.Helper()
	change := func(b []byte, at int, to byte) []byte { b[at] = to; return b }
	fixed := func(b []byte) []byte { // checksum made right again
		setLegacyCRC(b)
		return b
	}
	set := func() []byte { return legacySet(1, legacyRecords(1, 3)) }
	old := legacyRecords(1, 3)
	old[1].Timestamp = nowMs + 4_000_000
	keyless := legacyRecords(1, 3)
	keyless[2].Key = nil
	return map[string]legacyCase{
		"nothing":               {set: nil, want: model.InvalidRecord},
		"checksum":              {set: change(set(), 30, 'x'), want: model.CorruptMessage},
		"key length":            {set: fixed(change(legacyMessage(1, 0, 0, 1, []byte("k"), nil), 29, 200)), want: model.CorruptMessage, differs: kafkaFails},
		"magic 3":               {set: change(set(), magicAt, 3), want: model.CorruptMessage},
		"mixed formats":         {set: append(set(), legacyMessage(0, 0, 0, 0, nil, nil)...), want: model.InvalidRecord},
		"two wrappers":          {set: bytes.Repeat(wrapped(t, 1, Gzip, legacyRecords(1, 2)), 2), want: model.InvalidRecord},
		"zstd":                  {set: legacyMessage(1, 0, int8(Zstd), nowMs, nil, []byte("x")), want: model.InvalidRecord},
		"wrapper without value": {set: legacyMessage(1, 0, int8(Gzip), nowMs, nil, nil), want: model.InvalidRecord},
		"empty wrapper":         {set: legacyMessage(1, 0, int8(Gzip), nowMs, nil, theirs(t, Gzip, nil)), want: model.InvalidRecord},
		"wrapped noise":         {set: legacyMessage(1, 0, int8(Gzip), nowMs, nil, []byte("no gzip")), want: model.InvalidRecord, differs: kafkaFails},
		"wrapper in wrapper": {set: legacyMessage(1, 0, int8(Gzip), nowMs, nil, theirs(t, Gzip, wrapped(t, 1, Gzip, legacyRecords(1, 1)))),
			want: model.InvalidRecord},
		"other format inside": {set: legacyMessage(1, 0, int8(Gzip), nowMs, nil, theirs(t, Gzip, legacySet(0, legacyRecords(0, 1)))),
			want: model.InvalidRecord},
		"wrapper offset": {set: legacyMessage(1, 1, int8(Gzip), nowMs, nil, theirs(t, Gzip, set())), want: model.InvalidRecord},
		"timestamp":      {set: legacySet(1, old), want: model.InvalidTimestamp, blamed: []int32{1}},
		"key missing": {set: legacySet(1, keyless), config: compacted(), rules: func(r *Rules) { r.KeyRequired = true }, want: model.InvalidRecord,
			blamed: []int32{2}},
		"too large":                 {set: set(), config: map[string]string{"max.message.bytes": "30"}, rules: func(r *Rules) { r.MaxBytes = 30 }, want: model.MessageTooLarge},
		"too large as a batch":      {set: set(), config: map[string]string{"max.message.bytes": "60"}, rules: func(r *Rules) { r.MaxBytes = 60 }, want: model.MessageTooLarge},
		"decompresses to too much":  {set: wrapped(t, 1, Gzip, []Record{{Value: make([]byte, 70_000)}}), rules: func(r *Rules) { r.MaxBytes = 1000 }, want: model.MessageTooLarge, differs: "NONE"},
		"batch in the set":          {set: append(set(), sketch{records: threeRecords()}.bytes(t)...), want: model.InvalidRecord},
		"inner message checksum":    {set: legacyMessage(1, 0, int8(Gzip), nowMs, nil, theirs(t, Gzip, change(set(), 30, 'x'))), want: model.CorruptMessage},
		"inner length is too small": {set: legacyMessage(1, 0, int8(Gzip), nowMs, nil, theirs(t, Gzip, change(set(), 11, 3))), want: model.CorruptMessage},
	}
}

func TestMessageSetsRefused(t *testing.T) {
	for name, c := range legacyCases(t) {
		r := plainRules()
		if c.rules != nil {
			c.rules(r)
		}
		_, err := Validate(bytes.Clone(c.set), 2, r)
		t.Run(name, func(t *testing.T) { wantRefused(t, err, c.want, c.blamed) })
	}
}

func TestOldWrapperOffsetZero(t *testing.T) {
	// Some versions of librdkafka leave the wrapper's offset 0.
	set := legacyMessage(1, 0, int8(Gzip), nowMs, nil, theirs(t, Gzip, legacySet(1, legacyRecords(1, 4))))
	got, err := Validate(set, 2, plainRules())
	if err != nil || got.Header.Count != 4 {
		t.Fatalf("%+v, %v", got.Header, err)
	}
}

func TestPartialMessageIsCutOff(t *testing.T) {
	set := legacySet(1, legacyRecords(1, 3))
	got, err := Validate(set[:len(set)-1], 2, plainRules())
	if err != nil || got.Header.Count != 2 {
		t.Fatalf("%+v, %v", got.Header, err)
	}
}
