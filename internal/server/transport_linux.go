package server

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newTransport uses the descriptor itself where the connection is TCP and nothing stands between.
func newTransport(c *Conn, nc net.Conn) transport {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return &plainTransport{c: c, nc: nc}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return &plainTransport{c: c, nc: nc}
	}
	t := &tcpTransport{c: c, raw: raw}
	t.in.try, t.out.try, t.file.try = t.tryRead, t.tryWrite, t.tryFile
	return t
}

// tcpTransport makes its system calls inside the runtime's poller. The functions given to the poller are made once: a closure per call would
// be an allocation per call.
type tcpTransport struct {
	c   *Conn
	raw syscall.RawConn

	in struct {
		try func(fd uintptr) bool
		n   int
		err error
	}
	out struct {
		try  func(fd uintptr) bool
		b    []byte
		more bool
		err  error
	}
	file struct {
		try    func(fd uintptr) bool
		fd     int
		offset int64
		left   int64
		err    error
	}
}

func (t *tcpTransport) read(*Conn) (int, error) {
	t.in.n, t.in.err = 0, nil
	if err := t.raw.Read(t.in.try); err != nil {
		return 0, err
	}
	if t.in.n == 0 && t.in.err == nil {
		return 0, io.EOF
	}
	return t.in.n, t.in.err
}

// tryRead is called until it returns true, whenever the socket may have become readable. Only then is there memory to read into.
func (t *tcpTransport) tryRead(fd uintptr) bool {
	b := t.c.space()
	if b == nil {
		t.in.err = errNoMemory
		return true
	}
	for {
		n, err := unix.Read(int(fd), b)
		switch err {
		case nil:
			t.in.n = n
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			t.c.parked()
			return false
		default:
			t.in.err = os.NewSyscallError("read", err)
			return true
		}
	}
}

func (t *tcpTransport) write(b []byte, more bool) error {
	t.out.b, t.out.more, t.out.err = b, more, nil
	err := t.raw.Write(t.out.try)
	if err == nil {
		err = t.out.err
	}
	t.out.b = nil
	return err
}

func (t *tcpTransport) tryWrite(fd uintptr) bool {
	flags := uintptr(unix.MSG_NOSIGNAL)
	if t.out.more {
		flags |= unix.MSG_MORE
	}
	for len(t.out.b) > 0 {
		// x/sys has no sendto that both takes flags and tells how much was sent without allocating.
		n, _, errno := unix.Syscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(t.out.b))), uintptr(len(t.out.b)), flags, 0, 0)
		switch errno {
		case 0:
			t.out.b = t.out.b[n:]
			t.c.progress()
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			t.out.err = os.NewSyscallError("sendto", errno)
			return true
		}
	}
	return true
}

func (t *tcpTransport) sendFile(f File, offset, length int64) error {
	d, ok := f.(descriptor)
	if !ok {
		return copyFile(t.c, t, f, offset, length)
	}
	t.file.fd, t.file.offset, t.file.left, t.file.err = int(d.Fd()), offset, length, nil
	if err := t.raw.Write(t.file.try); err != nil {
		return err
	}
	return t.file.err
}

// tryFile names the offset in every call: the file's own is shared by all who send from it.
func (t *tcpTransport) tryFile(fd uintptr) bool {
	for t.file.left > 0 {
		n, err := unix.Sendfile(int(fd), t.file.fd, &t.file.offset, int(min(t.file.left, 1<<30)))
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return false
		case err != nil:
			t.file.err = os.NewSyscallError("sendfile", err)
			return true
		case n == 0:
			// The file is shorter than it was: the frame's size is promised already, so the connection is lost.
			t.file.err = io.ErrUnexpectedEOF
			return true
		}
		if n > 0 {
			t.file.left -= int64(n)
			t.c.progress()
		}
	}
	return true
}

// resident reports whether the page cache holds the range's last byte. Whoever found the range has read at its beginning, and the kernel
// reads ahead from there, so what lies between is there too, nearly always. When in doubt it says yes.
func resident(f File, offset, length int64) bool {
	d, ok := f.(descriptor)
	if !ok {
		return true
	}
	var b [1]byte
	return cached(d, b[:], offset+length-1) != cacheMiss
}

// readAhead returns when the range is in the page cache, or nearly: its last byte is, and the rest was asked for before it.
func readAhead(f File, offset, length int64) error {
	if d, ok := f.(descriptor); ok {
		// Advice that is not taken costs time, nothing else.
		_ = unix.Fadvise(int(d.Fd()), offset, length, unix.FADV_WILLNEED)
	}
	var b [1]byte
	return readFully(f, b[:], offset+length-1)
}

// readCached fills b from f if that needs no disk.
func readCached(f File, b []byte, offset int64) bool {
	if d, ok := f.(descriptor); ok {
		switch cached(d, b, offset) {
		case cacheHit:
			return true
		case cacheMiss:
			return false
		}
	}
	return readFully(f, b, offset) == nil
}

type cacheState int

const (
	cacheHit cacheState = iota
	cacheMiss
	cacheUnknown // the file system cannot tell
)

// cached reads b from the page cache alone.
func cached(d descriptor, b []byte, offset int64) cacheState {
	iov := unix.Iovec{Base: unsafe.SliceData(b)}
	iov.SetLen(len(b))
	for {
		n, _, errno := unix.Syscall6(unix.SYS_PREADV2, d.Fd(), uintptr(unsafe.Pointer(&iov)), 1, uintptr(offset), 0, unix.RWF_NOWAIT)
		switch errno {
		case 0:
			if int(n) == len(b) {
				return cacheHit
			}
			return cacheMiss
		case unix.EINTR:
		case unix.EAGAIN:
			return cacheMiss
		default:
			return cacheUnknown
		}
	}
}
