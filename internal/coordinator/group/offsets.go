package group

import (
	"maps"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/model"
)

// committed is an offset that a group has committed for a partition.
type committed struct {
	offset      int64
	leaderEpoch int32
	metadata    string
	committedMs int64
	expireMs    int64         // -1 when the retention of the broker decides
	topicID     model.TopicID // zero when the commit did not know it
}

func (g *group) set(topic []byte, partition int32, c committed) {
	parts := g.offsets[string(topic)]
	if parts == nil {
		if g.offsets == nil {
			g.offsets = map[string]map[int32]committed{}
		}
		parts = map[int32]committed{}
		g.offsets[string(topic)] = parts
	}
	parts[partition] = c
}

func (g *group) unset(topic []byte, partition int32) {
	if parts := g.offsets[string(topic)]; parts != nil {
		delete(parts, partition)
		if len(parts) == 0 {
			delete(g.offsets, string(topic))
		}
	}
}

// lookup is the offset committed for a partition. One that was committed in an earlier life of the topic is none (KIP-1319): a topic of
// the same name is another topic.
func (g *group) lookup(topic string, id model.TopicID, partition int32) (committed, bool) {
	if g == nil {
		return committed{}, false
	}
	c, ok := g.offsets[topic][partition]
	if !ok || !id.IsZero() && !c.topicID.IsZero() && c.topicID != id {
		return committed{}, false
	}
	return c, true
}

// forgetTopic appends tombstones for the offsets of one life of a topic, and for those that do not say which they are of. With the zero
// id it does so for all.
func (g *group) forgetTopic(t *turn, topic string, id model.TopicID) {
	parts := g.offsets[topic]
	for _, p := range slices.Sorted(maps.Keys(parts)) {
		if of := parts[p].topicID; id.IsZero() || of.IsZero() || of == id {
			t.records = append(t.records, coordinator.Record{Key: offsetKey(g.id, topic, p)})
		}
	}
}

// checkRetention begins a round through the groups and asks for the next.
func (s *state) checkRetention(now time.Time) coordinator.Step {
	if len(s.sweep) == 0 {
		for _, g := range s.sorted() {
			s.sweep = append(s.sweep, g.id)
		}
	}
	return s.sweepOne(now)
}

// What one tick of a round looks through and removes at most, so that a round over many groups does not hold up requests.
const (
	sweepGroups  = 1000
	sweepRecords = 1000
)

// sweepOne goes on with the round and leaves the rest of it to the next tick.
func (s *state) sweepOne(now time.Time) coordinator.Step {
	t := &turn{now: now, divide: true}
	for n := 0; n < sweepGroups && len(s.sweep) > 0 && len(t.records) < sweepRecords; n++ {
		g := s.find(s.sweep[0])
		s.sweep = s.sweep[1:]
		if g != nil {
			s.expire(t, g)
		}
	}
	if len(s.sweep) > 0 {
		s.set(&s.retention, now)
	} else {
		s.set(&s.retention, now.Add(s.config().OffsetsRetentionCheck))
	}
	return t.step()
}

// expire appends tombstones for the offsets of a group that nobody has needed for the time of retention (KIP-211), and for the group
// when nothing is left of it.
func (s *state) expire(t *turn, g *group) {
	left := 0
	for _, topic := range slices.Sorted(maps.Keys(g.offsets)) {
		for _, p := range slices.Sorted(maps.Keys(g.offsets[topic])) {
			c := g.offsets[topic][p]
			if s.expired(g, topic, &c, t.now) {
				t.records = append(t.records, coordinator.Record{Key: offsetKey(g.id, topic, p)})
			} else {
				left++
			}
		}
	}
	switch {
	case left > 0 || g.phase != empty || len(g.pending) > 0:
	case g.recorded || len(g.offsets) > 0:
		t.records = append(t.records, coordinator.Record{Key: groupKey(g.id)})
	default:
		s.remove(g)
	}
}

// expired decides on one offset. While the group has members, only offsets of topics that none of them subscribes to can expire, and
// only if the group says what it subscribes to and is not about to change that. A group that became empty keeps its offsets for the time
// of retention from then on; a simple group, of clients that assign partitions themselves, from each commit on.
func (s *state) expired(g *group, topic string, c *committed, now time.Time) bool {
	base := time.UnixMilli(c.committedMs)
	switch {
	case g.protocolType == nil:
	case g.phase == empty:
		if !g.since.IsZero() {
			base = g.since
		}
	case g.phase == stable && g.topics.known && !g.subscribes(topic):
	default:
		return false
	}
	if c.expireMs >= 0 {
		return now.UnixMilli() >= c.expireMs
	}
	return !now.Before(base.Add(s.config().OffsetsRetention))
}
