package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/sim/history"
)

// TestEveryByteOfARecordIsChecked: a record comes back as it was written, or is seen as damaged, whatever single byte is another one.
func TestEveryByteOfARecordIsChecked(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 150} {
		b := payload(3<<40|17, n)
		if m := seen(&kgo.Record{Value: b, Offset: 9}); m.Damaged || m.Value != 3<<40|17 || m.Offset != 9 || len(b) != headSize+n {
			t.Fatalf("%d bytes of padding: %+v", n, m)
		}
		for i := range b {
			other := append([]byte(nil), b...)
			other[i] ^= 4
			m := seen(&kgo.Record{Value: other})
			// Without padding, another number is another record: the checker does not know it.
			if !m.Damaged && (n > 0 || m.Value == 3<<40|17) {
				t.Errorf("padding %d, byte %d: not seen", n, i)
			}
		}
		for cut := range b {
			if !seen(&kgo.Record{Value: b[:cut]}).Damaged {
				t.Errorf("padding %d cut to %d: not seen", n, cut)
			}
		}
	}
}

// TestOnlyCertainFailuresFail: whatever may have been written stays undecided.
func TestOnlyCertainFailuresFail(t *testing.T) {
	for _, tc := range []struct {
		err    error
		doubt  bool
		want   history.Type
		broken bool
	}{
		{nil, false, history.OK, false},
		{nil, true, history.Info, true},
		{kerr.MessageTooLarge, false, history.Fail, false},
		{fmt.Errorf("%w (uncompressed_bytes=1)", kerr.MessageTooLarge), false, history.Fail, false},
		{kerr.InvalidRecord, false, history.Fail, false},
		{kerr.NotEnoughReplicasAfterAppend, false, history.Info, true},
		{kerr.RequestTimedOut, false, history.Info, true},
		{kerr.OutOfOrderSequenceNumber, false, history.Info, true},
		{kgo.ErrRecordTimeout, false, history.Info, true},
		{kgo.ErrClientClosed, false, history.Info, true},
		{context.Canceled, false, history.Info, true},
		{errors.New("anything else"), false, history.Info, true},
	} {
		rec := history.NewRecorder(func() int64 { return 1 })
		call := rec.Begin(history.Op{F: history.Send, Mops: []history.Mop{{Value: 1, Offset: history.None}}})
		broken := decide(call, history.Mop{Value: 1, Offset: 5}, tc.err, tc.doubt)
		h := rec.History()
		if h[1].Type != tc.want || broken != tc.broken || tc.want == history.OK && h[1].Mops[0].Offset != 5 || tc.want != history.OK && h[1].Mops[0].Offset != history.None {
			t.Errorf("%v: %+v, broken %v", tc.err, h[1], broken)
		}
	}
}

// TestClientsAreDrawnFromTheSeedAlone: the same seed makes clients with the same generators, whatever runs around them.
func TestClientsAreDrawnFromTheSeedAlone(t *testing.T) {
	draw := func(seed uint64) (numbers []uint64) {
		w, err := New(Options{Seeds: []string{"x:1"}, Rand: rand.New(rand.NewPCG(seed, 0)), Recorder: history.NewRecorder(func() int64 { return 0 }), Load: Small()})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		for _, a := range w.actors {
			switch a := a.(type) {
			case *producer:
				numbers = append(numbers, a.rng.Uint64())
			case *consumer:
				numbers = append(numbers, a.rng.Uint64())
			case *member:
				numbers = append(numbers, a.rng.Uint64(), uint64(a.balancer))
			case *prober:
				numbers = append(numbers, a.rng.Uint64())
			case *admin:
				numbers = append(numbers, a.rng.Uint64())
			}
		}
		return numbers
	}
	a, again, other := fmt.Sprint(draw(1)), fmt.Sprint(draw(1)), fmt.Sprint(draw(2))
	if a != again || a == other {
		t.Fatalf("%s, %s, %s", a, again, other)
	}
}

func TestWorkloadNeedsItsMeans(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Fatal("made without brokers, randomness or recorder")
	}
}
