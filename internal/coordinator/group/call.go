package group

import (
	"github.com/klamm/klamm/internal/coordinator"
)

// call is a request that waits for its answer. Exactly one comes.
type call struct{ done chan result }

// result is a response body, or the reason why there is none.
type result struct {
	body any
	err  error
}

func newCall() *call { return &call{done: make(chan result, 1)} }

// fail answers with an error. A nil call, of a member that waits for nothing, is left alone.
func (c *call) fail(err error) {
	if c != nil {
		c.done <- result{err: err}
	}
}

// reply is an answer on its way. It implements coordinator.Reply.
type reply struct {
	to   *call
	body any
}

var _ coordinator.Reply = reply{}

// Deliver gives the answer, or err in its place.
func (r reply) Deliver(err error) {
	if err != nil {
		r.to.fail(err)
		return
	}
	if r.to != nil {
		r.to.done <- result{body: r.body}
	}
}
