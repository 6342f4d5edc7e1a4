package server

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/klamm/klamm/internal/wire"
)

// smallRange is the length below which a file range is read into the reply: one copy is cheaper than one system call more.
const smallRange = 16 * kib

// Reply is the answer to one request: bytes, with ranges of files between them. Its size and response header are written by the server.
//
// Whoever holds an open reply may use it from one goroutine at a time, and not at all once it was completed.
type Reply struct {
	conn        *Conn
	key         wire.Key
	version     int16
	correlation int32
	received    time.Time

	buf     *[]byte // nil until Bytes
	side    *[]byte // copies of small ranges; nil until there is one
	ranges  []fileRange
	inFiles int64 // bytes in ranges

	// Guarded by conn.mu until completed; the writer's after that.
	owner Owner
	done  bool
	kind  replyKind
	cause error // of an abort
}

// fileRange is length bytes of file from offset, to be sent after the first at bytes of the reply.
type fileRange struct {
	at             int
	file           File
	offset, length int64
	copied         int // where the bytes are in side, -1 when they are not
}

type replyKind uint8

const (
	replySend  replyKind = iota
	replyDrop            // completed without an answer
	replyAbort           // the connection ends here
)

// Bytes is where the response body is appended, behind what is already there. Store the grown slice back through the pointer.
func (r *Reply) Bytes() *[]byte {
	if r.buf == nil {
		r.buf = r.conn.s.mem.buf()
		b := append((*r.buf)[:0], 0, 0, 0, 0)
		*r.buf = wire.AppendResponseHeader(b, r.key, r.version, r.correlation)
	}
	return r.buf
}

// As changes the version whose header the response carries: an ApiVersions request of a version nobody knows is answered in version 0.
// It must come before Bytes.
func (r *Reply) As(version int16) { r.version = version }

// File inserts length bytes of f at offset behind the first at bytes of the reply; calls come in order of at. Small ranges that the page
// cache holds are copied at once, all others are read when the reply is written; f must then stay readable until the owner's Written.
func (r *Reply) File(at int, f File, offset, length int64) {
	if length <= 0 {
		return
	}
	fr := fileRange{at: at, file: f, offset: offset, length: length, copied: -1}
	if length < smallRange {
		fr.copied = r.copySmall(f, offset, int(length))
	}
	r.ranges = append(r.ranges, fr)
	r.inFiles += length
}

// copySmall reads a range into side and returns where it lies there, or -1 when that would need the disk.
func (r *Reply) copySmall(f File, offset int64, length int) int {
	if r.side == nil {
		r.side = r.conn.s.mem.buf()
	}
	n := len(*r.side)
	b := grow(*r.side, length)
	if !readCached(f, b[n:], offset) {
		return -1
	}
	*r.side = b
	return n
}

// grow lengthens b by n bytes of any content.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b[:len(b)+n]
	}
	return append(b, make([]byte, n)...)
}

// Own names who keeps resources for this reply. It must come before the reply is completed.
func (r *Reply) Own(o Owner) {
	c := r.conn
	c.mu.Lock()
	r.owner = o
	hurry := c.mu.dead || c.mu.draining
	c.mu.Unlock()
	if hurry {
		o.Hurry()
	}
}

// Send completes the reply. It never blocks and may be called from any goroutine.
func (r *Reply) Send() { r.complete(replySend, nil, false) }

// SendHere completes the reply, and when it is its turn writes it on the calling goroutine, which may block for as long as the client
// is slow. It is for goroutines that were started for this one answer.
func (r *Reply) SendHere() { r.complete(replySend, nil, true) }

// Drop completes the reply without an answer: acks=0.
func (r *Reply) Drop() { r.complete(replyDrop, nil, false) }

// Abort closes the connection as soon as the replies before this one are written.
func (r *Reply) Abort(cause error) { r.complete(replyAbort, cause, false) }

func (r *Reply) complete(kind replyKind, cause error, here bool) {
	if kind == replySend {
		b := *r.Bytes()
		binary.BigEndian.PutUint32(b, uint32(int64(len(b)-4)+r.inFiles))
	}
	r.kind, r.cause = kind, cause
	r.conn.completed(r, here)
}

// size is what the reply occupies in memory.
func (r *Reply) size() (n int) {
	if r.buf != nil {
		n = len(*r.buf)
	}
	if r.side != nil {
		n += len(*r.side)
	}
	return n
}

// release gives everything back after the reply was written or its connection died.
func (r *Reply) release() {
	s, owner := r.conn.s, r.owner
	s.mem.add(-int64(r.size()))
	if r.buf != nil {
		s.mem.putBuf(r.buf)
	}
	if r.side != nil {
		s.mem.putBuf(r.side)
	}
	clear(r.ranges)
	*r = Reply{ranges: r.ranges[:0]}
	s.replies.Put(r)
	if owner != nil {
		owner.Written()
	}
}

// readFully fills b from f at offset.
func readFully(f File, b []byte, offset int64) error {
	n, err := f.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
