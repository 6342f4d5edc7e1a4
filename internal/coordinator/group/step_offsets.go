package group

import (
	"maps"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// commitKnowsGroups is the version of OffsetCommit from which on clients know GROUP_ID_NOT_FOUND (KIP-848).
const commitKnowsGroups = 9

// commitRequest is one OffsetCommit. Topics of the request have names; ids, where the node knows them, tell the life of the topic.
type commitRequest struct {
	*call
	version int16
	q       *wire.OffsetCommitRequest
}

// commit handles OffsetCommit. All offsets of a request are written together.
func (s *state) commit(now time.Time, r *commitRequest) coordinator.Step {
	t := &turn{now: now}
	code := s.mayCommit(now, r)
	resp := commitResponse(r.q, code)
	if code == model.None {
		s.commitRecords(t, r.q, resp)
	}
	t.reply(r.call, resp)
	return t.step()
}

// commitResponse answers every partition with the same code.
func commitResponse(q *wire.OffsetCommitRequest, code model.ErrorCode) *wire.OffsetCommitResponse {
	resp := &wire.OffsetCommitResponse{Topics: make([]wire.OffsetCommitResponseTopic, len(q.Topics))}
	for i := range q.Topics {
		qt, rt := &q.Topics[i], &resp.Topics[i]
		rt.Name, rt.TopicID = qt.Name, qt.TopicID
		rt.Partitions = make([]wire.OffsetCommitResponseTopicPartition, len(qt.Partitions))
		for j := range qt.Partitions {
			rt.Partitions[j] = wire.OffsetCommitResponseTopicPartition{PartitionIndex: qt.Partitions[j].PartitionIndex, ErrorCode: code}
		}
	}
	return resp
}

// mayCommit decides whether the sender may commit now. A valid commit of a member also keeps its session.
func (s *state) mayCommit(now time.Time, r *commitRequest) model.ErrorCode {
	q := r.q
	g := s.find(q.GroupID)
	switch {
	case g == nil && q.GenerationIDOrMemberEpoch < 0:
		return model.None // an administrator, or a consumer that assigns its partitions itself: a simple group begins
	case g == nil && r.version >= commitKnowsGroups:
		return model.GroupIDNotFound
	case g == nil:
		return model.IllegalGeneration
	case g.phase == empty && q.GenerationIDOrMemberEpoch < 0:
		return model.None
	case q.GenerationIDOrMemberEpoch < 0 && q.MemberID == "" && q.GroupInstanceID == nil:
		return model.UnknownMemberID // the group has members, and this is none of them
	}
	m, code := g.identify(q.MemberID, q.GroupInstanceID)
	switch {
	case code != model.None:
		return code
	case q.GenerationIDOrMemberEpoch != g.generation && !bug.Is(bug.OldGenerationCommits):
		return model.IllegalGeneration
	case g.phase == completing:
		// It knows the new generation but not yet its share of it. What it commits could be another's by now.
		return rebalanceInProgress
	}
	s.heard(m, now)
	return model.None
}

func (s *state) commitRecords(t *turn, q *wire.OffsetCommitRequest, resp *wire.OffsetCommitResponse) {
	limit := s.config().OffsetMetadataMaxBytes
	ms := t.now.UnixMilli()
	n, size := 0, 0
	for i := range q.Topics {
		n += len(q.Topics[i].Partitions)
		size += len(q.Topics[i].Partitions) * (offsetKeySize(q.GroupID, q.Topics[i].Name) + offsetValueSize)
	}
	t.records = make([]coordinator.Record, 0, n)
	buf := make([]byte, 0, size) // keys and values of all records
	for i := range q.Topics {
		qt := &q.Topics[i]
		for j := range qt.Partitions {
			qp := &qt.Partitions[j]
			c := committed{offset: qp.CommittedOffset, leaderEpoch: qp.CommittedLeaderEpoch, committedMs: ms, expireMs: -1, topicID: qt.TopicID}
			if qp.CommittedMetadata != nil {
				c.metadata = *qp.CommittedMetadata
			}
			if len(c.metadata) > limit {
				resp.Topics[i].Partitions[j].ErrorCode = model.OffsetMetadataTooLarge
				continue
			}
			if qp.CommitTimestamp >= 0 { // version 1 only
				c.committedMs = qp.CommitTimestamp
			}
			if q.RetentionTimeMs >= 0 { // versions 2 to 4 only
				c.expireMs = c.committedMs + q.RetentionTimeMs
			}
			from := len(buf)
			buf = appendOffsetKey(buf, q.GroupID, qt.Name, qp.PartitionIndex)
			mid := len(buf)
			buf = appendOffsetValue(buf, &c)
			t.records = append(t.records, coordinator.Record{Key: buf[from:mid:mid], Value: buf[mid:len(buf):len(buf)]})
		}
	}
}

// fetchRequest is one group of OffsetFetch, with topics by name.
type fetchRequest struct {
	*call
	q *wire.OffsetFetchRequestGroup
}

// fetch handles OffsetFetch. Nil topics ask for all that the group has.
func (s *state) fetch(now time.Time, r *fetchRequest) coordinator.Step {
	t := &turn{now: now}
	g := s.find(r.q.GroupID)
	resp := wire.OffsetFetchResponseGroup{GroupID: r.q.GroupID}
	if r.q.Topics == nil {
		resp.Topics = g.allOffsets()
	} else {
		resp.Topics = make([]wire.OffsetFetchResponseGroupTopic, len(r.q.Topics))
	}
	for i := range r.q.Topics {
		qt, rt := &r.q.Topics[i], &resp.Topics[i]
		rt.Name, rt.TopicID = qt.Name, qt.TopicID
		rt.Partitions = make([]wire.OffsetFetchResponseGroupTopicPartition, len(qt.PartitionIndexes))
		for j, p := range qt.PartitionIndexes {
			c, ok := g.lookup(qt.Name, qt.TopicID, p)
			rt.Partitions[j] = fetched(p, &c, ok)
		}
	}
	t.reply(r.call, &resp)
	return t.step()
}

func fetched(partition int32, c *committed, ok bool) wire.OffsetFetchResponseGroupTopicPartition {
	if !ok {
		return wire.OffsetFetchResponseGroupTopicPartition{PartitionIndex: partition, CommittedOffset: -1, CommittedLeaderEpoch: -1, Metadata: new(string)}
	}
	metadata := c.metadata
	return wire.OffsetFetchResponseGroupTopicPartition{
		PartitionIndex: partition, CommittedOffset: c.offset, CommittedLeaderEpoch: c.leaderEpoch, Metadata: &metadata,
	}
}

// allOffsets lists what the group has committed. Topic ids are those of the commits.
func (g *group) allOffsets() []wire.OffsetFetchResponseGroupTopic {
	out := []wire.OffsetFetchResponseGroupTopic{}
	if g == nil {
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(g.offsets)) {
		t := wire.OffsetFetchResponseGroupTopic{Name: name}
		parts := g.offsets[name]
		for _, p := range slices.Sorted(maps.Keys(parts)) {
			c := parts[p]
			t.TopicID = c.topicID
			t.Partitions = append(t.Partitions, fetched(p, &c, true))
		}
		out = append(out, t)
	}
	return out
}

// deleteOffsetsRequest is one OffsetDelete.
type deleteOffsetsRequest struct {
	*call
	q *wire.OffsetDeleteRequest
}

// deleteOffsets handles OffsetDelete (KIP-496): not while members read the topic.
func (s *state) deleteOffsets(now time.Time, r *deleteOffsetsRequest) coordinator.Step {
	t := &turn{now: now, divide: true}
	resp := &wire.OffsetDeleteResponse{}
	g := s.find(r.q.GroupID)
	switch {
	case g == nil:
		resp.ErrorCode = model.GroupIDNotFound
	case g.phase != empty && (g.protocolType == nil || *g.protocolType != consumerType):
		resp.ErrorCode = model.NonEmptyGroup
	default:
		s.deleteTopics(t, g, r.q, resp)
	}
	t.reply(r.call, resp)
	return t.step()
}

func (s *state) deleteTopics(t *turn, g *group, q *wire.OffsetDeleteRequest, resp *wire.OffsetDeleteResponse) {
	for i := range q.Topics {
		qt := &q.Topics[i]
		rt := wire.OffsetDeleteResponseTopic{Name: qt.Name}
		code := model.None
		if g.phase != empty && g.subscribes(qt.Name) {
			code = model.GroupSubscribedToTopic
		}
		for j := range qt.Partitions {
			p := qt.Partitions[j].PartitionIndex
			rt.Partitions = append(rt.Partitions, wire.OffsetDeleteResponseTopicPartition{PartitionIndex: p, ErrorCode: code})
			if _, ok := g.lookup(qt.Name, model.TopicID{}, p); ok && code == model.None {
				t.records = append(t.records, coordinator.Record{Key: offsetKey(g.id, qt.Name, p)})
			}
		}
		resp.Topics = append(resp.Topics, rt)
	}
}

// DeletedTopic is a topic that is gone, with the id of the life that ended.
type DeletedTopic struct {
	Name string
	ID   model.TopicID
}

// topicsDeleted removes all offsets of topics that are gone.
func (s *state) topicsDeleted(now time.Time, topics []DeletedTopic) coordinator.Step {
	t := &turn{now: now, divide: true}
	for _, g := range s.sorted() {
		for _, d := range topics {
			g.forgetTopic(t, d.Name, d.ID)
		}
	}
	return t.step()
}
