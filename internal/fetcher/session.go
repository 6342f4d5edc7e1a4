package fetcher

import (
	"errors"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/wire"
)

// fetchVersion is the Fetch version between nodes: topic ids, replica state, and node-to-node fields.
const fetchVersion = 17

// session is what a leader remembers of this follower (KIP-227): a request names only partitions whose position changed since.
type session struct {
	id    int32
	epoch int32
	sent  map[model.TopicIDPartition]replication.Position
}

// reset forgets the session; the next request opens another one.
func (s *session) reset() { *s = session{} }

// reopen makes the next request close the session, which the leader takes as a reason to answer what waits in it, and open another one.
func (s *session) reopen() { *s = session{id: s.id} }

// lost reports that the leader has forgotten the session, or is out of step with it.
func (s *session) lost(err error) bool {
	var code model.ErrorCode
	if !errors.As(err, &code) || s.id == 0 {
		return false
	}
	return code == model.FetchSessionIDNotFound || code == model.InvalidFetchSessionEpoch || code == model.FetchSessionTopicIDError
}

// wanted is a partition's place in the next request.
type wanted struct {
	id  model.TopicIDPartition
	pos replication.Position
}

// request builds the next fetch for all wanted partitions, ordered by topic.
func (s *session) request(o *Options, want []wanted, wait time.Duration) *wire.FetchRequest {
	q := wire.NewFetchRequest()
	q.ReplicaState = wire.FetchRequestReplicaState{ReplicaID: int32(o.Me), ReplicaEpoch: int64(o.Epoch())}
	q.MaxWaitMs, q.MinBytes, q.MaxBytes = int32(max(wait.Milliseconds(), 1)), int32(o.MinBytes), int32(o.ResponseBytes)
	q.SessionID, q.SessionEpoch = s.id, s.epoch
	next := make(map[model.TopicIDPartition]replication.Position, len(want))
	byTopic := map[model.TopicID]int{}
	for _, w := range want {
		next[w.id] = w.pos
		if old, known := s.sent[w.id]; known && old == w.pos {
			continue
		}
		i, ok := byTopic[w.id.ID]
		if !ok {
			i = len(q.Topics)
			byTopic[w.id.ID] = i
			q.Topics = append(q.Topics, wire.FetchRequestTopic{TopicID: w.id.ID})
		}
		p := wire.NewFetchRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch = w.id.Partition, int32(w.pos.LeaderEpoch)
		p.FetchOffset, p.LastFetchedEpoch = int64(w.pos.Offset), int32(w.pos.LastEpoch)
		p.LogStartOffset, p.PartitionMaxBytes = int64(w.pos.LogStart), int32(o.PartitionBytes)
		q.Topics[i].Partitions = append(q.Topics[i].Partitions, p)
	}
	for id := range s.sent {
		if _, ok := next[id]; !ok {
			q.ForgottenTopicsData = append(q.ForgottenTopicsData, wire.FetchRequestForgottenTopic{TopicID: id.ID, Partitions: []int32{id.Partition}})
		}
	}
	slices.SortFunc(q.ForgottenTopicsData, func(a, b wire.FetchRequestForgottenTopic) int {
		return compareIDs(model.TopicIDPartition{ID: a.TopicID, Partition: a.Partitions[0]}, model.TopicIDPartition{ID: b.TopicID, Partition: b.Partitions[0]})
	})
	s.sent = next
	return &q
}

// answered takes the session's state over from an answer that had no error of its own.
func (s *session) answered(r *wire.FetchResponse) {
	if r.SessionID == 0 {
		s.reset()
		return
	}
	s.id = r.SessionID
	if s.epoch++; s.epoch <= 0 {
		s.epoch = 1 // after the largest epoch comes the first
	}
}
