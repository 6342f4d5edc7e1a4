package server

import (
	"errors"
	"net"
)

// transport moves a connection's bytes. One goroutine reads and one writes at a time.
type transport interface {
	// read waits for bytes and reads them into in.space(), asked for only when there are some. errNoMemory when that gave nothing.
	read(in *Conn) (int, error)
	// write sends all of b. more says that more follows at once, so that a half-filled packet may wait for it.
	write(b []byte, more bool) error
	// sendFile sends length bytes of f from offset.
	sendFile(f File, offset, length int64) error
}

var (
	errNoMemory = errors.New("no memory to read into")
	errCold     = errors.New("not in the page cache")
)

// plainTransport works over any net.Conn, TLS and pipes among them. It holds a chunk while it waits, and copies what comes from files.
type plainTransport struct {
	c  *Conn
	nc net.Conn
}

func (t *plainTransport) read(c *Conn) (int, error) {
	b := c.space()
	if b == nil {
		return 0, errNoMemory
	}
	return t.nc.Read(b)
}

func (t *plainTransport) write(b []byte, _ bool) error {
	// net.Conn hides partial progress; in slices a slow client is told from a dead one.
	for len(b) > 0 {
		n, err := t.nc.Write(b[:min(len(b), gatherBytes)])
		if err != nil {
			return err
		}
		b = b[n:]
		t.c.progress()
	}
	return nil
}

func (t *plainTransport) sendFile(f File, offset, length int64) error {
	return copyFile(t.c, t, f, offset, length)
}

// copyFile sends a range of a file that has no descriptor, or over a connection that has none.
func copyFile(c *Conn, t transport, f File, offset, length int64) error {
	buf := c.s.mem.take(classBytes(smallClass))
	defer c.s.mem.put(buf)
	for length > 0 {
		b := buf.b[:min(int64(len(buf.b)), length)]
		if err := readFully(f, b, offset); err != nil {
			return err
		}
		if err := t.write(b, length > int64(len(b))); err != nil {
			return err
		}
		offset += int64(len(b))
		length -= int64(len(b))
	}
	return nil
}
