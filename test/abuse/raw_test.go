package abuse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawConn is a connection on which anything can be sent.
type rawConn struct {
	*net.TCPConn
}

// dial connects, from another local address when one is given.
func (tg *target) dial(t *testing.T, from ...net.IP) rawConn {
	t.Helper()
	c, err := tg.tryDial(from...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (tg *target) tryDial(from ...net.IP) (rawConn, error) {
	d := net.Dialer{Timeout: 30 * time.Second}
	if len(from) > 0 {
		d.LocalAddr = &net.TCPAddr{IP: from[0]}
	}
	c, err := d.Dial("tcp", tg.addr)
	if err != nil {
		return rawConn{}, err
	}
	return rawConn{c.(*net.TCPConn)}, nil
}

// frame puts a size in front of a payload.
func frame(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

var correlation atomic.Int32

// request is a whole frame with a request, and the correlation id it carries.
func request(req kmsg.Request) (b []byte, id int32) {
	id = correlation.Add(1)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("abuse")).AppendRequest(nil, req, id), id
}

// header is the beginning of a request, up to and with a client id of null, without tagged fields.
func header(key, version int16, id int32) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	return append(b, 0xff, 0xff)
}

// readFrame reads one response, header included.
func (c rawConn) readFrame(limit time.Duration) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > 64*mib {
		return nil, fmt.Errorf("a response of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	return b, err
}

// ask sends a request and reads its response.
func (c rawConn) ask(req kmsg.Request) (kmsg.Response, error) {
	b, id := request(req)
	if _, err := c.Write(b); err != nil {
		return nil, err
	}
	return c.answer(req, id)
}

// answer reads the response to a request that was sent.
func (c rawConn) answer(req kmsg.Request, id int32) (kmsg.Response, error) {
	b, err := c.readFrame(20 * time.Second)
	if err != nil {
		return nil, err
	}
	if got := int32(binary.BigEndian.Uint32(b)); got != id {
		return nil, fmt.Errorf("response %d, want %d", got, id)
	}
	body := b[4:]
	if req.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		if body[0] != 0 {
			return nil, fmt.Errorf("%d tagged fields in the response header", body[0])
		}
		body = body[1:]
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	return resp, resp.ReadFrom(body)
}

// mustAsk is ask for requests that have to be answered.
func (c rawConn) mustAsk(t *testing.T, req kmsg.Request) kmsg.Response {
	t.Helper()
	resp, err := c.ask(req)
	if err != nil {
		t.Fatalf("%s v%d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp
}

// closes reports whether the peer closes the connection within the limit; what it sends before is passed over.
func (c rawConn) closes(limit time.Duration) bool {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return true
	}
	_, err := io.Copy(io.Discard, c)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// gone tells that an error is how a closed connection looks.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
