package batch

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// Vectors from the specification of xxHash and of the frame format.
func TestXXH32(t *testing.T) {
	for s, want := range map[string]uint32{
		"": 0x02cc5d05, "a": 0x550d7456, "abc": 0x32d153ff, "abcd": 0xa3643705, "0123456789abcdef": 0xc2c45b69,
		"Nobody inspects the spammish repetition": 0xe2293b2f,
	} {
		if got := xxh32([]byte(s)); got != want {
			t.Errorf("xxh32(%q) is %08x, want %08x", s, got, want)
		}
	}
}

// unpack reads all that a stream gives.
func unpack(t testing.TB, c Codec, b []byte, loose bool) ([]byte, error) {
	t.Helper()
	w := newWorkspace()
	defer w.release()
	if err := w.openLoose(b, c, MaxDecompressed, loose); err != nil {
		return nil, err
	}
	var out []byte
	for !w.in.atEnd() {
		if w.in.failure != nil {
			return nil, w.in.failure
		}
		out = append(out, w.in.buf[w.in.pos:]...)
		w.in.pos = len(w.in.buf)
	}
	return out, w.in.failure
}

func plainText() []byte {
	var b []byte
	for i := range 200_000 {
		b = append(b, byte(i*i>>9), byte(i))
	}
	return b
}

// Frames of the reference library with every option that Kafka allows.
func TestLZ4FramesOfOthers(t *testing.T) {
	want := plainText()
	for _, size := range []lz4.BlockSize{lz4.Block64Kb, lz4.Block256Kb, lz4.Block1Mb, lz4.Block4Mb} {
		for _, sums := range []bool{false, true} {
			var out bytes.Buffer
			w := lz4.NewWriter(&out)
			if err := w.Apply(lz4.BlockSizeOption(size), lz4.BlockChecksumOption(sums), lz4.ChecksumOption(sums),
				lz4.SizeOption(uint64(len(want)))); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(want); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := unpack(t, LZ4, out.Bytes(), false)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("block size %v, checksums %v: %d bytes, %v", size, sums, len(got), err)
			}
			if sums {
				damaged := bytes.Clone(out.Bytes())
				damaged[40] ^= 1
				if _, err := unpack(t, LZ4, damaged, false); err == nil {
					t.Fatal("a flipped bit passed the block checksum")
				}
			}
		}
	}
}

func TestLZ4FramesThatKafkaRefuses(t *testing.T) {
	good := theirs(t, LZ4, plainText())
	for name, flags := range map[string]byte{"dependent blocks": 0x40, "dictionary": 0x61, "reserved": 0x62, "version 2": 0xa0} {
		b := bytes.Clone(good)
		b[4] = flags
		b[6] = lz4HeaderSum(b[4:6])
		if _, err := unpack(t, LZ4, b, false); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

// Clients from before Kafka 0.10 checksum the magic number too; that is let pass in their messages only.
func TestLZ4OldHeaderChecksum(t *testing.T) {
	b := appendLZ4Header(nil)
	b[6] = lz4HeaderSum(b[:6])
	b, err := newLZ4Encoder(DefaultLevel).appendBlock(b, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	b = appendLZ4End(b)
	if _, err := unpack(t, LZ4, b, false); err == nil {
		t.Error("read in a new batch")
	}
	if got, err := unpack(t, LZ4, b, true); err != nil || string(got) != "hello" {
		t.Errorf("old message: %q, %v", got, err)
	}
}

func TestXerialFraming(t *testing.T) {
	want := plainText()
	framed := appendXerialHeader(nil)
	for rest := want; len(rest) > 0; {
		n := min(len(rest), 10_000)
		framed = appendXerialBlock(framed, rest[:n])
		rest = rest[n:]
	}
	got, err := unpack(t, Snappy, framed, false)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	twice := append(bytes.Clone(framed), framed...)
	if got, err = unpack(t, Snappy, twice, false); err != nil || len(got) != 2*len(want) {
		t.Fatalf("two streams: %d bytes, %v", len(got), err)
	}
	plain := theirs(t, Snappy, want)
	if bytes.HasPrefix(plain, []byte(xerialMagic)) {
		t.Fatal("franz-go frames its snappy now: this test wants a plain block")
	}
	if got, err = unpack(t, Snappy, plain, false); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("plain block: %d bytes, %v", len(got), err)
	}
	for _, size := range []uint32{1 << 31, 1 << 30, 5} {
		bad := appendXerialHeader(nil)
		bad = binary.BigEndian.AppendUint32(bad, size)
		if _, err := unpack(t, Snappy, append(bad, 1, 2), false); err == nil {
			t.Errorf("block of %d bytes is read", size)
		}
	}
}

func TestEncodersAreReusable(t *testing.T) {
	text := plainText()
	for _, c := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		enc, err := newEncoder(c, DefaultLevel)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{len(text), 0, 1, 64 << 10, 64<<10 + 1, 32 << 10} {
			enc.reset([]byte("before"))
			for rest := text[:size]; len(rest) > 0; {
				n := min(len(rest), 7_001)
				if err := enc.write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			b, err := enc.close()
			if err != nil || !bytes.HasPrefix(b, []byte("before")) {
				t.Fatalf("%v: %v", c, err)
			}
			got, err := unpack(t, c, b[6:], false)
			if err != nil || !bytes.Equal(got, text[:size]) {
				t.Fatalf("%v: %d of %d bytes, %v", c, len(got), size, err)
			}
		}
	}
}
