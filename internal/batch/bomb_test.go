package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/klamm/klamm/internal/model"
)

// bomb is a batch of one record whose records part decompresses to exactly size bytes.
func bomb(t testing.TB, codec Codec, size int) []byte {
	t.Helper()
	overhead := len(appendRecord(nil, &Record{Key: []byte("k"), Value: make([]byte, size)}, 0, 0)) - size
	o := PlainBatch()
	o.Codec = codec
	b := NewBuilder(o)
	b.Add(Record{Key: []byte("k"), Value: make([]byte, size-overhead), Timestamp: nowMs})
	if b.raw != size {
		t.Fatalf("records part has %d bytes, want %d", b.raw, size)
	}
	return b.Bytes()
}

// The limit of a topic is 64 times max.message.bytes. Every codec is let pass at the limit and stopped one byte behind it.
func TestDecompressionLimit(t *testing.T) {
	const maxBytes = 100_000
	const limit = maxBytes * decompressedPerByte
	for _, codec := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		r := plainRules()
		// Snappy and lz4 do not reach 64:1 of their own size, so the size of what arrives is not what is tested here.
		at, over := bomb(t, codec, limit), bomb(t, codec, limit+1)
		r.MaxBytes = maxBytes
		check := func(b []byte) error {
			h, err := ParseHeader(b)
			if err == nil {
				_, err = checkRecords(b, h, r)
			}
			return err
		}
		if err := check(at); err != nil {
			t.Errorf("%v at the limit: %v", codec, err)
		}
		wantRefused(t, check(over), model.MessageTooLarge, nil)
		if _, err := collect(at, Limits{Decompressed: limit}); err != nil {
			t.Errorf("%v read at the limit: %v", codec, err)
		}
		if _, err := collect(over, Limits{Decompressed: limit}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v read behind the limit: %v", codec, err)
		}
	}
}

// However large max.message.bytes is, no batch gets more than 256 MiB.
func TestDecompressionLimitIsAbsolute(t *testing.T) {
	r := plainRules()
	r.MaxBytes = 1 << 30
	if _, err := Validate(bomb(t, Zstd, MaxDecompressed), 9, r); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	_, err := Validate(bomb(t, Zstd, MaxDecompressed+1), 9, r)
	wantRefused(t, err, model.MessageTooLarge, nil)
}

// A bomb must be stopped without the memory it would fill.
func TestBombsCostLittleMemory(t *testing.T) {
	for _, codec := range []Codec{Gzip, Zstd} {
		b := bomb(t, codec, 80<<20)
		if len(b) > 1<<20 {
			t.Fatalf("%v bomb of %d bytes", codec, len(b))
		}
		r := plainRules()
		grown := allocated(func() {
			_, err := Validate(b, 9, r)
			wantRefused(t, err, model.MessageTooLarge, nil)
		})
		if grown > 12<<20 {
			t.Errorf("%v: refusing it allocated %d bytes", codec, grown)
		}
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What a header claims must not be allocated before the bytes are there.
func TestClaimsCostLittleMemory(t *testing.T) {
	snappy := binary.AppendUvarint(nil, 200<<20) // length of the block
	snappy = append(snappy, 0, 'x')
	lz4 := append(appendLZ4Header(nil), 1, 0, 0, 0, 0xff)
	lz4[5] = 7 << 4 // blocks of 4 MiB
	lz4[6] = lz4HeaderSum(lz4[4:6])
	longRecord := binary.AppendVarint(nil, 80<<20)
	for name, c := range map[string]struct {
		codec Codec
		data  []byte
	}{
		"snappy block": {Snappy, snappy},
		"lz4 block":    {LZ4, lz4},
		"zstd content": {Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x0c, 1, 0, 0}},
		"zstd window":  {Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 1, 0, 0}},
		"record":       {Gzip, theirs(t, Gzip, longRecord)},
	} {
		w := newWorkspace()
		var err error
		grown := allocated(func() {
			if err = w.open(c.data, c.codec, MaxDecompressed); err == nil {
				h := Header{Count: 1}
				_, err = w.record(&h)
			}
		})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if grown > 13<<20 {
			t.Errorf("%s: allocated %d bytes before failing with %v", name, grown, err)
		}
		w.release()
	}
}

// Level 22 of zstd declares a window of 128 MiB, which Java's producers write and Kafka reads.
func TestZstdWithLargeWindow(t *testing.T) {
	want := []Record{{Timestamp: nowMs, Key: []byte("k"), Value: bytes.Repeat([]byte("large window "), 100_000)}}
	pack := func(window int) []byte {
		return sketch{records: want, codec: Zstd, packed: func(b []byte) []byte {
			plain := appendRecord(nil, &want[0], 0, 0)
			var out bytes.Buffer
			enc, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(false))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := enc.Write(plain[:10]); err != nil {
				t.Fatal(err)
			}
			if err := enc.Flush(); err != nil { // or it would see the whole and declare less
				t.Fatal(err)
			}
			if _, err := enc.Write(plain[10:]); err != nil {
				t.Fatal(err)
			}
			if err := enc.Close(); err != nil {
				t.Fatal(err)
			}
			return out.Bytes()
		}}.bytes(t)
	}
	for _, window := range []int{1 << 20, 8 << 20, 16 << 20, 128 << 20} {
		b := pack(window)
		var h zstd.Header
		if err := h.Decode(b[HeaderSize:]); err != nil || h.WindowSize != uint64(window) {
			t.Fatalf("the test's frame has a window of %d, not %d: %v", h.WindowSize, window, err)
		}
		sameRecords(t, mustCollect(t, b), want)
		if _, err := Validate(b, 9, plainRules()); err != nil {
			t.Errorf("window %d: %v", window, err)
		}
	}
	_, err := collect(pack(16<<20), Limits{Decompressed: 1000})
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
}
