package batch

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/model"
)

func TestWhatWeBuildFranzReads(t *testing.T) {
	rng := newRand(t, 1)
	for _, codec := range allCodecs {
		for _, n := range []int{1, 2, 17, 900} {
			want := someRecords(rng, n)
			o := PlainBatch()
			o.Codec = codec
			b := NewBuilder(o)
			for _, r := range want {
				b.Add(r)
			}
			out := b.Bytes()
			if err := VerifyCRC(out); err != nil {
				t.Fatal(err)
			}
			sameRecords(t, mustCollect(t, out), want)
			got := kgoRecords(t, out)
			for i, k := range got {
				sameRecords(t, []Record{fromKgo(k)}, want[i:i+1])
			}
			if len(got) != n {
				t.Fatalf("%v: franz-go reads %d of %d records", codec, len(got), n)
			}
		}
	}
}

func fromKgo(k *kgo.Record) Record {
	r := Record{Offset: model.Offset(k.Offset), Timestamp: k.Timestamp.UnixMilli(), Key: k.Key, Value: k.Value}
	for _, h := range k.Headers {
		r.Headers = append(r.Headers, RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r
}

func TestWhatFranzBuildsWeRead(t *testing.T) {
	rng := newRand(t, 2)
	for _, codec := range allCodecs {
		for _, n := range []int{1, 3, 500} {
			want := someRecords(rng, n)
			b := sketch{records: want, codec: codec}.bytes(t)
			sameRecords(t, mustCollect(t, b), want)
			h, err := ParseHeader(b)
			if err != nil || h.Count != int32(n) || h.Attributes.Codec() != codec || h.Size() != len(b) {
				t.Fatalf("header %+v, %v", h, err)
			}
		}
	}
}

func TestUncompressedBytesAreFranzs(t *testing.T) {
	want := someRecords(newRand(t, 3), 50)
	b := NewBuilder(PlainBatch())
	for _, r := range want {
		b.Add(r)
	}
	if s := (sketch{records: want}).bytes(t); !bytes.Equal(b.Bytes(), s) {
		t.Fatalf("we write\n%x, franz-go\n%x", b.Bytes(), s)
	}
}

func TestBuilderHeader(t *testing.T) {
	o := BuildOptions{
		BaseOffset: 100, LeaderEpoch: 7, Codec: Zstd, ProducerID: 4711, ProducerEpoch: 3, BaseSequence: 2147483646,
		Transactional: true, Control: true, LogAppendTime: true,
	}
	b := NewBuilder(o)
	if b.Bytes() != nil {
		t.Fatal("a batch without records")
	}
	for i := range 3 {
		b.Add(Record{Timestamp: int64(50 - i), Value: []byte{1}})
	}
	h, err := ParseHeader(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := Header{
		BaseOffset: 100, Length: h.Length, LeaderEpoch: 7, Magic: 2, CRC: h.CRC, Attributes: 4 | attrAppendTime | attrTransaction | attrControl,
		LastOffsetDelta: 2, BaseTimestamp: 50, MaxTimestamp: 50, ProducerID: 4711, ProducerEpoch: 3, BaseSequence: 2147483646, Count: 3,
	}
	if h != want {
		t.Fatalf("header is\n%+v, want\n%+v", h, want)
	}
	if h.LastOffset() != 102 || h.NextOffset() != 103 || h.LastSequence() != 0 || h.Size() != len(b.Bytes()) {
		t.Fatalf("last offset %d, next %d, last sequence %d, size %d", h.LastOffset(), h.NextOffset(), h.LastSequence(), h.Size())
	}
	for _, r := range mustCollect(t, b.Bytes()) {
		if r.Timestamp != 50 {
			t.Fatalf("timestamp %d under log append time", r.Timestamp)
		}
	}
}

func TestBuilderIsReusable(t *testing.T) {
	rng := newRand(t, 4)
	b := NewBuilder(PlainBatch())
	for i := range 60 {
		o := PlainBatch()
		o.Codec = allCodecs[i%len(allCodecs)]
		o.Level = i % 3
		b.Reset(o)
		want := someRecords(rng, 1+rng.IntN(30))
		for _, r := range want {
			b.Add(r)
		}
		sameRecords(t, mustCollect(t, b.Bytes()), want)
	}
}

func TestLevels(t *testing.T) {
	want := someRecords(newRand(t, 5), 100)
	for codec, levels := range map[Codec][]int{Gzip: {-1, 1, 9}, LZ4: {1, 9, 12, 17}, Zstd: {-5, 1, 3, 22}, Snappy: {DefaultLevel}} {
		for _, level := range levels {
			o := PlainBatch()
			o.Codec, o.Level = codec, level
			b := NewBuilder(o)
			for _, r := range want {
				b.Add(r)
			}
			sameRecords(t, mustCollect(t, b.Bytes()), want)
			if got := kgoRecords(t, b.Bytes()); len(got) != len(want) {
				t.Fatalf("%v level %d: franz-go reads %d records", codec, level, len(got))
			}
		}
	}
}

func TestNext(t *testing.T) {
	one := sketch{records: someRecords(newRand(t, 6), 3)}.bytes(t)
	two := sketch{records: someRecords(newRand(t, 7), 1), codec: LZ4}.bytes(t)
	all := append(bytes.Clone(one), two...)
	first, _, rest, err := Next(all)
	if err != nil || !bytes.Equal(first, one) || !bytes.Equal(rest, two) {
		t.Fatalf("first of two: %v", err)
	}
	if cap(first) != len(first) {
		t.Fatal("appending to a batch would write over the next")
	}
	for cut := range two {
		if _, _, _, err := Next(two[:cut]); !errors.Is(err, ErrShort) {
			t.Fatalf("batch cut at %d of %d: %v", cut, len(two), err)
		}
	}
}

func TestParseHeaderRefuses(t *testing.T) {
	good := sketch{records: someRecords(newRand(t, 8), 1)}.bytes(t)
	for name, damage := range map[string]func(b []byte){
		"magic 1":               func(b []byte) { b[magicAt] = 1 },
		"magic -1":              func(b []byte) { b[magicAt] = 255 },
		"length 48":             func(b []byte) { copy(b[lengthAt:], []byte{0, 0, 0, 48}) },
		"length negative":       func(b []byte) { b[lengthAt] = 0x80 },
		"length overflows size": func(b []byte) { copy(b[lengthAt:], []byte{0x7f, 255, 255, 255}) },
		"offset negative":       func(b []byte) { b[0] = 0x80 },
		"offset overflows":      func(b []byte) { copy(b, []byte{0x7f, 255, 255, 255, 255, 255, 255, 255}) },
		"delta negative":        func(b []byte) { b[lastDeltaAt] = 0x80 },
		"count negative":        func(b []byte) { b[countAt] = 0x80 },
	} {
		b := bytes.Clone(good)
		damage(b)
		if _, err := ParseHeader(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSetOffsetAndLogAppendTime(t *testing.T) {
	b := sketch{records: someRecords(newRand(t, 9), 4)}.bytes(t)
	SetOffset(b, 1<<40, 9)
	if err := VerifyCRC(b); err != nil {
		t.Fatalf("offsets are not under the checksum: %v", err)
	}
	SetLogAppendTime(b, 12345)
	if err := VerifyCRC(b); err != nil {
		t.Fatal(err)
	}
	for i, r := range mustCollect(t, b) {
		if r.Timestamp != 12345 || r.Offset != 1<<40+model.Offset(i) {
			t.Fatalf("record %d at %d, time %d", i, r.Offset, r.Timestamp)
		}
	}
	b[len(b)-1] ^= 1
	if err := VerifyCRC(b); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("flipped bit: %v", err)
	}
}

// Every byte of the records part cut off or changed must end in an error or in records, never in a panic or a hang.
func TestDamagedRecords(t *testing.T) {
	rng := newRand(t, 10)
	for _, codec := range allCodecs {
		good := sketch{records: someRecords(rng, 12), codec: codec}.bytes(t)
		for at := HeaderSize; at < len(good); at++ {
			b := bytes.Clone(good)
			b[at] ^= byte(1 + rng.IntN(255))
			_, _ = collect(b, Limits{Decompressed: 1 << 20})
			short := bytes.Clone(good[:at])
			short[lengthAt+2], short[lengthAt+3] = byte((at-12)>>8), byte(at-12)
			if codec == LZ4 && at >= len(good)-4 {
				continue // only the content's checksum is missing, which Kafka does not read either
			}
			if _, err := collect(short, Limits{}); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%v cut at %d of %d: %v", codec, at, len(good), err)
			}
		}
	}
}

func TestRecordsEndsEarly(t *testing.T) {
	b := sketch{records: someRecords(newRand(t, 11), 9), codec: Gzip}.bytes(t)
	n := 0
	for range Records(b, Limits{}) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Fatalf("%d steps", n)
	}
}

func TestRecordLargerThanTheWindow(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 3*windowSize/16)
	for _, codec := range allCodecs {
		want := []Record{{Value: big, Timestamp: nowMs}, {Offset: 1, Key: big[:windowSize+1], Timestamp: nowMs}, {Offset: 2, Timestamp: nowMs}}
		b := sketch{records: want, codec: codec}.bytes(t)
		sameRecords(t, mustCollect(t, b), want)
		r := plainRules()
		if _, err := Validate(b, 9, r); err != nil {
			t.Fatalf("%v: %v", codec, err)
		}
	}
}

func TestCodecNames(t *testing.T) {
	for _, c := range append([]Codec{ProducerCodec}, allCodecs...) {
		if got, ok := CodecByName(c.String()); !ok || got != c {
			t.Errorf("%v is read back as %v", c, got)
		}
	}
	if _, ok := CodecByName("brotli"); ok || Codec(7).String() != "unknown" {
		t.Error("brotli has a codec")
	}
}

func ExampleRecords() {
	b := NewBuilder(PlainBatch())
	b.Add(Record{Key: []byte("k"), Value: []byte("v")})
	for r, err := range Records(b.Bytes(), Limits{}) {
		fmt.Println(r.Offset, string(r.Key), string(r.Value), err)
	}
	// Output: 0 k v <nil>
}
