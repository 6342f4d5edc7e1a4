package client_test

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/client"
	"github.com/klamm/klamm/internal/wire"
)

// lending is a fetch answer in memory of the caller.
type lending struct {
	wire.FetchResponse
	frame []byte
}

func (l *lending) Lend() (frame []byte) {
	frame, l.frame = l.frame, nil
	return frame
}

func (l *lending) Return(frame []byte) { l.frame = frame }

// records answers any fetch with this many bytes.
func records(size int) func(wire.RequestHeader, int) []byte {
	return func(h wire.RequestHeader, n int) []byte {
		b := make([]byte, size)
		binary.BigEndian.PutUint64(b, uint64(n))
		p := wire.NewFetchResponseTopicPartition()
		p.Records = b
		return framed(h, h.CorrelationID, &wire.FetchResponse{Responses: []wire.FetchResponseTopic{{Partitions: []wire.FetchResponseTopicPartition{p}}}})
	}
}

func TestLentMemoryIsUsedAgain(t *testing.T) {
	p := serve(t, records(300<<10))
	c := newClient(t, client.Options{})
	var l lending
	var before *byte
	for i := range 3 {
		if err := c.Peer(p.addr).Call(t.Context(), &wire.FetchRequest{}, 17, &l); err != nil {
			t.Fatal(err)
		}
		got := l.Responses[0].Partitions[0].Records
		if len(got) != 300<<10 || binary.BigEndian.Uint64(got) != uint64(i) {
			t.Fatalf("answer %d: %d bytes, %d", i, len(got), binary.BigEndian.Uint64(got))
		}
		if before != nil && before != &l.frame[0] {
			t.Fatal("the answer came in other memory")
		}
		before = &l.frame[0]
	}
}

// The answer to a call that was given up is still read into what it lent, which must not be the next answer's too.
func TestMemoryOfACallThatWasGivenUpIsNotUsedAgain(t *testing.T) {
	hold := make(chan struct{})
	p := serve(t, func(h wire.RequestHeader, n int) []byte {
		if n == 1 {
			<-hold
		}
		return records(100<<10)(h, n)
	})
	c := newClient(t, client.Options{})
	var l lending
	if err := c.Peer(p.addr).Call(t.Context(), &wire.FetchRequest{}, 17, &l); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.Peer(p.addr).Call(ctx, &wire.FetchRequest{}, 17, &l); err == nil {
		t.Fatal("nobody gave up")
	}
	if l.frame != nil {
		t.Fatal("the memory came back although the answer may still be read into it")
	}
	close(hold)
	if err := c.Peer(p.addr).Call(t.Context(), &wire.FetchRequest{}, 17, &l); err != nil {
		t.Fatal(err)
	}
	if n := binary.BigEndian.Uint64(l.Responses[0].Partitions[0].Records); n != 2 {
		t.Fatalf("answer %d", n)
	}
}

func BenchmarkLargeAnswers(b *testing.B) {
	p := serve(b, records(256<<10))
	c := newClient(b, client.Options{})
	var l lending
	b.SetBytes(256 << 10)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Peer(p.addr).Call(b.Context(), &wire.FetchRequest{}, 17, &l); err != nil {
			b.Fatal(err)
		}
	}
}
