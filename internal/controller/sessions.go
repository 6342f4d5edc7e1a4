package controller

import (
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// sessions remembers when each broker was last heard of, and has those fenced that were silent for too long. It belongs to the loop. It is
// not in the metadata: a new controller gives everybody a whole session's time.
//
// The controller's own broker has no session: it runs in this process, and both are silent together.
type sessions struct {
	c    *Controller
	last map[model.BrokerID]time.Time
	// heard are those who were heard of in this term: only of them is it known that they live.
	heard map[model.BrokerID]bool
	gone  map[model.BrokerID]model.BrokerEpoch // processes that are known to be dead
	next  clock.Timer
}

func (s *sessions) init(c *Controller) {
	s.c, s.last, s.heard = c, map[model.BrokerID]time.Time{}, map[model.BrokerID]bool{}
	s.gone = map[model.BrokerID]model.BrokerEpoch{}
}

// restart begins a term: every broker that takes part was heard of just now.
func (s *sessions) restart(img *metadata.Image) {
	s.stop()
	for _, b := range img.Brokers() {
		if !b.Fenced {
			s.begin(b.ID)
		}
	}
}

// fenceGone fences the processes that are known to be dead. One that has registered since is another process.
func (s *sessions) fenceGone(img *metadata.Image) {
	for id, epoch := range s.gone {
		if b := img.Broker(id); b != nil && b.Epoch == epoch && !b.Fenced {
			delete(s.last, id)
			s.c.fenceSilent(id, "gone", "its process is dead (its connections closed)")
		}
	}
	clear(s.gone)
}

func (s *sessions) stop() {
	if s.next != nil {
		s.next.Stop()
		s.next = nil
	}
	clear(s.last)
	clear(s.heard)
}

// touch notes a sign of life.
func (s *sessions) touch(id model.BrokerID) {
	s.heard[id] = true
	s.begin(id)
}

// begin gives a broker a whole session's time.
func (s *sessions) begin(id model.BrokerID) {
	if id == s.c.o.Me {
		return
	}
	s.last[id] = s.c.o.Clock.Now()
	if s.next == nil {
		s.lookIn(s.c.o.SessionTimeout)
	}
}

func (s *sessions) lookIn(d time.Duration) {
	due := s.c.o.Clock.Now().Add(d)
	s.next = s.c.o.Clock.AfterFunc(d, func() {
		late := s.c.o.Clock.Now().Sub(due)
		s.c.inbox.push(func() { s.expire(late) })
	})
}

// alive reports that the broker was heard of within its session.
func (s *sessions) alive(id model.BrokerID) bool {
	at, ok := s.last[id]
	return ok && s.heard[id] && s.c.o.Clock.Now().Sub(at) < s.c.o.SessionTimeout
}

// expire fences who was silent and looks again when the next one could be. late is how much later than asked for the timer came.
func (s *sessions) expire(late time.Duration) {
	s.next = nil
	if !s.c.leading {
		return
	}
	now, soonest := s.c.o.Clock.Now(), s.c.o.SessionTimeout
	if late > s.c.o.SessionTimeout/2 {
		// This process stood still itself (a paused machine, a stopped process): it has not listened, so nobody was silent.
		s.c.o.Logger.Warn("controller was held up; every broker gets another session", "late", late)
		for id := range s.last {
			s.last[id] = now
		}
	}
	for id, at := range s.last {
		if left := s.c.o.SessionTimeout - now.Sub(at); left > 0 {
			soonest = min(soonest, left)
			continue
		}
		delete(s.last, id)
		s.c.fenceSilent(id, "silent", "no heartbeat for "+s.c.o.SessionTimeout.String())
	}
	if len(s.last) > 0 {
		s.lookIn(soonest)
	}
}

func (c *Controller) fenceSilent(id model.BrokerID, word, reason string) {
	c.step(operation{
		decide: func(img *metadata.Image) []metadata.Record {
			b := img.Broker(id)
			if b == nil || b.Fenced {
				return nil
			}
			c.o.Logger.Warn("broker fenced", "broker", id, "reason", reason)
			c.because(word, "broker %d is fenced, %s", id, reason)
			c.why.brief = reason
			return fence(c.electorate(img), b)
		},
		settle: func(error) {},
	})
}
