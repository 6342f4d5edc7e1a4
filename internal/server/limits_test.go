package server

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/wire"
)

func TestFrameSizesAtTheLimit(t *testing.T) {
	l := Limits{FrameBytes: 5000, OtherFrameBytes: 4000, UntrustedFrameBytes: 3000}
	s := start(t, l, handlerFunc(echo))
	for _, tc := range []struct {
		name  string
		key   wire.Key
		limit int
	}{
		{"produce", wire.KeyProduce, l.FrameBytes},
		{"fetch", wire.KeyFetch, l.OtherFrameBytes},
		{"unknown key", 999, l.UntrustedFrameBytes},
	} {
		c := s.dial()
		c.send(sized(tc.key, tc.limit))
		c.wantCorrelations(7)
		c.send(sized(tc.key, tc.limit+1))
		c.wantClosed()
		// The size alone is enough to refuse it, as soon as the key is known.
		c = s.dial()
		c.send(sized(tc.key, tc.limit+1)[:6])
		c.wantClosed()
	}
	eventually(t, "six connections counted as malformed", func() bool { return s.Stats().ClosedMalformed.Load() == 6 })
}

func TestFramesThatAreNone(t *testing.T) {
	s := start(t, Limits{}, handlerFunc(echo))
	for name, b := range map[string][]byte{
		"negative size":      {0xff, 0xff, 0xff, 0xff},
		"size zero":          {0, 0, 0, 0},
		"shorter than a key": {0, 0, 0, 9, 0, 3, 0, 0, 0, 0, 0, 0, 0},
		"size of 2 GiB":      {0x7f, 0xff, 0xff, 0xff},
		"http":               []byte("GET / HTTP/1.1\r\n\r\n"),
		"client id too long": binary.BigEndian.AppendUint16([]byte{0, 0, 0, 10, 0, 3, 0, 0, 0, 0, 0, 0}, 500),
	} {
		c := s.dial()
		c.send(b)
		c.wantClosed()
		t.Log(name, "closed")
	}
	c := s.dial()
	c.send(frame(keyMetadata, 1, nil))
	c.wantCorrelations(1)
}

func TestUntrustedConnectionsGetLittle(t *testing.T) {
	l := Limits{UntrustedFrameBytes: 1000, Handshake: 10 * time.Second}
	s := startWith(t, l, handlerFunc(func(c *Conn, r *Request) {
		c.Authenticated()
		echo(c, r)
	}), Listener{Name: "SASL_PLAINTEXT", Authenticate: true})
	c := s.dial()
	c.send(sized(wire.KeyProduce, 1001))
	c.wantClosed()

	c = s.dial()
	c.send(sized(wire.KeyProduce, 1000))
	c.receive()
	c.send(sized(wire.KeyProduce, 100_000)) // trusted now
	c.receive()

	late := s.dial()
	eventually(t, "accepted", func() bool { return s.Stats().Open.Load() == 2 })
	s.clock.Advance(l.Handshake)
	if n := s.Stats().Open.Load(); n != 2 {
		t.Fatal("closed before its time")
	}
	s.clock.Advance(2 * time.Second)
	late.wantClosed()
	eventually(t, "counted", func() bool { return s.Stats().ClosedHandshake.Load() == 1 })
	c.send(sized(wire.KeyProduce, 1000))
	c.receive()
}

func TestConnectionsAtTheLimit(t *testing.T) {
	s := start(t, Limits{Connections: 2}, handlerFunc(echo))
	a, b := s.dial(), s.dial()
	for _, c := range []*client{a, b} {
		c.send(frame(keyMetadata, 1, nil))
		c.wantCorrelations(1)
	}
	s.dial().wantClosed()
	a.Close()
	eventually(t, "the slot is free", func() bool { return s.Stats().Open.Load() == 1 })
	c := s.dial()
	c.send(frame(keyMetadata, 1, nil))
	c.wantCorrelations(1)
	eventually(t, "counted", func() bool { return s.Stats().RefusedTotal.Load() == 1 })
}

func TestConnectionsPerAddressAtTheLimit(t *testing.T) {
	s := start(t, Limits{ConnectionsPerIP: 1}, handlerFunc(echo))
	c := s.dial()
	c.send(frame(keyMetadata, 1, nil))
	c.wantCorrelations(1)
	s.dial().wantClosed()
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	nc, err := other.Dial("tcp", s.addr)
	if err != nil {
		t.Skip("no second loopback address:", err)
	}
	defer nc.Close()
	c2 := &client{nc, t}
	c2.send(frame(keyMetadata, 1, nil))
	c2.wantCorrelations(1)
	eventually(t, "counted", func() bool { return s.Stats().RefusedPerIP.Load() == 1 })
}

func TestConnectionRate(t *testing.T) {
	s := start(t, Limits{ConnectionsPerSecond: 2}, handlerFunc(echo))
	// Two at once, and one more whose accepting makes the loop wait.
	for range 3 {
		s.dial()
	}
	eventually(t, "the burst is accepted", func() bool { return s.Stats().Accepted.Load() == 3 })
	s.dial()
	time.Sleep(10 * time.Millisecond)
	if n := s.Stats().Accepted.Load(); n != 3 {
		t.Fatalf("%d accepted without time passing", n)
	}
	eventually(t, "another half second", func() bool {
		s.clock.Advance(500 * time.Millisecond)
		return s.Stats().Accepted.Load() == 4
	})
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	s := start(t, Limits{Idle: time.Minute}, handlerFunc(echo))
	idle, busy := s.dial(), s.dial()
	eventually(t, "accepted", func() bool { return s.Stats().Open.Load() == 2 })
	for range 4 {
		s.clock.Advance(20 * time.Second)
		busy.send(frame(keyMetadata, 1, nil))
		busy.wantCorrelations(1)
	}
	idle.wantClosed()
	eventually(t, "counted", func() bool { return s.Stats().ClosedIdle.Load() == 1 && s.Stats().Open.Load() == 1 })
}

func TestQuietConnectionsStartOverAndGoOn(t *testing.T) {
	s := start(t, Limits{}, handlerFunc(echo))
	c := s.dial()
	for range 3 {
		c.send(frame(keyMetadata, 1, nil))
		c.wantCorrelations(1)
		eventually(t, "the reader is parked", func() bool { return s.Stats().Replies.Load() > 0 })
		s.clock.Advance(10 * time.Second)
		// Half a frame arrives around the change of readers.
		f := frame(keyMetadata, 2, []byte("klamm"))
		c.send(f[:9])
		s.clock.Advance(10 * time.Second)
		c.send(f[9:])
		c.wantCorrelations(2)
	}
	c.send(frame(keyMetadata, 3, nil))
	c.wantCorrelations(3)
	s.clock.Advance(10 * time.Second)
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.wantClosed()
}

func TestWaitingForAnAnswerIsNotIdle(t *testing.T) {
	open := make(chan *Reply, 1)
	s := start(t, Limits{Idle: time.Minute}, handlerFunc(func(_ *Conn, r *Request) { open <- r.Reply }))
	c := s.dial()
	c.send(frame(keyMetadata, 1, nil))
	r := <-open
	s.clock.Advance(10 * time.Minute)
	r.Send()
	c.wantCorrelations(1)
}

func TestHalfFramesAreClosed(t *testing.T) {
	s := start(t, Limits{PartialFrame: 30 * time.Second}, handlerFunc(echo))
	c := s.dial()
	f := sized(keyMetadata, 1000)
	for i := range 10 {
		c.send(f[i*100 : (i+1)*100])
		eventually(t, "read", func() bool { return s.Stats().BytesIn.Load() == int64(i+1)*100 })
		s.clock.Advance(20 * time.Second) // slow, but it goes on
	}
	c.send(f[1000:])
	c.wantCorrelations(7)
	c.send(f[:500])
	eventually(t, "read", func() bool { return s.Stats().BytesIn.Load() == int64(len(f))+500 })
	s.clock.Advance(35 * time.Second)
	c.wantClosed()
	eventually(t, "counted", func() bool { return s.Stats().ClosedPartial.Load() == 1 })
}

func TestClientsThatDoNotReadAreClosed(t *testing.T) {
	answer := make([]byte, 1<<20)
	s := start(t, Limits{WriteStall: 30 * time.Second, UnsentBytes: 1 << 20}, handlerFunc(func(c *Conn, r *Request) {
		if r.Header.Key == wire.KeyFetch {
			b := r.Reply.Bytes()
			*b = append(*b, answer...)
		}
		r.Reply.Send()
	}))
	slow, healthy := s.dial(), s.dial()
	for i := range 100 {
		slow.send(frame(wire.KeyFetch, int32(i), nil))
	}
	eventually(t, "the socket is full", func() bool { return s.Stats().BytesOut.Load() > 3<<20 })
	if q := s.QueuedBytes(); q > 8<<20 {
		t.Fatalf("%d bytes queued for one client that does not read", q)
	}
	for range 3 {
		s.clock.Advance(10 * time.Second)
		healthy.send(frame(keyMetadata, 1, nil))
		healthy.wantCorrelations(1)
	}
	eventually(t, "closed", func() bool {
		s.clock.Advance(10 * time.Second)
		return s.Stats().ClosedStalled.Load() == 1
	})
	healthy.send(frame(keyMetadata, 1, nil))
	healthy.wantCorrelations(1)
	eventually(t, "memory is free", func() bool { return s.QueuedBytes() == 0 })
}

func TestPendingRepliesAreBounded(t *testing.T) {
	open := make(chan *Reply, 100)
	s := start(t, Limits{PendingReplies: 4}, handlerFunc(func(_ *Conn, r *Request) { open <- r.Reply }))
	c := s.dial()
	for i := range 10 {
		c.send(frame(keyMetadata, int32(i), nil))
	}
	for i := range 10 {
		if i < 6 {
			eventually(t, "four are open", func() bool { return len(open) == 4 })
			time.Sleep(time.Millisecond)
			if n := len(open); n != 4 {
				t.Fatalf("%d requests open", n)
			}
		}
		(<-open).Send()
		c.wantCorrelations(int32(i))
	}
}

func TestMemoryGrowsWithTheBytesThatArrived(t *testing.T) {
	s := start(t, Limits{}, handlerFunc(echo))
	for range 20 {
		c := s.dial()
		c.send(binary.BigEndian.AppendUint32(nil, 90<<20), []byte{0, 0, 0, 9})
	}
	eventually(t, "read", func() bool { return s.Stats().BytesIn.Load() == 20*8 })
	if q := s.QueuedBytes(); q > 20*int64(classBytes(startClass)) {
		t.Fatalf("%d bytes for 20 frames that claim 90 MiB each", q)
	}
	c := s.dial()
	big := frame(wire.KeyProduce, 1, bytes.Repeat([]byte("klamm"), 2<<20))
	c.send(big[:len(big)-1])
	eventually(t, "read", func() bool { return s.Stats().BytesIn.Load() == 20*8+int64(len(big))-1 })
	c.send(big[len(big)-1:])
	if _, b := c.receive(); !bytes.Equal(b, bytes.Repeat([]byte("klamm"), 2<<20)) {
		t.Fatal("a large frame came back changed")
	}
}

func TestMemoryIsBoundedAndSmallRequestsGoOn(t *testing.T) {
	const limit = 8 << 20
	s := start(t, Limits{QueuedBytes: limit}, handlerFunc(func(c *Conn, r *Request) { r.Reply.Send() }))
	big := sized(wire.KeyProduce, 3<<20)
	var flood []*client
	for range 6 {
		c := s.dial()
		flood = append(flood, c)
		go func() { _, _ = c.Write(big[:len(big)-1]) }()
	}
	eventually(t, "memory is short", func() bool { return s.Stats().MemoryWaits.Load() > 0 })
	small := s.dial()
	for range 10 {
		small.send(sized(keyMetadata, 2000))
		small.wantCorrelations(7)
	}
	if q := s.QueuedBytes(); q > limit+17<<20 {
		t.Fatalf("%d bytes queued", q)
	}
	for _, c := range flood {
		c.Close()
	}
	eventually(t, "memory is free", func() bool { return s.QueuedBytes() == 0 })
}

func TestFramesThatTogetherExceedTheMemoryAllFinish(t *testing.T) {
	s := start(t, Limits{QueuedBytes: 2 << 20}, handlerFunc(func(c *Conn, r *Request) { r.Reply.Send() }))
	big := sized(wire.KeyProduce, 3<<20)
	done := make(chan error, 6)
	for range cap(done) {
		c := s.dial()
		go func() {
			if _, err := c.Write(big); err != nil {
				done <- err
				return
			}
			_, _, err := c.tryReceive()
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "memory is free", func() bool { return s.QueuedBytes() == 0 })
}
