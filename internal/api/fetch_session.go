package api

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
)

// Fetch sessions (KIP-227): the broker remembers which partitions a consumer asks for and what it told it, so that a request and an
// answer name only what changed.

// Session epochs with a meaning of their own.
const (
	finalSessionEpoch   = -1 // "no session, and end the one I named"
	initialSessionEpoch = 0  // "all partitions, and open a session"
)

// sessionIdle is how long a session must have been unused before a new one may take its slot when all are taken (Kafka: 2 minutes).
const sessionIdle = 2 * time.Minute

// sessionPartition is one partition of a fetch, asked by a session or by a single request.
type sessionPartition struct {
	topic       string // "" when asked by id
	id          model.TopicID
	partition   int32
	offset      model.Offset
	maxBytes    int32
	leaderEpoch model.LeaderEpoch
	lastEpoch   model.LeaderEpoch // of the last record fetched: the follower's side of truncation (KIP-595)
	unsynced    int64             // offsets before offset that a follower has not on its disk yet

	// named is the id the topic's name stood for when the session first met it.
	named model.TopicID
	// What the client was last told; -1 before the first answer, after an error, and when it may not have taken it. An incremental answer
	// leaves out what is still so.
	toldHW, toldStart model.Offset
}

func (p *sessionPartition) key() sessionKey { return sessionKey{p.topic, p.id, p.partition} }

// sessionKey tells partitions apart. Old clients name topics, new ones ids; a session sticks to one form.
type sessionKey struct {
	topic     string
	id        model.TopicID
	partition int32
}

// noReplica stands for a consumer.
const noReplica model.BrokerID = -1

// session is one consumer's remembered fetch. Only the request that has its turn touches it and its partitions: a client has one fetch in
// flight per session, and one more is refused until the first is answered.
type session struct {
	id      int32
	byID    bool                      // its partitions are named by topic ids
	replica model.BrokerID            // whose it is, negative for consumers; guarded by the cache's lock
	counted int                       // partitions, as counted in the cache; guarded by its lock
	call    atomic.Pointer[fetchCall] // has its turn
	mu      struct {
		sync.Mutex
		epoch    int32 // the next request must carry this
		lastUsed time.Time
		busy     bool // a request has its turn
		// parts is in answering order: what was answered with records moves to the end, so that no partition starves others.
		parts []*sessionPartition
		index map[sessionKey]*sessionPartition
	}
}

// maxSessionPartitions bounds what all sessions remember together. Kafka counts sessions only; but a client may name a million partitions
// in one.
const maxSessionPartitions = 1_000_000

// sessionCache holds at most slots sessions, and in them at most limit partitions.
type sessionCache struct {
	clock clock.Clock
	slots int
	limit int
	mu    struct {
		sync.Mutex
		byID       map[int32]*session
		partitions int
	}
}

func newSessionCache(c clock.Clock, slots int) *sessionCache {
	s := &sessionCache{clock: c, slots: slots, limit: maxSessionPartitions}
	s.mu.byID = map[int32]*session{}
	return s
}

// open makes a session of parts, or returns nil when every slot is taken by one in use: the client then goes on without. The request that
// opened it has its turn.
func (c *sessionCache) open(parts []*sessionPartition, byID bool) *session {
	if c.slots <= 0 {
		return nil
	}
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.partitions+len(parts) > c.limit || len(c.mu.byID) >= c.slots && !c.evictLocked(now) {
		return nil
	}
	s := &session{byID: byID, replica: noReplica}
	for s.id == 0 || c.mu.byID[s.id] != nil {
		s.id = rand.Int32()
	}
	s.mu.epoch, s.mu.lastUsed, s.mu.busy = 1, now, true
	s.mu.index = make(map[sessionKey]*sessionPartition, len(parts))
	for _, p := range parts {
		if s.mu.index[p.key()] == nil {
			s.mu.parts = append(s.mu.parts, p)
			s.mu.index[p.key()] = p
		}
	}
	c.mu.byID[s.id] = s
	s.counted = len(s.mu.parts)
	c.mu.partitions += s.counted
	return s
}

// own notes that a session is a follower's. A follower has one session with a leader: what it had before it has given up, perhaps without knowing
// its id, because it did not wait for the answer that would have told it. Kafka keeps such a session until its slot is needed; with thousands of
// partitions in each that is much memory.
func (c *sessionCache) own(s *session, replica model.BrokerID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, old := range c.mu.byID {
		if old != s && old.replica == replica {
			c.closeLocked(old)
		}
	}
	s.replica = replica
}

// evictLocked frees the slot of the session unused for longest, if it is idle.
func (c *sessionCache) evictLocked(now time.Time) bool {
	var oldest *session
	var used time.Time
	for _, s := range c.mu.byID {
		s.mu.Lock()
		u, busy := s.mu.lastUsed, s.mu.busy
		s.mu.Unlock()
		if busy {
			continue
		}
		if oldest == nil || u.Before(used) {
			oldest, used = s, u
		}
	}
	if oldest == nil || now.Sub(used) < sessionIdle {
		return false
	}
	c.removeLocked(oldest)
	return true
}

// close forgets a session. A fetch that waits in it is answered now: whoever closes it waits for that answer before its own, as answers
// keep their order.
func (c *sessionCache) close(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.mu.byID[id]; s != nil {
		c.closeLocked(s)
	}
}

func (c *sessionCache) closeLocked(s *session) {
	c.removeLocked(s)
	if call := s.call.Load(); call != nil {
		call.Hurry()
	}
}

func (c *sessionCache) removeLocked(s *session) {
	delete(c.mu.byID, s.id)
	c.mu.partitions -= s.counted
}

// recount notes how many partitions a session remembers by now. It closes one that has become too much for all together.
func (c *sessionCache) recount(s *session) {
	n := s.len()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.byID[s.id] != s {
		return
	}
	c.mu.partitions += n - s.counted
	s.counted = n
	if c.mu.partitions > c.limit {
		c.removeLocked(s)
	}
}

// size is the number of open sessions.
func (c *sessionCache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.mu.byID)
}

// take finds the session a request continues and checks that the request is the next one.
func (c *sessionCache) take(id, epoch int32) (*session, model.ErrorCode) {
	c.mu.Lock()
	s := c.mu.byID[id]
	c.mu.Unlock()
	if s == nil {
		return nil, model.FetchSessionIDNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.epoch != epoch || s.mu.busy {
		return nil, model.InvalidFetchSessionEpoch
	}
	s.mu.lastUsed, s.mu.busy = c.clock.Now(), true
	s.mu.epoch = nextSessionEpoch(epoch)
	return s, model.None
}

// yield ends a request's turn.
func (s *session) yield() {
	s.mu.Lock()
	s.mu.busy = false
	s.mu.Unlock()
}

func nextSessionEpoch(e int32) int32 {
	if e == 1<<31-1 {
		return 1
	}
	return e + 1
}

// update applies what an incremental request adds, changes and forgets. added is called for what is new.
func (s *session) update(changed []sessionPartition, forgotten []sessionKey, added func(*sessionPartition)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range changed {
		p := &changed[i]
		if old := s.mu.index[p.key()]; old != nil {
			if p.leaderEpoch != old.leaderEpoch || p.offset <= old.offset {
				// Who does not go on from where it was may have refused what it was told: a follower does with the answer of an older leader epoch.
				old.toldHW, old.toldStart = model.NoOffset, model.NoOffset
			}
			old.offset, old.maxBytes, old.leaderEpoch, old.lastEpoch, old.unsynced = p.offset, p.maxBytes, p.leaderEpoch, p.lastEpoch, p.unsynced
			continue
		}
		own := *p
		added(&own)
		s.mu.parts = append(s.mu.parts, &own)
		s.mu.index[own.key()] = &own
	}
	if len(forgotten) == 0 {
		return
	}
	for _, k := range forgotten {
		delete(s.mu.index, k)
	}
	s.mu.parts = slices.DeleteFunc(s.mu.parts, func(p *sessionPartition) bool { return s.mu.index[p.key()] != p })
}

// snapshot appends the session's partitions, in answering order, to dst.
func (s *session) snapshot(dst []*sessionPartition) []*sessionPartition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(dst, s.mu.parts...)
}

// rotate moves the partitions that were answered with records to the end. scratch is for its use, and returned.
func (s *session) rotate(answered func(*sessionPartition) bool, scratch []*sessionPartition) []*sessionPartition {
	s.mu.Lock()
	defer s.mu.Unlock()
	moved, kept := scratch, s.mu.parts[:0]
	for _, p := range s.mu.parts {
		if answered(p) {
			moved = append(moved, p)
		} else {
			kept = append(kept, p)
		}
	}
	s.mu.parts = append(kept, moved...)
	return moved
}

// len is the number of partitions.
func (s *session) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.parts)
}
