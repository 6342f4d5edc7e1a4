package batch

import (
	"bytes"
	"errors"
	"testing"

	"github.com/klamm/klamm/internal/model"
)

// fuzzRules is what a fuzzer's byte chooses from.
func fuzzRules(knobs byte) *Rules {
	r := plainRules()
	r.MaxBytes = 1 << 14
	r.KeyRequired = knobs&1 != 0
	r.LogAppendTime = knobs&2 != 0
	r.Codec = Codec(knobs>>2&7) - 1
	if !r.Codec.valid() {
		r.Codec = ProducerCodec
	}
	return r
}

// FuzzValidate: whatever a producer sends is refused with a code, or is a batch that can be read back.
func FuzzValidate(f *testing.F) {
	for i, c := range produceCases() {
		f.Add(c.send(f), byte(i), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, knobs byte, fix bool) {
		if fix && len(data) >= HeaderSize { // or no mutation would pass the checksum
			data = bytes.Clone(data)
			setCRC(data)
		}
		version := int16(9)
		if knobs&0x80 != 0 {
			version = 6
		}
		checkValidated(t, data, version, fuzzRules(knobs))
	})
}

func checkValidated(t *testing.T, data []byte, version int16, r *Rules) {
	got, err := Validate(bytes.Clone(data), version, r)
	var refused *RecordError
	switch {
	case err == nil:
		checkAccepted(t, got, r)
	case !errors.As(err, &refused) || refused.Code == model.None || refused.Message == "":
		t.Fatalf("refused without a code: %v", err)
	}
}

// FuzzMessageSet does the same for requests of old versions.
func FuzzMessageSet(f *testing.F) {
	for magic := int8(0); magic <= 1; magic++ {
		f.Add(legacySet(magic, legacyRecords(magic, 3)), byte(0), false)
		for _, c := range []Codec{Gzip, Snappy, LZ4} {
			f.Add(wrapped(f, magic, c, legacyRecords(magic, 4)), byte(c), false)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, knobs byte, fix bool) {
		if fix {
			data = fixMessages(data)
		}
		checkValidated(t, data, 2, fuzzRules(knobs))
	})
}

// fixMessages makes the checksums of the outer messages right.
func fixMessages(data []byte) []byte {
	data = bytes.Clone(data)
	for rest := data; ; {
		one, err := firstEntry(rest)
		if err != nil || one == nil {
			return data
		}
		if one[magicAt] < currentMagic {
			setLegacyCRC(one)
		}
		rest = rest[len(one):]
	}
}

// FuzzRecords: reading any bytes as a batch ends, within the limits, and a walk with Next agrees with ParseHeader.
func FuzzRecords(f *testing.F) {
	for _, c := range allCodecs {
		f.Add(sketch{records: threeRecords(), codec: c}.bytes(f), byte(c))
		f.Add(sketch{records: threeRecords(), codec: c}.bytes(f)[HeaderSize:], byte(c)|0x80)
	}
	f.Fuzz(func(t *testing.T, data []byte, knobs byte) {
		if knobs&0x80 != 0 { // only a records part: every mutation of it is seen
			h := sketch{records: threeRecords(), codec: None}.bytes(t)[:HeaderSize]
			h[attributesAt+1] = knobs & 7
			data = append(h, data...)
			data[lengthAt], data[lengthAt+1] = 0, byte((len(data)-lengthOverhead)>>16)
			data[lengthAt+2], data[lengthAt+3] = byte((len(data)-lengthOverhead)>>8), byte(len(data)-lengthOverhead)
		}
		const limit = 1 << 20
		size := 0
		recs, err := collect(data, Limits{Decompressed: limit})
		for _, r := range recs {
			size += len(r.Key) + len(r.Value)
		}
		if size > limit {
			t.Fatalf("read %d bytes under a limit of %d", size, limit)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrShort) {
			t.Fatalf("error without a cause: %v", err)
		}
		if err == nil && int32(len(recs)) != mustHeader(t, data).Count {
			t.Fatalf("%d records of %d", len(recs), mustHeader(t, data).Count)
		}
	})
}

func mustHeader(t testing.TB, b []byte) Header {
	t.Helper()
	h, err := ParseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
