package batch

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/s2"
)

// Java's clients write snappy in the framing of the xerial library: a header, then blocks of which each is a length and plain
// snappy. Others send one plain block. Kafka reads both, and so do we; we write the framing.
const (
	xerialMagic      = "\x82SNAPPY\x00"
	xerialHeaderSize = len(xerialMagic) + 8 // two version numbers
	xerialVersions   = "\x00\x00\x00\x01\x00\x00\x00\x01"
	xerialBlockSize  = 32 << 10
	maxIdleBlock     = 1 << 20
)

// snappyStream decodes block by block. A block is at most as large as its compressed form can make it, whatever its header says.
type snappyStream struct {
	src    []byte // blocks not yet decoded
	framed bool
	budget int64
	block  bytes.Reader
	buf    []byte
}

func (s *snappyStream) reset(b []byte, budget int64) error {
	s.src, s.budget = b, budget
	s.framed = bytes.HasPrefix(b, []byte(xerialMagic))
	s.block.Reset(nil)
	if !s.framed && len(b) > 0 {
		s.src = nil
		return s.decode(b)
	}
	return nil
}

func (s *snappyStream) Read(b []byte) (int, error) {
	for s.block.Len() == 0 {
		if len(s.src) == 0 {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	return s.block.Read(b)
}

// next decodes the next block of a framed stream. The header may come again: streams may be concatenated.
func (s *snappyStream) next() error {
	if bytes.HasPrefix(s.src, []byte(xerialMagic)) {
		if len(s.src) < xerialHeaderSize {
			return io.ErrUnexpectedEOF
		}
		s.src = s.src[xerialHeaderSize:]
		return nil
	}
	if len(s.src) < 4 {
		return io.ErrUnexpectedEOF
	}
	size := binary.BigEndian.Uint32(s.src)
	if uint64(size) > uint64(len(s.src)-4) {
		return io.ErrUnexpectedEOF
	}
	block := s.src[4 : 4+size]
	s.src = s.src[4+size:]
	return s.decode(block)
}

func (s *snappyStream) decode(block []byte) error {
	size, err := s2.DecodedLen(block)
	if err != nil {
		return err
	}
	// The best element of the format turns 3 bytes into 64.
	if size > 64*(len(block)/3+1) {
		return corrupt("snappy block of %d bytes claims %d", len(block), size)
	}
	if int64(size) > s.budget {
		return ErrTooLarge
	}
	if cap(s.buf) < size {
		s.buf = make([]byte, size)
	}
	out, err := s2.Decode(s.buf[:size], block)
	if err != nil {
		return err
	}
	s.block.Reset(out)
	return nil
}

func (s *snappyStream) idle() bool {
	s.src = nil
	s.block.Reset(nil)
	return cap(s.buf) <= maxIdleBlock
}

// appendXerialBlock compresses one block.
func appendXerialBlock(dst, block []byte) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	most := s2.MaxEncodedLen(len(block))
	dst = append(dst, make([]byte, most)...)
	n := len(s2.EncodeSnappy(dst[at+4:], block))
	binary.BigEndian.PutUint32(dst[at:], uint32(n))
	return dst[:at+4+n]
}
