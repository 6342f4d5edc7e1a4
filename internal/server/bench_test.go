package server

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/klamm/klamm/internal/wire"
)

// benchClient sends n requests, inFlight at a time, and reads as many answers. It allocates nothing.
type benchClient struct {
	net.Conn
	burst    []byte
	in       []byte
	inFlight int
}

func newBenchClient(s *testServer, inFlight, size int) *benchClient {
	c := &benchClient{Conn: s.dial().Conn, in: make([]byte, 64<<10), inFlight: inFlight}
	for range inFlight {
		c.burst = append(c.burst, sized(wire.KeyProduce, size)...)
	}
	return c
}

// round sends inFlight requests in one write, and reads their answers.
func (c *benchClient) round(t testing.TB) {
	if _, err := c.Write(c.burst); err != nil {
		t.Fatal(err)
	}
	for got := 0; got < c.inFlight; {
		if _, err := io.ReadFull(c, c.in[:4]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, c.in[:binary.BigEndian.Uint32(c.in)]); err != nil {
			t.Fatal(err)
		}
		got++
	}
}

func answerShortly(_ *Conn, r *Request) {
	b := r.Reply.Bytes()
	*b = append(*b, "a produce response has about sixty bytes, and this one too"...)
	r.Reply.Send()
}

func TestRequestsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools forget what they hold")
	}
	s := start(t, Limits{}, handlerFunc(answerShortly))
	for _, inFlight := range []int{1, 16} {
		c := newBenchClient(s, inFlight, 1000)
		for range 100 {
			c.round(t)
		}
		if n := testing.AllocsPerRun(200, func() { c.round(t) }); n > 0.1 {
			t.Errorf("%v allocations for %d requests", n, inFlight)
		}
	}
}

func BenchmarkRequests(b *testing.B) {
	for _, bc := range []struct {
		name           string
		inFlight, size int
	}{{"1KB/inflight=1", 1, 1000}, {"1KB/inflight=5", 5, 1000}, {"1KB/inflight=100", 100, 1000}, {"64KiB/inflight=5", 5, 64 << 10}, {"1MiB/inflight=2", 2, 1 << 20}} {
		b.Run(bc.name, func(b *testing.B) {
			s := start(b, Limits{}, handlerFunc(answerShortly))
			c := newBenchClient(s, bc.inFlight, bc.size)
			b.SetBytes(int64(bc.size))
			b.ReportAllocs()
			for i := 0; i < b.N; i += bc.inFlight {
				c.round(b)
			}
		})
	}
}
