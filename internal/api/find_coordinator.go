package api

import (
	"github.com/klamm/klamm/internal/coordinator/group"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// Kinds of coordinators a client can look for.
const (
	coordinatesGroup       int8 = 0
	coordinatesTransaction int8 = 1
	coordinatesShare       int8 = 2
)

// noTransactions is shown to users: Kafka's producers put it into the exception that ends them.
const noTransactions = "This broker does not support transactions yet: unset transactional.id."

// findCoordinator answers key 10: the broker that coordinates a group. The topic that keeps groups is made on the first call, and the
// answer waits until the coordinator is ready, so that a client's next request is not turned away. Version 4 and later ask for many
// keys at once (KIP-699).
func findCoordinator(a *API, r *Request, q *wire.FindCoordinatorRequest) (*wire.FindCoordinatorResponse, error) {
	var resp wire.FindCoordinatorResponse
	if r.Version >= 4 {
		resp.Coordinators = make([]wire.FindCoordinatorResponseCoordinator, len(q.CoordinatorKeys))
		for i, key := range q.CoordinatorKeys {
			resp.Coordinators[i] = a.coordinator(r, q.KeyType, key)
		}
		return &resp, nil
	}
	c := a.coordinator(r, q.KeyType, q.Key)
	resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = c.ErrorCode, c.ErrorMessage, c.NodeID, c.Host, c.Port
	return &resp, nil
}

func (a *API) coordinator(r *Request, kind int8, key string) wire.FindCoordinatorResponseCoordinator {
	c := wire.FindCoordinatorResponseCoordinator{Key: key, NodeID: int32(model.NoBroker), Port: -1}
	var text string
	c.ErrorMessage = &text // never null: Kafka's is not
	if c.ErrorCode, text = refuseCoordinator(kind, r.Version); c.ErrorCode != model.None {
		return c
	}
	broker, code := a.groupCoordinator(r, key)
	if code == model.None {
		host, port, ok := a.Advertised(r.Conn, broker)
		if ok {
			c.NodeID, c.Host, c.Port = int32(broker), host, port
			return c
		}
		code = model.CoordinatorNotAvailable
	}
	c.ErrorCode = code
	return c
}

// refuseCoordinator says what a client is told that looks for a coordinator of another kind. Whoever needs a transaction must be stopped
// by it, and most codes only make them look again. librdkafka, which asks in versions up to 2, takes nothing but a refused
// authorization as final; the Java client shows the text, unless the code is that one.
func refuseCoordinator(kind int8, version int16) (model.ErrorCode, string) {
	switch {
	case kind == coordinatesGroup:
		return model.None, ""
	case kind == coordinatesTransaction && version < 4:
		return model.TransactionalIDAuthorizationFailed, noTransactions
	case kind == coordinatesTransaction:
		return model.UnsupportedVersion, noTransactions
	case kind == coordinatesShare:
		return model.InvalidRequest, "This broker does not support share groups yet."
	}
	return model.InvalidRequest, "Unknown coordinator type."
}

// groupCoordinator is the leader of the partition that holds a group.
func (a *API) groupCoordinator(r *Request, id string) (model.BrokerID, model.ErrorCode) {
	img := a.Image()
	t := img.Topic(group.Topic)
	if t == nil {
		if code := a.autoCreate(r.Context(), []string{group.Topic})[group.Topic]; code != model.None && code != model.TopicAlreadyExists {
			a.Logger.Warn("cannot create the topic of groups", "topic", group.Topic, "code", code)
			return model.NoBroker, model.CoordinatorNotAvailable
		}
		if t = a.Image().Topic(group.Topic); t == nil {
			return model.NoBroker, model.CoordinatorNotAvailable
		}
	}
	leader := t.Partitions[group.PartitionFor(id, int32(len(t.Partitions)))].Leader
	if leader == model.NoBroker {
		return leader, model.CoordinatorNotAvailable
	}
	if leader == a.Me {
		if code := a.Groups.Ready(r.Context(), id); code != model.None {
			return model.NoBroker, model.CoordinatorNotAvailable
		}
	}
	return leader, model.None
}
