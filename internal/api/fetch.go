package api

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/wire"
)

// fetchCall is one Fetch from request to answer. Objects are reused: a wake-up that comes late, for the request before, finds another
// state or makes this one look again, which does no harm.
type fetchCall struct {
	api     *API
	conn    *server.Conn
	reply   *server.Reply
	image   *metadata.Image
	version int16
	resumed bool // on a goroutine of its own by now
	looked  bool // results are of an earlier look at parts, by the same image

	fetchTerms

	session     *session
	incremental bool
	asked       []sessionPartition  // decoded from the request
	parts       []*sessionPartition // what to read, in order
	forgotten   []sessionKey
	results     []fetchResult
	rotated     []*sessionPartition // scratch

	state   atomic.Int32
	hurried atomic.Bool
	timer   clock.Timer
	waited  []fetchWait
}

// fetchTerms are what the client asks for all partitions together.
type fetchTerms struct {
	minBytes, maxBytes int
	isolation          replication.Isolation
	deadline           time.Time
	replica            model.BrokerID // negative for consumers
	replicaEpoch       model.BrokerEpoch
	// rack is where the consumer is, empty when that does not matter here; anyReplica says that it can read from followers (KIP-392).
	rack       string
	anyReplica bool
}

// fetchResult is what one partition gave.
type fetchResult struct {
	code    model.ErrorCode
	read    replication.ReadResult
	part    *replication.Partition // nil: not here
	include bool                   // in the answer
	// near is the replica to read from instead, if nearer says that there is one.
	near   model.BrokerID
	nearer bool
}

// fetchWait is a place in a partition's queue of waiting fetches.
type fetchWait struct {
	p      *replication.Partition
	handle replication.WaitHandle
}

// States of a fetchCall.
const (
	fetchRunning     int32 = iota // its goroutine works on it
	fetchRegistering              // it is queueing at its partitions
	fetchWoken                    // news came while it was registering
	fetchWaiting                  // the next wake-up or the timer takes it
)

func (a *API) fetchCall() *fetchCall {
	if c, ok := a.fetches.Get().(*fetchCall); ok {
		return c
	}
	return &fetchCall{}
}

// fetch answers key 1. It reads at once, and when there is too little it waits on the partitions without holding a goroutine.
func fetch(a *API, r *Request) error {
	var v wire.FetchVisitor
	if err := v.Reset(r.Body, r.Version); err != nil {
		return fmt.Errorf("%w: Fetch v%d: %w", errMalformed, r.Version, err)
	}
	c := a.fetchCall()
	c.api, c.conn, c.reply, c.image, c.version = a, r.Conn, r.Reply, r.Image, r.Version
	c.hurried.Store(false)
	c.decode(&v, r.Received)
	c.reply.Own(c)
	if (c.replica >= 0) != a.NodePort {
		c.refuse(model.ClusterAuthorizationFailed)
		return nil
	}
	if code := c.openSession(&v); code != model.None {
		c.refuse(code)
		return nil
	}
	c.proceed()
	return nil
}

// decode takes the request over from the connection's buffer.
func (c *fetchCall) decode(v *wire.FetchVisitor, received time.Time) {
	h := v.Head()
	c.maxBytes = min(max(int(h.MaxBytes), 0), c.api.Limits.FetchMaxBytes)
	c.minBytes = min(int(h.MinBytes), c.maxBytes)
	c.isolation = isolation(h.IsolationLevel)
	c.replica, c.replicaEpoch = model.BrokerID(h.ReplicaID), model.BrokerEpoch(h.ReplicaEpoch)
	if c.replica >= 0 {
		c.isolation = replication.ReadAll
	}
	c.anyReplica, c.rack = c.replica < 0 && c.version >= 11, ""
	if c.anyReplica && c.api.Limits.NearReplicas {
		c.rack = string(h.RackID)
	}
	wait := min(max(time.Duration(h.MaxWaitMs)*time.Millisecond, 0), c.api.Limits.FetchMaxWait)
	c.deadline = received.Add(wait)
	for v.NextTopic() {
		name, id := c.topic(v.TopicName(), v.TopicID())
		for v.NextPartition() {
			q := v.Partition()
			c.asked = append(c.asked, sessionPartition{
				topic: name, id: id, partition: q.Partition, offset: model.Offset(q.FetchOffset), maxBytes: q.PartitionMaxBytes,
				leaderEpoch: model.LeaderEpoch(q.CurrentLeaderEpoch), lastEpoch: model.LeaderEpoch(q.LastFetchedEpoch),
				unsynced: unsynced(q), toldHW: model.NoOffset, toldStart: model.NoOffset,
			})
		}
	}
	for v.NextForgotten() {
		name, id := c.topic(v.ForgottenName(), v.ForgottenID())
		c.forgotten = append(c.forgotten, sessionKey{topic: name, id: id, partition: v.ForgottenPartition()})
	}
}

// unsynced is how much of what a follower has does not count yet; all of it does where it says nothing about its disk.
func unsynced(q *wire.FetchRequestTopicPartition) int64 {
	if q.SyncedOffset < 0 {
		return 0
	}
	return max(q.FetchOffset-q.SyncedOffset, 0)
}

// isolation is the protocol's isolation level; one it does not know reads no further than the usual one.
func isolation(level int8) replication.Isolation {
	if level == 1 {
		return replication.ReadCommitted
	}
	return replication.ReadUncommitted
}

// topic is how a topic is remembered: by id alone where the request named ids, otherwise by its name.
func (c *fetchCall) topic(name []byte, id model.TopicID) (string, model.TopicID) {
	if c.version >= 13 {
		return "", id
	}
	if t := c.image.TopicBytes(name); t != nil {
		return t.Name, model.TopicID{}
	}
	return string(name), model.TopicID{}
}

// proceed reads, and waits when the answer is not due, until it is answered or a wake-up is to go on with it.
func (c *fetchCall) proceed() {
	for {
		due := c.read()
		if due || c.hurried.Load() || !c.api.Clock.Now().Before(c.deadline) {
			c.answer()
			return
		}
		if c.wait() {
			return
		}
	}
}

// read tries every partition and reports whether the answer is due: enough bytes, or news that should not wait.
func (c *fetchCall) read() bool {
	again := c.looked && c.rack == ""
	if !again {
		c.results = append(c.results[:0], make([]fetchResult, len(c.parts))...)
	}
	c.looked = true
	total, due := 0, len(c.parts) == 0
	for i, sp := range c.parts {
		res := &c.results[i]
		if again && c.still(sp, res) {
			continue
		}
		*res = fetchResult{}
		c.readOne(sp, total, res)
		total += int(res.read.Slice.Len)
		if res.code != model.None || res.read.Diverging.Set || res.nearer {
			due = true
		}
	}
	return due || total >= c.minBytes
}

// still reports that a partition in which nothing was found would give the same again.
func (c *fetchCall) still(sp *sessionPartition, res *fetchResult) bool {
	return res.part != nil && res.code == model.None &&
		res.part.Still(&replication.Read{Offset: sp.offset, Isolation: c.isolation, ReplicaID: c.replica}, &res.read)
}

func (c *fetchCall) readOne(sp *sessionPartition, total int, res *fetchResult) {
	res.part, res.code = c.resolve(sp)
	if res.code != model.None {
		res.read = replication.NoRead()
		return
	}
	read := replication.Read{
		Offset: sp.offset, MaxBytes: max(min(int(sp.maxBytes), c.maxBytes-total), 0), MinOne: total == 0, Isolation: c.isolation,
		LeaderEpoch: sp.leaderEpoch, ReplicaID: c.replica, ReplicaEpoch: c.replicaEpoch, LastFetchedEpoch: sp.lastEpoch,
		Unsynced: sp.unsynced, Report: c.replica >= 0 && c.maxBytes == 0, AnyReplica: c.anyReplica,
	}
	if c.rack != "" {
		if res.near, res.nearer = c.nearReplica(sp, res.part); res.nearer {
			read.MaxBytes, read.MinOne = 0, false
		}
	}
	var err error
	if res.read, err = res.part.Read(&read); err == nil {
		return
	}
	res.read.Slice.Release()
	res.nearer = false
	start := res.read.LogStart
	res.read, res.code = replication.NoRead(), codeOf(err)
	if c.replica >= 0 {
		res.read.LogStart = start // a follower that is behind it starts over there; Kafka tells consumers nothing with an error
	}
	res.part.Stats().FailedFetches.Add(1)
	if res.code == model.KafkaStorageError {
		c.api.complain("read failed", res.part.TP(), err)
	}
}

// resolve finds the partition, by id where the request named ids.
func (c *fetchCall) resolve(sp *sessionPartition) (*replication.Partition, model.ErrorCode) {
	if sp.topic == "" {
		return c.api.partitionByID(c.image, sp.id, sp.partition)
	}
	return c.api.partition(c.image, sp.topic, sp.partition)
}

// wait queues at every partition; the first to have news, or the timer, resumes the call. It reports false when there were news meanwhile:
// the caller goes on then.
func (c *fetchCall) wait() bool {
	c.state.Store(fetchRegistering)
	left := c.deadline.Sub(c.api.Clock.Now())
	if c.timer == nil {
		c.timer = c.api.Clock.AfterFunc(left, c.expire)
	} else {
		c.timer.Reset(left)
	}
	for i := range c.results {
		r := &c.results[i]
		r.read.Slice.Release()
		if r.part != nil {
			c.waited = append(c.waited, fetchWait{r.part, c.await(r, i)})
		}
	}
	if c.hurried.Load() {
		c.Wake(0, nil)
	}
	if c.state.CompareAndSwap(fetchRegistering, fetchWaiting) {
		return true
	}
	c.state.Store(fetchRunning)
	c.unqueue()
	return false
}

// Wake implements replication.Waiter. It runs on the goroutine that brought the news, a producer's most often, which must not be made
// to write to a consumer's socket: the call goes on in a goroutine of its own.
func (c *fetchCall) Wake(int, error) {
	if c.state.CompareAndSwap(fetchWaiting, fetchRunning) {
		go c.resume()
		return
	}
	c.state.CompareAndSwap(fetchRegistering, fetchWoken)
}

// expire ends the wait with what there is.
func (c *fetchCall) expire() { c.Wake(0, nil) }

// Hurry implements server.Owner: the client is gone, or the server is stopping.
func (c *fetchCall) Hurry() {
	c.hurried.Store(true)
	c.Wake(0, nil)
}

// resume looks again after a wake-up.
func (c *fetchCall) resume() {
	c.resumed = true
	c.unqueue()
	if img := c.api.Image(); img != c.image {
		c.image, c.looked = img, false // a topic may have been deleted meanwhile
	}
	c.proceed()
}

// unqueue gives the places in the partitions' queues back.
func (c *fetchCall) unqueue() {
	c.timer.Stop()
	for i := range c.waited {
		c.waited[i].p.Cancel(c.waited[i].handle)
	}
	clear(c.waited)
	c.waited = c.waited[:0]
}

// Written implements server.Owner: the files are no longer needed, and neither is this object.
func (c *fetchCall) Written() {
	for i := range c.results {
		c.results[i].read.Slice.Release()
	}
	clear(c.asked)
	clear(c.parts)
	clear(c.results)
	a := c.api
	c.endTurn()
	c.api, c.conn, c.reply, c.image = nil, nil, nil, nil
	c.resumed, c.looked, c.incremental = false, false, false
	c.asked, c.parts, c.forgotten, c.results = c.asked[:0], c.parts[:0], c.forgotten[:0], c.results[:0]
	a.fetches.Put(c)
}
