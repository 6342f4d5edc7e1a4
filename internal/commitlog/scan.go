package commitlog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// errBroken ends a scan at bytes that are not a whole batch.
var errBroken = errors.New("not a whole batch")

const (
	crcStart    = 21 // of a batch: its checksum covers everything from the attributes on
	magicByte   = 16
	scanFar     = 64 << 10 // read ahead through small batches and checksums
	scanNear    = 4 << 10  // read ahead when only headers are wanted and batches are large
	smallBatch  = 8 << 10
	batchOffset = 8 // bytes of a batch before its length field
)

// scanner walks the batches of a segment by their headers, through a buffer of its own. Use it as
//
//	for s.next() { ... s.h, s.at ... }
//	if s.err != nil { ... }
type scanner struct {
	disk  *disk
	f     io.ReaderAt
	pos   int64 // of the next batch
	limit int64 // nothing is read from here on
	at    int64 // of the current batch
	h     batch.Header
	err   error // errBroken when the bytes at pos are no batch; anything else is a failing disk

	buf   []byte // what was read ahead
	bufAt int64
	room  [scanFar]byte
	ahead int
}

// scan borrows a scanner for the bytes [pos, limit) of f. Give it back with done.
func (k *disk) scan(f io.ReaderAt, pos, limit int64) *scanner {
	s, ok := k.scanners.Get().(*scanner)
	if !ok {
		s = &scanner{}
	}
	s.disk, s.f, s.pos, s.limit, s.err = k, f, pos, limit, nil
	s.buf, s.bufAt, s.ahead = nil, 0, scanNear
	return s
}

func (s *scanner) done() {
	k := s.disk
	s.disk, s.f, s.buf, s.err = nil, nil, nil, nil
	k.scanners.Put(s)
}

// next moves to the batch at pos.
func (s *scanner) next() bool {
	if s.err != nil || s.pos >= s.limit {
		return false
	}
	b, err := s.bytes(s.pos, batch.HeaderSize)
	if err != nil {
		s.err = err
		return false
	}
	if s.h, err = batch.ParseHeader(b); err != nil || int64(s.h.Size()) > s.limit-s.pos {
		s.err = errBroken
		return false
	}
	s.at = s.pos
	s.pos += int64(s.h.Size())
	if s.h.Size() <= smallBatch {
		s.ahead = scanFar
	} else {
		s.ahead = scanNear
	}
	return true
}

// peek is the base offset of the batch behind the current one; ok is false when there is none to be seen.
func (s *scanner) peek() (base model.Offset, ok bool) {
	if s.pos >= s.limit {
		return 0, false
	}
	b, err := s.bytes(s.pos, batch.HeaderSize)
	if err != nil {
		return 0, false // the next step will say so
	}
	h, err := batch.ParseHeader(b)
	return h.BaseOffset, err == nil
}

// bytes gives n bytes at pos, at most scanFar; errBroken when the file or the limit ends before.
func (s *scanner) bytes(pos int64, n int) ([]byte, error) {
	if i := pos - s.bufAt; i >= 0 && i+int64(n) <= int64(len(s.buf)) {
		return s.buf[i : i+int64(n)], nil
	}
	want := int(min(int64(max(n, s.ahead)), s.limit-pos))
	if want < n {
		return nil, errBroken
	}
	s.buf = nil
	if err := s.disk.readAt(s.f, s.room[:want], pos); err != nil {
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		// Shorter than it was said to be, but maybe long enough.
		if err := s.disk.readAt(s.f, s.room[:n], pos); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = errBroken
			}
			return nil, err
		}
		want = n
	}
	s.buf, s.bufAt = s.room[:want], pos
	return s.buf[:n], nil
}

// verify reads the current batch and reports whether its checksum holds. False with err set is a failing disk.
func (s *scanner) verify() bool {
	ok, err := s.checksum(s.at, &s.h)
	if err != nil && !errors.Is(err, errBroken) {
		s.err = err
	}
	return ok
}

func (s *scanner) checksum(at int64, h *batch.Header) (bool, error) {
	s.ahead = scanFar
	var sum uint32
	for pos, end := at+crcStart, at+int64(h.Size()); pos < end; {
		n := int(min(end-pos, scanFar))
		if i := pos - s.bufAt; i >= 0 && i < int64(len(s.buf)) {
			n = int(min(int64(n), int64(len(s.buf))-i)) // what is there first
		}
		b, err := s.bytes(pos, n)
		if err != nil {
			return false, err
		}
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), b)
		pos += int64(n)
	}
	return sum == h.CRC, nil
}

// resync looks behind damaged bytes for the next whole batch with offsets in [low, high). It tries every position, cheap tests first:
// the magic, a header that makes sense, the checksum.
func (s *scanner) resync(pos int64, low, high model.Offset) (at int64, found bool, err error) {
	s.ahead = scanFar
	for ; pos+batch.HeaderSize <= s.limit; pos++ {
		b, err := s.bytes(pos, batch.HeaderSize)
		if err != nil {
			if errors.Is(err, errBroken) {
				err = nil
			}
			return 0, false, err
		}
		if b[magicByte] != 2 {
			continue
		}
		h, err := batch.ParseHeader(b)
		if err != nil || h.BaseOffset < low || h.NextOffset() > high || int64(h.Size()) > s.limit-pos {
			continue
		}
		ok, err := s.checksum(pos, &h)
		switch {
		case err != nil && !errors.Is(err, errBroken):
			return 0, false, err
		case ok:
			return pos, true, nil
		}
		s.buf = nil // the checksum has moved it on
	}
	return 0, false, nil
}

// batchBytes reads the current batch whole, into dst if it is large enough.
func (s *scanner) batchBytes(dst []byte) ([]byte, error) {
	n := s.h.Size()
	if cap(dst) < n {
		dst = make([]byte, n)
	}
	dst = dst[:n]
	if err := s.disk.readAt(s.f, dst, s.at); err != nil {
		return nil, err
	}
	return dst, nil
}

// sizeAt reads no more than the length field of the batch that begins at pos: its size in bytes.
func (k *disk) sizeAt(f io.ReaderAt, pos int64) (int64, error) {
	s := k.scan(f, pos, pos+batchOffset+4)
	defer s.done()
	b, err := s.bytes(pos, batchOffset+4)
	if err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint32(b[batchOffset:])) + batchOffset + 4, nil
}
