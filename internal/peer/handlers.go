package peer

import (
	"bytes"
	"fmt"

	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// raftMessages answers key 1001: messages of the metadata log, as the one that said Hello sent them. The answer says that they arrived, not
// what became of them.
func raftMessages(x *call) error {
	var q wire.RaftRequest
	if err := x.decode(&q); err != nil {
		return err
	}
	if model.BrokerID(q.From) != x.from.NodeID || q.DirectoryID != x.from.DirectoryID {
		return fmt.Errorf("%w: raft messages of node %d (%s) from node %d (%s)", errMalformed, q.From, q.DirectoryID, x.from.NodeID, x.from.DirectoryID)
	}
	var resp wire.RaftResponse
	if model.BrokerID(q.To) != x.Me {
		resp.ErrorCode = model.InvalidVoterKey // an address that another node has now
		return x.send(&resp)
	}
	msgs := make([][]byte, len(q.Messages))
	for i := range q.Messages {
		msgs[i] = bytes.Clone(q.Messages[i].Body)
	}
	x.Raft(x.from.NodeID, x.from.DirectoryID, msgs)
	return x.send(&resp)
}

// join answers key 1002: a place in the cluster, for who asks or, when a member passes the question on, for somebody else.
func join(x *call) error {
	var q wire.JoinRequest
	if err := x.decode(&q); err != nil {
		return err
	}
	if !x.from.Member && q.DirectoryID != x.from.DirectoryID {
		return fmt.Errorf("%w: joins with another directory than it said Hello with", errMalformed)
	}
	resp := x.s.o.Node.Join(x.s.ctx, &q)
	return x.send(&resp)
}

// registerBroker answers key 1010: the broker's epoch (KIP-631).
func registerBroker(x *call) error {
	var q wire.RegisterBrokerRequest
	if err := x.decode(&q); err != nil {
		return err
	}
	r := controller.Registration{
		ClusterID: q.ClusterID, ID: model.BrokerID(q.BrokerID), Incarnation: q.IncarnationID, Rack: q.Rack, Dirs: q.LogDirs,
		PreviousEpoch: model.BrokerEpoch(q.PreviousEpoch), Fenced: true, DirsOffline: q.DirsOffline,
	}
	for i := range q.Endpoints {
		e := &q.Endpoints[i]
		r.Endpoints = append(r.Endpoints, metadata.Endpoint{Name: e.Name, Host: e.Host, Port: e.Port, SecurityProtocol: e.SecurityProtocol})
	}
	for i := range q.Features {
		f := &q.Features[i]
		r.Features = append(r.Features, metadata.FeatureRange{Name: f.Name, Min: f.MinSupportedLevel, Max: f.MaxSupportedLevel})
	}
	epoch, err := x.Controller.RegisterBroker(x.s.ctx, r)
	resp := wire.RegisterBrokerResponse{BrokerEpoch: int64(epoch)}
	if err != nil {
		text := err.Error()
		resp = wire.RegisterBrokerResponse{ErrorCode: x.CodeOf(err), ErrorMessage: &text, BrokerEpoch: -1}
	}
	return x.send(&resp)
}

// heartbeat answers key 1011: a broker's sign of life and its wishes (KIP-631).
func heartbeat(x *call) error {
	var q wire.BrokerHeartbeatRequest
	if err := x.decode(&q); err != nil {
		return err
	}
	got, err := x.Controller.Heartbeat(x.s.ctx, controller.Heartbeat{
		ID: model.BrokerID(q.BrokerID), Epoch: model.BrokerEpoch(q.BrokerEpoch), Offset: model.Offset(q.MetadataOffset), WantFence: q.WantFence,
		WantShutdown: q.WantShutdown, OfflineDirs: q.OfflineDirs,
	})
	return x.send(&wire.BrokerHeartbeatResponse{ErrorCode: x.CodeOf(err), Fenced: got.Fenced, CaughtUp: got.CaughtUp, MayStopNow: got.MayStopNow})
}

// allocateProducerIDs answers key 1013: a block of producer ids (KIP-730).
func allocateProducerIDs(x *call) error {
	var q wire.AllocateProducerIDsRequest
	if err := x.decode(&q); err != nil {
		return err
	}
	block, err := x.Controller.AllocateProducerIDs(x.s.ctx, model.BrokerID(q.BrokerID), model.BrokerEpoch(q.BrokerEpoch))
	return x.send(&wire.AllocateProducerIDsResponse{ErrorCode: x.CodeOf(err), First: int64(block.First), Count: int32(block.Count)})
}

// forward answers key 1014: a client's request that came to another node (KIP-590).
func forward(x *call) error {
	var q wire.ForwardRequest
	if err := x.decode(&q); err != nil {
		return err
	}
	resp := x.Forward(x.s.ctx, x.c, &q)
	return x.send(&resp)
}
