package peer

import (
	"time"

	"github.com/klamm/klamm/internal/event"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// events answers key 1020: what this node has told lately.
func events(x *call) error {
	var q wire.EventsRequest
	if err := x.decode(&q); err != nil {
		return err
	}
	list := x.Events(time.UnixMilli(q.SinceMs), int(max(0, q.Limit)))
	resp := wire.EventsResponse{Events: make([]wire.EventsResponseEvent, len(list))}
	for i := range list {
		e := &list[i]
		resp.Events[i] = wire.EventsResponseEvent{
			TimeMs: e.Time.UnixMilli(), Node: int32(e.Node), Kind: string(e.Kind), Reason: e.Reason, Broker: int32(e.Broker), Topic: e.Topic, Partition: e.Partition,
			Text: e.Text,
		}
	}
	return x.send(&resp)
}

// EventsOf reads an answer to key 1020.
func EventsOf(resp *wire.EventsResponse) []event.Event {
	out := make([]event.Event, len(resp.Events))
	for i := range resp.Events {
		e := &resp.Events[i]
		out[i] = event.Event{
			Time: time.UnixMilli(e.TimeMs), Node: model.BrokerID(e.Node), Kind: event.Kind(e.Kind), Reason: e.Reason, Broker: model.BrokerID(e.Broker), Topic: e.Topic,
			Partition: e.Partition, Text: e.Text,
		}
	}
	return out
}
