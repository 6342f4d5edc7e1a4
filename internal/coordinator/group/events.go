package group

import (
	"time"

	"github.com/klamm/klamm/internal/coordinator"
)

// event is a request that waits for one answer.
type event interface {
	coordinator.Event[*state]
	answered() <-chan result
}

func (c *call) answered() <-chan result { return c.done }

// Refuse implements coordinator.Event.
func (c *call) Refuse(err error) { c.fail(err) }

// Independent implements coordinator.Event: most requests depend on what those before them changed.
func (c *call) Independent() bool { return false }

// Step implements coordinator.Event.
func (r *joinRequest) Step(s *state, now time.Time) coordinator.Step { return s.join(now, r) }

// Step implements coordinator.Event.
func (r *syncRequest) Step(s *state, now time.Time) coordinator.Step { return s.sync(now, r) }

// Step implements coordinator.Event.
func (r *heartbeatRequest) Step(s *state, now time.Time) coordinator.Step { return s.heartbeat(now, r) }

// Independent implements coordinator.Event: a heartbeat looks at members only.
func (r *heartbeatRequest) Independent() bool { return true }

// Step implements coordinator.Event.
func (r *leaveRequest) Step(s *state, now time.Time) coordinator.Step { return s.leave(now, r) }

// Step implements coordinator.Event.
func (r *commitRequest) Step(s *state, now time.Time) coordinator.Step { return s.commit(now, r) }

// Independent implements coordinator.Event: whether a member may commit does not depend on offsets, so commits share batches.
func (r *commitRequest) Independent() bool { return true }

// Step implements coordinator.Event.
func (r *fetchRequest) Step(s *state, now time.Time) coordinator.Step { return s.fetch(now, r) }

// Step implements coordinator.Event.
func (r *deleteOffsetsRequest) Step(s *state, now time.Time) coordinator.Step {
	return s.deleteOffsets(now, r)
}

// Step implements coordinator.Event.
func (r *deleteRequest) Step(s *state, now time.Time) coordinator.Step { return s.delete(now, r) }

// Step implements coordinator.Event.
func (r *describeRequest) Step(s *state, now time.Time) coordinator.Step { return s.describe(now, r) }

// Step implements coordinator.Event.
func (r *listRequest) Step(s *state, now time.Time) coordinator.Step { return s.list(now, r) }

// topicsEvent tells a shard of deleted topics. Nobody waits for it: a shard that is over has another node, or a later load, whose
// coordinator learns of the deletion on its own.
type topicsEvent struct{ topics []DeletedTopic }

// Step implements coordinator.Event.
func (e *topicsEvent) Step(s *state, now time.Time) coordinator.Step {
	return s.topicsDeleted(now, e.topics)
}

// Independent implements coordinator.Event.
func (e *topicsEvent) Independent() bool { return false }

// Refuse implements coordinator.Event.
func (e *topicsEvent) Refuse(error) {}
