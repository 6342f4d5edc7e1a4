package batch

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"

	"github.com/pierrec/lz4/v4"
)

// The LZ4 frame format as far as Kafka has it: independent blocks, no dictionary. We keep the frame ourselves and leave the
// blocks to the library, so that memory follows the data and not what a header claims.
const (
	lz4Magic        = 0x184d2204
	lz4Version      = 0x40
	lz4VersionMask  = 0xc0
	lz4Independent  = 0x20
	lz4BlockSums    = 0x10
	lz4ContentSize  = 0x08
	lz4ContentSum   = 0x04
	lz4Reserved     = 0x03 // the lower is the dictionary id
	lz4Stored       = 1 << 31
	lz4WriteBlock   = 64 << 10
	lz4MostPerByte  = 255
	lz4FrameMinimum = 7
)

// lz4Stream decodes block by block.
type lz4Stream struct {
	src       []byte // not yet decoded
	flags     byte
	blockSize int
	ended     bool
	// loose accepts the header checksum of clients from before Kafka 0.10, which computed it over the magic as well (KAFKA-3160).
	loose bool
	block bytes.Reader
	buf   []byte
}

func (s *lz4Stream) reset(b []byte, _ int64) error {
	s.block.Reset(nil)
	s.src, s.ended = nil, false
	if len(b) < lz4FrameMinimum {
		return io.ErrUnexpectedEOF
	}
	if binary.LittleEndian.Uint32(b) != lz4Magic {
		return corrupt("no lz4 frame")
	}
	s.flags = b[4]
	if s.flags&lz4VersionMask != lz4Version || s.flags&lz4Reserved != 0 || s.flags&lz4Independent == 0 {
		return corrupt("lz4 frame with flags %02x", s.flags)
	}
	size := b[5] >> 4
	if b[5]&0x8f != 0 || size < 4 {
		return corrupt("lz4 frame with block size %02x", b[5])
	}
	s.blockSize = 1 << (8 + 2*size)
	end := 6
	if s.flags&lz4ContentSize != 0 {
		end += 8
	}
	if len(b) <= end {
		return io.ErrUnexpectedEOF
	}
	if b[end] != lz4HeaderSum(b[4:end]) && (!s.loose || b[end] != lz4HeaderSum(b[:end])) {
		return corrupt("lz4 frame header checksum")
	}
	s.src = b[end+1:]
	return nil
}

// lz4HeaderSum is the second byte of the descriptor's checksum.
func lz4HeaderSum(b []byte) byte { return byte(xxh32(b) >> 8) }

func (s *lz4Stream) Read(b []byte) (int, error) {
	for s.block.Len() == 0 {
		if s.ended {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	return s.block.Read(b)
}

func (s *lz4Stream) next() error {
	if len(s.src) < 4 {
		return io.ErrUnexpectedEOF
	}
	word := binary.LittleEndian.Uint32(s.src)
	size := int(word &^ lz4Stored)
	s.src = s.src[4:]
	if word == 0 {
		// As in Kafka what follows is not looked at: the content's checksum, which the batch's own makes needless.
		s.ended = true
		return nil
	}
	after := size
	if s.flags&lz4BlockSums != 0 {
		after += 4
	}
	if size > s.blockSize {
		return corrupt("lz4 block of %d bytes", size)
	}
	if len(s.src) < after {
		return io.ErrUnexpectedEOF
	}
	block, sum := s.src[:size], s.src[size:after]
	s.src = s.src[after:]
	if len(sum) > 0 && binary.LittleEndian.Uint32(sum) != xxh32(block) {
		return corrupt("lz4 block checksum")
	}
	if word&lz4Stored != 0 {
		s.block.Reset(block)
		return nil
	}
	return s.decode(block)
}

func (s *lz4Stream) decode(block []byte) error {
	most := min(s.blockSize, lz4MostPerByte*len(block))
	if cap(s.buf) < most {
		s.buf = make([]byte, most)
	}
	n, err := lz4.UncompressBlock(block, s.buf[:most])
	if err != nil {
		return err
	}
	s.block.Reset(s.buf[:n])
	return nil
}

func (s *lz4Stream) idle() bool {
	s.src = nil
	s.block.Reset(nil)
	return true // a block has 4 MiB at most, which many clients choose
}

// lz4Encoder compresses blocks, by the fast method unless a level was asked for.
type lz4Encoder struct {
	fast lz4.Compressor
	hc   *lz4.CompressorHC
}

func newLZ4Encoder(level int) *lz4Encoder {
	// Kafka's default is level 9 and stands for the fast method; every other level is one of the high compression method.
	if level == DefaultLevel || level == lz4DefaultLevel {
		return &lz4Encoder{}
	}
	levels := [...]lz4.CompressionLevel{lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9}
	return &lz4Encoder{hc: &lz4.CompressorHC{Level: levels[min(max(level, 1), len(levels))-1]}}
}

const lz4DefaultLevel = 9

// appendLZ4Header begins a frame with blocks of 64 KiB.
func appendLZ4Header(dst []byte) []byte {
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, lz4Magic)
	dst = append(dst, lz4Version|lz4Independent, 4<<4)
	return append(dst, lz4HeaderSum(dst[at+4:]))
}

// appendBlock writes one block, stored as it is when it does not get smaller.
func (e *lz4Encoder) appendBlock(dst, block []byte) ([]byte, error) {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, make([]byte, len(block))...)
	var n int
	var err error
	if e.hc != nil {
		n, err = e.hc.CompressBlock(block, dst[at+4:])
	} else {
		n, err = e.fast.CompressBlock(block, dst[at+4:])
	}
	if err != nil {
		return dst[:at], err
	}
	word := uint32(n)
	if n == 0 || n >= len(block) {
		n = copy(dst[at+4:], block)
		word = uint32(n) | lz4Stored
	}
	binary.LittleEndian.PutUint32(dst[at:], word)
	return dst[:at+4+n], nil
}

// The primes of xxHash.
const (
	xxPrime1 uint32 = 2654435761
	xxPrime2 uint32 = 2246822519
	xxPrime3 uint32 = 3266489917
	xxPrime4 uint32 = 668265263
	xxPrime5 uint32 = 374761393
)

// xxh32 is xxHash, 32 bits, seed 0: the checksum of LZ4 frames.
func xxh32(b []byte) uint32 {
	h := xxPrime5 + uint32(len(b))
	if len(b) >= 16 {
		var lanes [4]uint32
		lanes[0], lanes[1], lanes[3] = xxPrime1, xxPrime2, 0
		lanes[0] += xxPrime2
		lanes[3] -= xxPrime1
		length := uint32(len(b))
		for ; len(b) >= 16; b = b[16:] {
			for i := range lanes {
				lanes[i] = bits.RotateLeft32(lanes[i]+binary.LittleEndian.Uint32(b[4*i:])*xxPrime2, 13) * xxPrime1
			}
		}
		h = length + bits.RotateLeft32(lanes[0], 1) + bits.RotateLeft32(lanes[1], 7) +
			bits.RotateLeft32(lanes[2], 12) + bits.RotateLeft32(lanes[3], 18)
	}
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*xxPrime3, 17) * xxPrime4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*xxPrime5, 11) * xxPrime1
	}
	h = (h ^ h>>15) * xxPrime2
	h = (h ^ h>>13) * xxPrime3
	return h ^ h>>16
}
