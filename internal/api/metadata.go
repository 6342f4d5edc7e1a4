package api

import (
	"slices"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// metadataOf answers key 3: brokers, controller, topics. A topic that does not exist yet is created first where client and broker allow
// it, and the answer waits for its leaders: clients then find no LEADER_NOT_AVAILABLE on the way.
func metadataOf(a *API, r *Request, q *wire.MetadataRequest) (*wire.MetadataResponse, error) {
	missing := a.autoCreatable(r, q)
	if len(missing) == 0 {
		return a.metadataResponse(r, q, nil), nil
	}
	failed := a.autoCreate(r.Context(), missing)
	r.Image = a.Image()
	return a.metadataResponse(r, q, failed), nil
}

// autoCreatable names the topics asked for that do not exist and may be created. Before version 4 a client had no say in it.
func (a *API) autoCreatable(r *Request, q *wire.MetadataRequest) (names []string) {
	if a.Limits.NoAutoCreate || !q.AllowAutoTopicCreation {
		return nil
	}
	for i := range q.Topics {
		name := q.Topics[i].Name
		if name != nil && q.Topics[i].TopicID.IsZero() && r.Image.Topic(*name) == nil && metadata.ValidateTopicName(*name) == nil && !slices.Contains(names, *name) {
			names = append(names, *name)
		}
	}
	return names
}

func (a *API) metadataResponse(r *Request, q *wire.MetadataRequest, failed map[string]model.ErrorCode) *wire.MetadataResponse {
	img := r.Image
	resp := wire.NewMetadataResponse()
	resp.ClusterID = &img.ClusterID
	resp.ControllerID = int32(a.controllerID(img))
	for _, b := range img.Brokers() {
		if b.Fenced {
			continue
		}
		host, port, ok := a.Advertised(r.Conn, b.ID)
		if !ok {
			continue
		}
		resp.Brokers = append(resp.Brokers, wire.MetadataResponseBroker{NodeID: int32(b.ID), Host: host, Port: port, Rack: b.Rack})
	}
	if r.Version >= 8 && q.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	// Version 0 had no null: there an empty list asks for all topics.
	if q.Topics == nil || r.Version == 0 && len(q.Topics) == 0 {
		for t := range img.Topics() {
			resp.Topics = append(resp.Topics, a.metadataTopic(r, q, t))
		}
		return &resp
	}
	seen := make(map[string]bool, len(q.Topics))
	for i := range q.Topics {
		want := &q.Topics[i]
		if want.Name != nil && seen[*want.Name] {
			continue
		}
		if want.Name != nil {
			seen[*want.Name] = true
		}
		resp.Topics = append(resp.Topics, a.askedTopic(r, q, want, failed))
	}
	return &resp
}

// askedTopic answers one topic of the request, named or by id.
func (a *API) askedTopic(r *Request, q *wire.MetadataRequest, want *wire.MetadataRequestTopic, failed map[string]model.ErrorCode) wire.MetadataResponseTopic {
	img := r.Image
	mt := wire.NewMetadataResponseTopic()
	mt.Name = want.Name
	switch {
	case !want.TopicID.IsZero() && want.Name != nil && r.Version < 12:
		mt.ErrorCode = model.InvalidRequest
	case !want.TopicID.IsZero():
		if t := img.TopicByID(want.TopicID); t != nil {
			return a.metadataTopic(r, q, t)
		}
		mt.TopicID, mt.ErrorCode, mt.Name = want.TopicID, model.UnknownTopicID, nil
	case want.Name == nil:
		mt.ErrorCode = model.InvalidRequest
	default:
		if t := img.Topic(*want.Name); t != nil {
			return a.metadataTopic(r, q, t)
		}
		mt.ErrorCode = model.UnknownTopicOrPartition
		if code, ok := failed[*want.Name]; ok {
			mt.ErrorCode = code
		} else if metadata.ValidateTopicName(*want.Name) != nil {
			mt.ErrorCode = model.InvalidTopicException
		}
	}
	return mt
}

// Bit sets of Kafka's AclOperation codes: what a client may do where no authorizer is set, namely all that applies (KIP-430).
const (
	topicOperations   int32 = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	clusterOperations int32 = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
)

func (a *API) metadataTopic(r *Request, q *wire.MetadataRequest, t *metadata.Topic) wire.MetadataResponseTopic {
	mt := wire.NewMetadataResponseTopic()
	mt.Name, mt.TopicID, mt.IsInternal = &t.Name, t.ID, isInternal(t.Name)
	if r.Version >= 8 && q.IncludeTopicAuthorizedOperations {
		mt.TopicAuthorizedOperations = topicOperations
	}
	mt.Partitions = make([]wire.MetadataResponseTopicPartition, len(t.Partitions))
	for i := range t.Partitions {
		p := &t.Partitions[i]
		mp := wire.NewMetadataResponseTopicPartition()
		mp.PartitionIndex = int32(i)
		mp.LeaderID, mp.LeaderEpoch = int32(p.Leader), int32(p.LeaderEpoch)
		if p.Leader == model.NoBroker {
			mp.ErrorCode = model.LeaderNotAvailable
		}
		mp.ReplicaNodes, mp.IsrNodes = brokerIDs(p.Replicas), brokerIDs(p.ISR)
		mp.OfflineReplicas = offline(r.Image, p)
		mt.Partitions[i] = mp
	}
	return mt
}

func brokerIDs(ids []model.BrokerID) []int32 {
	out := make([]int32, len(ids))
	for i, id := range ids {
		out[i] = int32(id)
	}
	return out
}

// offline lists the replicas whose broker is gone or fenced, or whose data directory does not work (KIP-112).
func offline(img *metadata.Image, p *metadata.Partition) []int32 {
	out := []int32{}
	for i, id := range p.Replicas {
		b := img.Broker(id)
		if b == nil || b.Fenced || i < len(p.Dirs) && !p.Dirs[i].IsZero() && len(b.Dirs) > 0 && !slices.Contains(b.Dirs, p.Dirs[i]) {
			out = append(out, int32(id))
		}
	}
	return out
}

// isInternal names the topics that clients may read but not write (KIP-4).
func isInternal(topic string) bool {
	return topic == "__consumer_offsets" || topic == "__transaction_state" || topic == "__share_group_state"
}

// controllerID is the broker clients should send admin requests to. Every broker forwards them, so this one will do.
func (a *API) controllerID(img *metadata.Image) model.BrokerID {
	if ids := img.Brokers(); slices.ContainsFunc(ids, func(b *metadata.Broker) bool { return b.ID == a.Me }) {
		return a.Me
	}
	return model.NoBroker
}
