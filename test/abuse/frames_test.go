package abuse

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience is how long a broker may take to close a connection that cannot go on. It is not how long it takes.
const patience = 10 * time.Second

// size is a frame's length field alone.
func size(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// brokenFrames are bytes after which a connection cannot go on: Kafka closes it, and so do we.
func brokenFrames() map[string][]byte {
	metadata := header(3, 0, 1)
	frames := map[string][]byte{
		"negative length":         append(size(-1), "xxxxxxxx"...),
		"most negative length":    append(size(math.MinInt32), "xxxxxxxx"...),
		"length of 2 GiB":         append(size(math.MaxInt32), "xxxxxxxx"...),
		"length over the limit":   append(size(101*mib), "xxxxxxxx"...),
		"no bytes":                size(0),
		"unknown key":             frame(header(9999, 0, 1)),
		"negative key":            frame(header(-1, 0, 1)),
		"key of another age":      frame(append(header(4, 0, 1), make([]byte, 20)...)),
		"key between brokers":     frame(append(header(62, 0, 1), make([]byte, 40)...)),
		"version of the future":   frame(append(header(3, 99, 1), make([]byte, 20)...)),
		"negative version":        frame(append(header(3, -1, 1), make([]byte, 20)...)),
		"HTTP":                    []byte("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"TLS":                     append([]byte("\x16\x03\x01\x00\xf1\x01\x00\x00\xed\x03\x03"), slices.Repeat([]byte{1}, 250)...),
		"SSH":                     []byte("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
		"body cut off":            frame(append(header(3, 1, 1), 0, 0)),
		"body that claims 2^31":   frame(append(header(3, 1, 1), 0x7f, 0xff, 0xff, 0xff)),
		"client id over the end":  frame(append(header(3, 0, 1)[:8], 0x7f, 0xff)),
		"negative client id":      frame(append(header(3, 0, 1)[:8], 0x80, 0x00)),
		"header tags over budget": frame(append(header(3, 12, 1), 0xff, 0xff, 0xff, 0xff, 0x0f)),
	}
	for n := 1; n < len(metadata); n++ {
		frames[fmt.Sprintf("header of %d bytes", n)] = frame(metadata[:n])
	}
	return frames
}

func TestBrokenFramesCloseTheConnection(t *testing.T) {
	tg := attack(t)
	h := tg.serve(t)
	check := tg.watchMemory(t, 32*mib)
	for name, b := range brokenFrames() {
		c := tg.dial(t)
		if _, err := c.Write(b); err != nil && !gone(err) {
			t.Errorf("%s: %v", name, err)
		}
		if !c.closes(patience) {
			t.Errorf("%s: the connection is still open after %s", name, patience)
		}
	}
	check()
	h.stop(t, 5*time.Second)
	tg.checkAlive(t)
}

// TestEveryCutOfARequest sends the beginning of a good request and then closes its side, at every length. The broker must close too.
func TestEveryCutOfARequest(t *testing.T) {
	tg := attack(t)
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	b, _ := request(req)
	for n := range len(b) {
		c := tg.dial(t)
		if _, err := c.Write(b[:n]); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if !c.closes(patience) {
			t.Errorf("%d of %d bytes, then the end: the connection is still open", n, len(b))
		}
	}
	tg.checkAlive(t)
}

// TestRequestInPieces sends a good request byte by byte: it must be answered.
func TestRequestInPieces(t *testing.T) {
	tg := attack(t)
	c := tg.dial(t)
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	b, id := request(req)
	for i := range b {
		if _, err := c.Write(b[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.answer(req, id); err != nil {
		t.Fatal(err)
	}
}

// TestUnknownAPIVersionsVersion: whatever version a client asks for, it gets error 35 in version 0, with the versions of ApiVersions in it,
// and the connection goes on (KIP-511).
func TestUnknownAPIVersionsVersion(t *testing.T) {
	tg := attack(t)
	for _, version := range []int16{6, 99, math.MaxInt16, -1} {
		c := tg.dial(t)
		b := header(int16(kmsg.ApiVersions), version, 77)
		if version > 0 {
			b = append(b, "\x00\x06abuse\x041.0\x00"...) // tags of the header, software, its version, tags of the body
		}
		if _, err := c.Write(frame(b)); err != nil {
			t.Fatal(err)
		}
		answer, err := c.readFrame(patience)
		if err != nil {
			t.Errorf("v%d: %v", version, err)
			continue
		}
		if id := binary.BigEndian.Uint32(answer); id != 77 {
			t.Errorf("v%d: correlation id %d", version, id)
		}
		resp := kmsg.NewPtrApiVersionsResponse()
		if err := resp.ReadFrom(answer[4:]); err != nil || len(answer) != 4+2+4+6*len(resp.ApiKeys) {
			t.Errorf("v%d: not an answer of version 0: %x, %v", version, answer, err)
		}
		known := slices.ContainsFunc(resp.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool {
			return k.ApiKey == int16(kmsg.ApiVersions) && k.MinVersion == 0 && k.MaxVersion >= 4
		})
		if resp.ErrorCode != 35 || !known {
			t.Errorf("v%d: error %d, keys %+v", version, resp.ErrorCode, resp.ApiKeys)
		}
		again := kmsg.NewPtrApiVersionsRequest()
		again.Version = 3
		again.ClientSoftwareName, again.ClientSoftwareVersion = "abuse", "1.0"
		if r := c.mustAsk(t, again).(*kmsg.ApiVersionsResponse); r.ErrorCode != 0 {
			t.Errorf("v%d, then v3: error %d", version, r.ErrorCode)
		}
	}
}

// TestBadClientSoftware: names that do not look like names are refused, on a connection that stays (KIP-511).
func TestBadClientSoftware(t *testing.T) {
	tg := attack(t)
	c := tg.dial(t)
	for _, name := range []string{"", "-", "a b", "a\nb", "\xff\xfe", "a-", strings.Repeat("a", 30_000) + "!"} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version = 3
		req.ClientSoftwareName, req.ClientSoftwareVersion = name, "1"
		if r := c.mustAsk(t, req).(*kmsg.ApiVersionsResponse); r.ErrorCode != 42 {
			t.Errorf("software %.20q: error %d, want 42", name, r.ErrorCode)
		}
	}
}

// TestGarbage sends random bytes: bare, in frames, and as bodies of every key and version.
func TestGarbage(t *testing.T) {
	tg := attack(t)
	rng := newRand(t)
	h := tg.serve(t)
	check := tg.watchMemory(t, 64*mib)
	garbage := func(n int) []byte {
		b := make([]byte, rng.IntN(n))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	for range 300 {
		c := tg.dial(t)
		b := garbage(4096)
		if rng.IntN(2) == 0 {
			b = frame(b)
		}
		_, _ = c.Write(b)
		_ = c.CloseWrite()
		if !c.closes(patience) {
			t.Fatalf("random bytes: the connection is still open: %x", b)
		}
	}
	check()
	h.stop(t, 5*time.Second)
	tg.checkAlive(t)
}

// hostileBodies are fillings that make every array, string and tag claim something absurd.
func hostileBodies() [][]byte {
	return [][]byte{
		{},
		make([]byte, 64),
		slices.Repeat([]byte{0xff}, 64),
		slices.Repeat([]byte{0x7f, 0xff, 0xff, 0xff}, 16),       // arrays and strings of the largest length
		slices.Repeat([]byte{0x80, 0x00, 0x00, 0x00}, 16),       // and of the most negative
		slices.Repeat([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, 16), // compact ones
		slices.Repeat([]byte{0x00, 0x00, 0x00, 0x01}, 64),       // one element in one element in one element
		slices.Repeat([]byte{0x02}, 256),
		slices.Repeat([]byte{0x00, 0x0f, 0x42, 0x40}, 4096), // a million elements each
	}
}

// lethal are requests that do what they say: a body of the right four bytes takes the broker out of its cluster. Who may do that is not a
// question of parsing.
func lethal(key int16) bool {
	switch kmsg.Key(key) {
	case kmsg.UnregisterBroker, kmsg.RemoveRaftVoter, kmsg.UnregisterController:
		return true
	default:
		return false
	}
}

// TestHostileBodies sends every key in every version with each of the hostile bodies. An answer, an error or a closed connection are all
// fine; what counts is what it costs.
func TestHostileBodies(t *testing.T) {
	tg := attack(t)
	h := tg.serve(t)
	check := tg.watchMemory(t, 96*mib)
	var work sync.WaitGroup
	keys := make(chan int16)
	for range 4 {
		work.Go(func() {
			for key := range keys {
				tg.sendHostile(t, key)
			}
		})
	}
	for key := range int16(kmsg.MaxKey + 1) {
		if !lethal(key) {
			keys <- key
		}
	}
	close(keys)
	work.Wait()
	check()
	h.stop(t, 5*time.Second)
	tg.checkAlive(t)
}

func (tg *target) sendHostile(t *testing.T, key int16) {
	var c rawConn
	for version := range kmsg.RequestForKey(key).MaxVersion() + 1 {
		for _, body := range hostileBodies() {
			if c.TCPConn == nil {
				var err error
				if c, err = tg.tryDial(); err != nil {
					t.Error(err)
					return
				}
			}
			req := kmsg.RequestForKey(key)
			req.SetVersion(version)
			b := header(key, version, 1)
			if req.IsFlexible() {
				b = append(b, 0)
			}
			// The request behind it shows that the connection goes on, or that it does not; what may be held back, as a group's
			// join is, is not waited for.
			_, err := c.Write(frame(append(b, body...)))
			if err == nil {
				_, err = c.readFrame(100 * time.Millisecond)
			}
			if err != nil {
				c.Close()
				c = rawConn{}
			}
		}
	}
	if c.TCPConn != nil {
		c.Close()
	}
}

// TestTenThousandBadFrames sends them as fast as the broker takes them.
func TestTenThousandBadFrames(t *testing.T) {
	tg := attack(t, "-X", "max.connection.creation.rate=100000")
	rng := newRand(t)
	h := tg.serve(t)
	check := tg.watchMemory(t, 64*mib)
	var frames [][]byte
	for name, b := range brokenFrames() {
		if !strings.Contains(name, "length") { // those would only wait for the rest
			frames = append(frames, b)
		}
	}
	var work sync.WaitGroup
	for i := range 8 {
		pick := rng.Perm(1250)
		work.Go(func() {
			for n := range pick {
				// From addresses of its own, so that no limit per address shields the broker.
				c, err := tg.tryDial(net.IPv4(127, 0, 1, byte(1+i)))
				if err != nil {
					t.Errorf("connection %d: %v", n, err)
					return
				}
				_, _ = c.Write(frames[pick[n]%len(frames)])
				if !c.closes(patience) {
					t.Errorf("still open after a bad frame: %x", frames[pick[n]%len(frames)])
				}
				c.Close()
			}
		})
	}
	work.Wait()
	check()
	h.stop(t, 5*time.Second)
	tg.checkAlive(t)
}
