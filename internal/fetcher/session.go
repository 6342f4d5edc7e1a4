package fetcher

import (
	"errors"
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
	sent  []wanted // ordered
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

// request builds the next fetch for all wanted partitions, which come ordered. An idle one allocates next to nothing however many partitions
// the session has: most fetches are.
func (s *session) request(o *Options, want []wanted, wait time.Duration) *wire.FetchRequest {
	q := wire.NewFetchRequest()
	q.ReplicaState = wire.FetchRequestReplicaState{ReplicaID: int32(o.Me), ReplicaEpoch: int64(o.Epoch())}
	q.MaxWaitMs, q.MinBytes, q.MaxBytes = int32(max(wait.Milliseconds(), 1)), int32(o.MinBytes), int32(o.ResponseBytes)
	q.SessionID, q.SessionEpoch = s.id, s.epoch
	sent := s.sent
	for i := range want {
		w := &want[i]
		for len(sent) > 0 && compareIDs(sent[0].id, w.id) < 0 {
			forget(&q, sent[0].id)
			sent = sent[1:]
		}
		known := len(sent) > 0 && sent[0].id == w.id
		if !known || sent[0].pos != w.pos {
			name(&q, w, int32(o.PartitionBytes))
		}
		if known {
			sent = sent[1:]
		}
	}
	for i := range sent {
		forget(&q, sent[i].id)
	}
	s.sent = append(s.sent[:0], want...)
	return &q
}

// refused notes that the i-th partition of the last request could not take its answer. It is named again, or forgotten, in the next one: what
// the leader takes as told, this node does not know.
func (s *session) refused(i int) {
	if i < len(s.sent) {
		s.sent[i].pos = replication.Position{Leader: model.NoBroker}
	}
}

// name asks for a partition.
func name(q *wire.FetchRequest, w *wanted, maxBytes int32) {
	if n := len(q.Topics); n == 0 || q.Topics[n-1].TopicID != w.id.ID {
		q.Topics = append(q.Topics, wire.FetchRequestTopic{TopicID: w.id.ID})
	}
	p := wire.NewFetchRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch = w.id.Partition, int32(w.pos.LeaderEpoch)
	p.FetchOffset, p.SyncedOffset, p.LastFetchedEpoch = int64(w.pos.Offset), int64(w.pos.Synced), int32(w.pos.LastEpoch)
	p.LogStartOffset, p.PartitionMaxBytes = int64(w.pos.LogStart), maxBytes
	t := &q.Topics[len(q.Topics)-1]
	t.Partitions = append(t.Partitions, p)
}

// forget takes a partition out of the session.
func forget(q *wire.FetchRequest, id model.TopicIDPartition) {
	if n := len(q.ForgottenTopicsData); n > 0 && q.ForgottenTopicsData[n-1].TopicID == id.ID {
		t := &q.ForgottenTopicsData[n-1]
		t.Partitions = append(t.Partitions, id.Partition)
		return
	}
	q.ForgottenTopicsData = append(q.ForgottenTopicsData, wire.FetchRequestForgottenTopic{TopicID: id.ID, Partitions: []int32{id.Partition}})
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

// answer is what fetches of one loop bring, one after the other, in memory that is used again.
type answer struct {
	wire.FetchResponse
	frame []byte
	small int // answers in a row that needed little of it
}

const (
	// frameKept is memory that is never too much to keep for the next answer.
	frameKept = 256 << 10
	// smallAnswers in a row are the end of a rush.
	smallAnswers = 64
)

// Lend implements client.Lender. A fetch that fails does not give the memory back: its answer may still come.
func (a *answer) Lend() (frame []byte) {
	frame, a.frame = a.frame, nil
	return frame
}

// Return implements client.Lender.
func (a *answer) Return(frame []byte) {
	a.frame = frame
	if cap(frame) <= frameKept || len(frame) > cap(frame)/4 {
		a.small = 0
	} else if a.small++; a.small == smallAnswers {
		a.frame, a.small = nil, 0
	}
}
