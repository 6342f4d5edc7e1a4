package abuse

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A bomb is a batch of one record, well formed in all respects, whose value of zeros is a thousand times what travels. It is put together
// from compressed pieces of zeros: nobody, the attacker least of all, has to hold what it becomes.

// recordHead is the beginning of a record of no key and a value of n bytes that follow; a record ends with the number of its headers, 0.
func recordHead(n int) []byte {
	var b []byte
	b = append(b, 0)                      // attributes
	b = binary.AppendVarint(b, 0)         // timestamp
	b = binary.AppendVarint(b, 0)         // offset
	b = binary.AppendVarint(b, -1)        // key
	b = binary.AppendVarint(b, int64(n))  // value
	whole := int64(len(b)) + int64(n) + 1 // with the header count
	return append(binary.AppendVarint(nil, whole), b...)
}

// bomb is a batch whose records are these compressed pieces.
func bomb(codec int16, pieces ...[]byte) []byte {
	return goodBatch(1).with(func(h *kmsg.RecordBatch) { h.Attributes = codec }).body(slices.Concat(pieces...)).bytes()
}

// zeroPiece is 1 MiB of a value.
func zeroPiece() []byte { return make([]byte, mib) }

func gzipBomb(mibs int) []byte {
	parts := [][]byte{compress(recordHead(mibs * mib))}
	piece := compress(zeroPiece())
	for range mibs {
		parts = append(parts, piece)
	}
	return bomb(1, append(parts, compress([]byte{0}))...)
}

func zstdBomb(t *testing.T, mibs int) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	parts := [][]byte{w.EncodeAll(recordHead(mibs*mib), nil)}
	piece := w.EncodeAll(zeroPiece(), nil)
	for range mibs {
		parts = append(parts, piece)
	}
	return bomb(4, append(parts, w.EncodeAll([]byte{0}, nil))...)
}

func lz4Bomb(t *testing.T, mibs int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	if err := w.Apply(lz4.BlockSizeOption(lz4.Block4Mb), lz4.ChecksumOption(false)); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(recordHead(mibs * mib))
	piece := zeroPiece()
	for range mibs {
		_, _ = w.Write(piece)
	}
	_, _ = w.Write([]byte{0})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bomb(3, out.Bytes())
}

func snappyBomb(mibs int) []byte {
	all := append(recordHead(mibs*mib), make([]byte, mibs*mib+1)...)
	return bomb(2, xerial(all))
}

// TestDecompressionBombs sends bombs of the four codecs, many at once. None may cost more memory than a few honest batches would; those
// that become more than 64 times what a batch may be are refused, by an error that clients do not retry.
func TestDecompressionBombs(t *testing.T) {
	tg := attack(t)
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	h := tg.serve(t)
	check := tg.watchMemory(t, 160*mib)
	for _, tc := range []struct {
		name  string
		batch []byte
	}{
		{"gzip, 800 MiB", gzipBomb(800)},
		{"zstd, 1.9 GiB", zstdBomb(t, 1900)},
		{"zstd that claims a window of 2 TiB", bomb(4, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0, 0})},
		{"zstd that claims 2^63 bytes", bomb(4, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 0, 0})},
		{"lz4, 230 MiB", lz4Bomb(t, 230)},
		{"lz4 that claims a block of 2 GiB", bomb(3, []byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 0xff, 0xff, 0xff, 0x7f, 0, 0})},
		{"snappy that claims 4 GiB", bomb(2, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x00})},
		{"snappy frame that claims 2 GiB", bomb(2, append([]byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"), 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f))},
		{"snappy frame whose block claims 4 GiB", bomb(2, append([]byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"), 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0))},
	} {
		begun := time.Now()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				c, err := tg.tryDial()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				resp, err := c.ask(produceRequest(newestByName, topic, 0, tc.batch))
				if err != nil {
					t.Errorf("%s: %v", tc.name, err)
					return
				}
				code := kerr.TypedErrorForCode(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
				if tg.node != nil && (code == nil || code.Retriable && code != kerr.CorruptMessage) {
					t.Errorf("%s: %v", tc.name, code)
				}
			})
		}
		all.Wait()
		t.Logf("%s: %d bytes, 8 of them answered in %s", tc.name, len(tc.batch), time.Since(begun))
	}
	check()
	h.stop(t, 10*time.Second)
	tg.checkAlive(t)
}

// TestHonestCompression has what looks like a bomb and is none: records that say the same again and again.
func TestHonestCompression(t *testing.T) {
	tg := attack(t)
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	c := tg.dial(t)
	for name, b := range map[string][]byte{
		"gzip, 30 MiB":   gzipBomb(30),
		"zstd, 30 MiB":   zstdBomb(t, 30),
		"lz4, 30 MiB":    lz4Bomb(t, 30),
		"snappy, 15 MiB": snappyBomb(15),
	} {
		if r := c.produce(t, newestByName, topic, 0, b); r.ErrorCode != 0 {
			t.Errorf("%s, %d bytes: %v", name, len(b), kerr.ErrorForCode(r.ErrorCode))
		}
	}
}

// TestOldBombs hides a bomb in a message of the format before batches.
func TestOldBombs(t *testing.T) {
	tg := attack(t)
	tg.ownProcess(t) // Kafka 4 does not take these at all
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	// Unlike records, messages are read whole before they are converted: up to four times max.message.bytes.
	check := tg.watchMemory(t, 64*mib)
	c := tg.dial(t)
	now := time.Now().UnixMilli()
	const mibs = 500
	head := message{magic: 1, timestamp: now}.bytes()
	put32(lengthAt, int32(len(head)-12+mibs*mib))(head)
	put32(len(head)-4, mibs*mib)(head)
	parts := [][]byte{compress(head)}
	piece := compress(zeroPiece())
	for range mibs {
		parts = append(parts, piece)
	}
	for name, inner := range map[string][]byte{
		"gzip, 500 MiB":            slices.Concat(parts...),
		"snappy that claims 4 GiB": {0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x00},
	} {
		codec := int8(1)
		if name[0] == 's' {
			codec = 2
		}
		r := c.produce(t, 2, topic, 0, set(wrap(1, codec, inner, 0, now)))
		if err := kerr.TypedErrorForCode(r.ErrorCode); err == nil || err.Retriable && err != kerr.CorruptMessage {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Many at once must not take more than one.
	bomb := set(wrap(1, 1, slices.Concat(parts...), 0, now))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { tg.dial(t).produce(t, 2, topic, 0, bomb) })
	}
	wg.Wait()
	check()
	tg.checkAlive(t)
}
