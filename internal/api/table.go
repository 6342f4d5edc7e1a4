package api

import (
	"context"
	"errors"
	"sync"

	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/wire"
)

// serialHandler answers a request before it returns. An error closes the connection.
type serialHandler func(a *API, r *Request) error

// pipedHandler may return with the reply still open; it completes it later, from any goroutine.
type pipedHandler func(a *API, r *Request) error

// entry is one API of the table. Exactly one handler is set.
type entry struct {
	Key      wire.Key
	Min, Max int16
	Serial   serialHandler
	Piped    pipedHandler
	// Controller says that the active controller answers, on whatever node it is. The handler is serial then.
	Controller bool
	// Parts says that the handler itself asks the controller for what is not this node's to judge.
	Parts bool
}

// table lists every API Klamm serves, with the versions it serves. Versions below Kafka 4's minimum are kept where clients in the field
// still need them: librdkafka up to 2.11 looks for exact old versions (KAFKA-18659, KAFKA-19444).
func table() []entry {
	return []entry{
		{Key: wire.KeyProduce, Min: 0, Max: 13, Piped: produce},
		{Key: wire.KeyFetch, Min: 4, Max: 18, Piped: fetch},
		{Key: wire.KeyListOffsets, Min: 0, Max: 11, Serial: one(listOffsets)},
		{Key: wire.KeyMetadata, Min: 0, Max: 13, Serial: one(metadataOf)},
		{Key: wire.KeyOffsetCommit, Min: 0, Max: 10, Serial: one(offsetCommit)},
		{Key: wire.KeyOffsetFetch, Min: 0, Max: 10, Serial: one(offsetFetch)},
		{Key: wire.KeyFindCoordinator, Min: 0, Max: 6, Serial: one(findCoordinator)},
		{Key: wire.KeyJoinGroup, Min: 0, Max: 9, Serial: one(joinGroup)},
		{Key: wire.KeyHeartbeat, Min: 0, Max: 4, Serial: one(heartbeat)},
		{Key: wire.KeyLeaveGroup, Min: 0, Max: 5, Serial: one(leaveGroup)},
		{Key: wire.KeySyncGroup, Min: 0, Max: 5, Serial: one(syncGroup)},
		{Key: wire.KeyDescribeGroups, Min: 0, Max: 6, Serial: one(describeGroups)},
		{Key: wire.KeyListGroups, Min: 0, Max: 5, Serial: one(listGroups)},
		{Key: wire.KeyAPIVersions, Min: 0, Max: 5, Serial: apiVersions},
		{Key: wire.KeyCreateTopics, Min: 0, Max: 7, Serial: one(createTopics), Controller: true},
		{Key: wire.KeyDeleteTopics, Min: 0, Max: 6, Serial: one(deleteTopics), Controller: true},
		{Key: wire.KeyDeleteRecords, Min: 0, Max: 2, Serial: one(deleteRecords)},
		{Key: wire.KeyInitProducerID, Min: 0, Max: 5, Serial: one(initProducerID)},
		{Key: wire.KeyOffsetForLeaderEpoch, Min: 0, Max: 4, Serial: one(offsetForLeaderEpoch)},
		{Key: wire.KeyDescribeConfigs, Min: 0, Max: 4, Serial: one(describeConfigs)},
		{Key: wire.KeyAlterConfigs, Min: 0, Max: 2, Serial: one(alterConfigs), Parts: true},
		{Key: wire.KeyAlterReplicaLogDirs, Min: 1, Max: 2, Serial: one(alterReplicaLogDirs)},
		{Key: wire.KeyDescribeLogDirs, Min: 0, Max: 5, Serial: one(describeLogDirs)},
		{Key: wire.KeyCreatePartitions, Min: 0, Max: 3, Serial: one(createPartitions), Controller: true},
		{Key: wire.KeyDeleteGroups, Min: 0, Max: 3, Serial: one(deleteGroups)},
		{Key: wire.KeyElectLeaders, Min: 0, Max: 2, Serial: one(electLeaders), Controller: true},
		{Key: wire.KeyIncrementalAlterConfigs, Min: 0, Max: 1, Serial: one(incrementalAlterConfigs), Parts: true},
		{Key: wire.KeyAlterPartitionReassignments, Min: 0, Max: 1, Serial: one(alterPartitionReassignments), Controller: true},
		{Key: wire.KeyListPartitionReassignments, Min: 0, Max: 0, Serial: one(listPartitionReassignments), Controller: true},
		{Key: wire.KeyOffsetDelete, Min: 0, Max: 0, Serial: one(offsetDelete)},
		{Key: wire.KeyDescribeQuorum, Min: 0, Max: 2, Serial: one(describeQuorum), Controller: true},
		{Key: wire.KeyUpdateFeatures, Min: 0, Max: 2, Serial: one(updateFeatures), Controller: true},
		{Key: wire.KeyDescribeCluster, Min: 0, Max: 2, Serial: one(describeCluster)},
		{Key: wire.KeyDescribeProducers, Min: 0, Max: 0, Serial: one(describeProducers)},
		{Key: wire.KeyUnregisterBroker, Min: 0, Max: 0, Serial: one(unregisterBroker), Controller: true},
		{Key: wire.KeyListConfigResources, Min: 0, Max: 1, Serial: one(listConfigResources)},
		{Key: wire.KeyDescribeTopicPartitions, Min: 0, Max: 0, Serial: one(describeTopicPartitions)},
		{Key: wire.KeyAddRaftVoter, Min: 0, Max: 1, Serial: one(addRaftVoter), Controller: true},
		{Key: wire.KeyRemoveRaftVoter, Min: 0, Max: 0, Serial: one(removeRaftVoter), Controller: true},
	}
}

// API is the node's request handler.
type API struct {
	Options
	entries  []entry
	byKey    [maxKey]*entry
	sessions *sessionCache
	ctx      context.Context
	// For reuse: *Request, *fetchCall, *produceCall.
	requests, fetches, produces sync.Pool
	complaints                  complaints
}

// maxKey is above every key of the protocol.
const maxKey = 128

// New builds the handler. ctx ends when the node stops: handlers that wait then return.
func New(ctx context.Context, o Options) *API {
	o.Limits = o.Limits.withDefaults()
	a := &API{Options: o, entries: table(), ctx: ctx, sessions: newSessionCache(o.Clock, o.Limits.FetchSessions)}
	if a.Metrics == nil {
		a.Metrics = &Metrics{}
	}
	for i := range a.entries {
		a.byKey[a.entries[i].Key] = &a.entries[i]
	}
	return a
}

func (a *API) entry(key wire.Key) *entry {
	if key < 0 || key >= maxKey {
		return nil
	}
	return a.byKey[key]
}

// Serve implements server.Handler.
func (a *API) Serve(c *server.Conn, sr *server.Request) {
	e := a.entry(sr.Header.Key)
	if e == nil || sr.Header.Version < e.Min || sr.Header.Version > e.Max {
		a.unsupported(c, sr)
		return
	}
	r, ok := a.requests.Get().(*Request)
	if !ok {
		r = &Request{}
	}
	*r = Request{Request: sr, Conn: c, Version: sr.Header.Version, Image: a.Image(), ctx: a.ctx}
	err := a.handle(e, r)
	*r = Request{}
	a.requests.Put(r)
	switch {
	case errors.Is(err, errStopping):
		sr.Reply.Abort(err)
	case err != nil:
		a.Metrics.Malformed.Add(1)
		a.Logger.Info("request refused", "client_id", c.ClientID(), "client", c.RemoteAddr(), "err", err)
		sr.Reply.Abort(err)
	}
}

// handle runs the handler.
func (a *API) handle(e *entry, r *Request) error {
	if e.Piped != nil {
		return e.Piped(a, r)
	}
	// Kafka handles one request of a connection at a time, so what a client sees after its own acknowledged produce must be there.
	if !r.Conn.AwaitEarlier(a.ctx) {
		return errStopping
	}
	if e.Controller || e.Parts {
		return a.decided(e, r)
	}
	r.Image = a.Image()
	return e.Serial(a, r)
}
