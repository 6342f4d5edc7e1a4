package server

import (
	"context"
	"errors"
	"testing"
	"time"
)

// holder keeps a reply until it is hurried.
type holder struct {
	reply   *Reply
	hurried chan struct{}
	written chan struct{}
}

func (h *holder) Hurry() {
	select {
	case h.hurried <- struct{}{}:
		h.reply.Send()
	default:
	}
}

func (h *holder) Written() { close(h.written) }

func newHolder() *holder {
	return &holder{hurried: make(chan struct{}, 1), written: make(chan struct{})}
}

func TestDrainAnswersWhatIsOpen(t *testing.T) {
	h := newHolder()
	served := make(chan struct{})
	s := start(t, Limits{}, handlerFunc(func(_ *Conn, r *Request) {
		h.reply = r.Reply
		r.Reply.Own(h)
		close(served)
	}))
	idle, busy := s.dial(), s.dial()
	busy.send(frame(keyMetadata, 9, nil))
	<-served
	eventually(t, "both accepted", func() bool { return s.Stats().Open.Load() == 2 })
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	busy.wantCorrelations(9)
	busy.wantClosed()
	idle.wantClosed()
	<-h.written
	if n := s.Stats().Open.Load(); n != 0 {
		t.Fatalf("%d connections left", n)
	}
}

func TestDrainGivesUpWhenToldTo(t *testing.T) {
	block := make(chan struct{})
	served := make(chan struct{})
	s := start(t, Limits{}, handlerFunc(func(_ *Conn, r *Request) {
		close(served)
		<-block
		r.Reply.Send()
	}))
	defer close(block)
	c := s.dial()
	c.send(frame(keyMetadata, 1, nil))
	<-served
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Drain: %v", err)
	}
}

func TestDrainOfNothing(t *testing.T) {
	s := start(t, Limits{}, handlerFunc(echo))
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestClosedClientsHurryTheirOwners(t *testing.T) {
	h := newHolder()
	served := make(chan struct{})
	s := start(t, Limits{}, handlerFunc(func(_ *Conn, r *Request) {
		h.reply = r.Reply
		r.Reply.Own(h)
		close(served)
	}))
	c := s.dial()
	c.send(frame(keyMetadata, 1, nil))
	<-served
	c.Close()
	<-h.written
	eventually(t, "forgotten", func() bool { return s.Stats().Open.Load() == 0 && s.QueuedBytes() == 0 })
}
