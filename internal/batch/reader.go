package batch

import (
	"errors"
	"io"
)

// reader reads the records part of a batch: straight from memory, or through a decompressor and a window that grows no faster than
// the bytes that arrive. After the first error everything reads as nothing and the error stays.
type reader struct {
	buf     []byte    // buf[pos:] was decoded and not read yet
	pos     int       // Invariant: 0 <= pos <= len(buf)
	src     io.Reader // nil: buf is all there is
	window  []byte    // memory for buf when there is a src
	left    int64     // bytes that src may still give
	passed  int64     // bytes read before buf
	ended   bool      // src has no more
	failure error
}

// windowSize is what a compressed batch is read through as long as no single record is larger.
const windowSize = 64 << 10

// fromMemory reads b.
func (r *reader) fromMemory(b []byte) { *r = reader{buf: b, window: r.window} }

// fromStream reads what src gives, up to budget bytes.
func (r *reader) fromStream(src io.Reader, budget int64) {
	if r.window == nil {
		r.window = make([]byte, windowSize)
	}
	*r = reader{buf: r.window[:0], window: r.window, src: src, left: budget}
}

// fail keeps the first error.
func (r *reader) fail(err error) {
	if r.failure == nil {
		r.failure = err
	}
	r.buf, r.pos, r.src = nil, 0, nil
}

// read is the number of bytes read so far.
func (r *reader) read() int64 { return r.passed + int64(r.pos) }

// have makes n bytes stand in buf[pos:], n > 0. False at the end of the input (an error) and after an error.
func (r *reader) have(n int) bool {
	if len(r.buf)-r.pos >= n {
		return true
	}
	if !r.more(n) {
		r.fail(corrupt("records end too early"))
		return false
	}
	return true
}

// more reads until n bytes are there and reports whether it got them. It fails only on what src fails on.
func (r *reader) more(n int) bool {
	if r.src == nil {
		return false
	}
	r.passed += int64(r.pos)
	r.buf, r.pos = r.window[:copy(r.window, r.buf[r.pos:])], 0
	for len(r.buf) < n && !r.ended {
		if len(r.buf) == len(r.window) {
			// A record larger than the window: double with what has really come, whatever its length field says.
			grown := make([]byte, 2*len(r.window))
			r.window, r.buf = grown, grown[:copy(grown, r.buf)]
		}
		r.pull()
		if r.failure != nil {
			return false
		}
	}
	return len(r.buf) >= n
}

// pull asks src once for what fits into the window.
func (r *reader) pull() {
	free := r.window[len(r.buf):]
	if int64(len(free)) > r.left+1 {
		free = free[:r.left+1] // one more than allowed, to tell the end from too much
	}
	n, err := r.src.Read(free)
	r.buf = r.buf[:len(r.buf)+n]
	r.left -= int64(n)
	switch {
	case r.left < 0:
		r.fail(ErrTooLarge)
	case errors.Is(err, io.EOF):
		r.ended = true
	case err != nil:
		r.fail(asCorrupt(err))
	}
}

// asCorrupt makes a decompressor's complaint one of ours.
func asCorrupt(err error) error {
	if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrCorrupt) {
		return err
	}
	return corrupt("decompression: %v", err)
}

// byte reads one.
func (r *reader) byte() byte {
	if r.pos == len(r.buf) && !r.have(1) {
		return 0
	}
	b := r.buf[r.pos]
	r.pos++
	return b
}

// varint reads a zigzag number of at most five bytes, varlong one of at most ten.
func (r *reader) varint() int32 {
	v := r.uvarint(5)
	return int32(uint32(v)>>1) ^ -int32(uint32(v)&1)
}

func (r *reader) varlong() int64 {
	v := r.uvarint(10)
	return int64(v>>1) ^ -int64(v&1)
}

func (r *reader) uvarint(most int) uint64 {
	var v uint64
	for i := range most {
		b := r.byte()
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v
		}
	}
	r.fail(corrupt("number of more than %d bytes", most))
	return 0
}

// take reads n bytes as one piece, nothing for n <= 0. It is valid until the next call.
func (r *reader) take(n int) []byte {
	if n <= 0 || !r.have(n) {
		return nil
	}
	b := r.buf[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return b
}

// skip passes over n bytes, which need not fit the window.
func (r *reader) skip(n int) {
	for n > len(r.buf)-r.pos {
		n -= len(r.buf) - r.pos
		r.pos = len(r.buf)
		if !r.have(1) {
			return
		}
	}
	r.pos += n
}

// atEnd reports whether everything was read. It asks the decompressor for its end, where that checks its own checksum.
func (r *reader) atEnd() bool {
	return r.failure == nil && r.pos == len(r.buf) && !r.more(1) && r.failure == nil
}
