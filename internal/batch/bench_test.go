package batch

import (
	"bytes"
	"fmt"
	"testing"
)

// benchBatch is about 64 KiB of records of one size, as a producer sends it.
func benchBatch(b *testing.B, codec Codec, recordSize int) []byte {
	b.Helper()
	value := bytes.Repeat([]byte(`{"id":12345,"name":"klamm","state":"SHIPPED","at":"2026-11-24T11:02:00Z"} `), recordSize/74+1)[:recordSize]
	recs := make([]Record, 65536/recordSize)
	for i := range recs {
		recs[i] = Record{Timestamp: nowMs + int64(i), Key: fmt.Appendf(nil, "key-%06d", i*7919), Value: value}
	}
	return sketch{records: recs, codec: codec}.bytes(b)
}

func BenchmarkValidate(b *testing.B) {
	for _, codec := range allCodecs {
		for _, size := range []int{100, 1024, 16384} {
			b.Run(fmt.Sprintf("%v/%d", codec, size), func(b *testing.B) {
				batch := benchBatch(b, codec, size)
				r := plainRules()
				b.SetBytes(65536)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Validate(batch, 9, r); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkRecompress(b *testing.B) {
	for _, to := range []Codec{None, Snappy, LZ4, Zstd, Gzip} {
		b.Run(fmt.Sprintf("zstd to %v", to), func(b *testing.B) {
			batch := benchBatch(b, Zstd, 1024)
			if to == Zstd {
				batch = benchBatch(b, None, 1024)
			}
			r := plainRules()
			r.Codec = to
			b.SetBytes(65536)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Validate(batch, 9, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRecords(b *testing.B) {
	for _, codec := range allCodecs {
		b.Run(codec.String(), func(b *testing.B) {
			batch := benchBatch(b, codec, 1024)
			b.SetBytes(65536)
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range Records(batch, Limits{}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkParseHeader(b *testing.B) {
	batch := benchBatch(b, None, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseHeader(batch); err != nil {
			b.Fatal(err)
		}
	}
}

// The produce path may not allocate, whatever the codec.
func TestValidateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("counts allocations")
	}
	for _, codec := range allCodecs {
		batch := sketch{records: keyed(someRecords(newRand(t, 30), 40)), codec: codec}.bytes(t)
		r := plainRules()
		got := testing.AllocsPerRun(200, func() {
			if _, err := Validate(batch, 9, r); err != nil {
				t.Fatal(err)
			}
		})
		if got >= 1 {
			t.Errorf("%v: %v allocations", codec, got)
		}
	}
}
