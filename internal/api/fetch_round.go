package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// openSession finds out what is to be read: what the request names, or what its session remembers.
func (c *fetchCall) openSession(v *wire.FetchVisitor) model.ErrorCode {
	h := v.Head()
	if h.SessionEpoch != finalSessionEpoch && h.SessionEpoch != initialSessionEpoch {
		return c.continueSession(h)
	}
	if h.SessionID != 0 {
		c.api.sessions.close(h.SessionID)
	}
	for i := range c.asked {
		c.parts = append(c.parts, &c.asked[i])
	}
	if h.SessionEpoch == initialSessionEpoch && len(c.parts) > 0 {
		c.startSession()
	}
	return model.None
}

// startSession remembers the partitions, which then must outlive the request.
func (c *fetchCall) startSession() {
	parts := make([]sessionPartition, len(c.asked))
	copy(parts, c.asked)
	for i := range parts {
		c.identify(&parts[i])
		c.parts[i] = &parts[i]
	}
	if c.session = c.api.sessions.open(c.parts, c.version >= 13); c.session != nil {
		c.session.call.Store(c)
		if c.replica >= 0 {
			c.api.sessions.own(c.session, c.replica)
		}
		c.parts = c.session.snapshot(c.parts[:0])
	}
}

// identify notes which life of its topic a partition named by the topic's name means.
func (c *fetchCall) identify(p *sessionPartition) {
	if p.topic == "" {
		return
	}
	if t := c.image.Topic(p.topic); t != nil {
		p.named = t.ID
	}
}

// continueSession applies what the request changes in its session.
func (c *fetchCall) continueSession(h *wire.FetchRequestHead) model.ErrorCode {
	s, code := c.api.sessions.take(h.SessionID, h.SessionEpoch)
	if code != model.None {
		return code
	}
	c.session, c.incremental = s, true
	s.call.Store(c)
	if s.byID != (c.version >= 13) {
		c.endTurn()
		return model.FetchSessionTopicIDError
	}
	if len(c.asked)+len(c.forgotten) > 0 {
		s.update(c.asked, c.forgotten, c.identify)
		c.api.sessions.recount(s)
	}
	c.parts = s.snapshot(c.parts[:0])
	return model.None
}

func (c *fetchCall) endTurn() {
	if c.session != nil {
		c.session.call.Store(nil)
		c.session.yield()
		c.session = nil
	}
}

// closeRound decides which partitions are part of the answer and notes in the session what the client is told. It returns the session
// to name in the answer.
func (c *fetchCall) closeRound() (sessionID int32, code model.ErrorCode) {
	for i := range c.results {
		if p := c.results[i].part; p != nil {
			p.Stats().FetchRequests.Add(1)
		}
	}
	s := c.session
	if s == nil {
		for i := range c.results {
			c.results[i].include = true
		}
		return 0, model.None
	}
	defer c.endTurn()
	if c.recreated() {
		// Fetching on by name would go on in the new topic at an offset of the old one. The client opens another session, and
		// finds out (KIP-516).
		c.api.sessions.close(s.id)
		return 0, model.FetchSessionIDNotFound
	}
	for i, sp := range c.parts {
		c.results[i].include = sp.tell(&c.results[i]) || !c.incremental
	}
	if !c.incremental {
		return s.id, model.None
	}
	if s.len() == 0 {
		c.api.sessions.close(s.id)
		return 0, model.None
	}
	c.rotate()
	return s.id, model.None
}

// recreated reports that a topic the session knows by name is another one now.
func (c *fetchCall) recreated() bool {
	if c.session.byID {
		return false
	}
	for _, sp := range c.parts {
		t := c.image.Topic(sp.topic)
		if t == nil {
			continue
		}
		if sp.named.IsZero() {
			sp.named = t.ID
		}
		if sp.named != t.ID {
			return true
		}
	}
	return false
}

// tell notes what the client is told about a partition, and reports whether there is anything new: records, an error, other
// watermarks. A partition that had an error is told again, so that the client learns when it is over.
func (p *sessionPartition) tell(r *fetchResult) bool {
	changed := r.code != model.None || r.read.Slice.Len > 0 || r.read.Diverging.Set || r.nearer || p.toldHW != r.read.HW || p.toldStart != r.read.LogStart
	p.toldHW, p.toldStart = r.read.HW, r.read.LogStart
	if r.read.Diverging.Set { // a follower cuts its log, and takes nothing else from such an answer
		p.toldHW, p.toldStart = model.NoOffset, model.NoOffset
	}
	return changed
}

// rotate moves what was answered with records to the end of the session, so that no partition starves the others. The results follow
// the session's order, as nobody else has its turn.
func (c *fetchCall) rotate() {
	i := -1
	c.rotated = c.session.rotate(func(*sessionPartition) bool {
		i++
		return c.results[i].read.Slice.Len > 0
	}, c.rotated[:0])
}
