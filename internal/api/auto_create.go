package api

import (
	"context"
	"strconv"

	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/coordinator/group"
	"github.com/klamm/klamm/internal/model"
)

// autoCreate makes topics that a client expects to be there, with the broker's defaults, and the broker's own topics with theirs. It
// returns when their leaders are in place, with the codes of those that could not be made.
func (a *API) autoCreate(ctx context.Context, names []string) map[string]model.ErrorCode {
	ctx, cancel := context.WithTimeout(ctx, defaultAdminTimeout)
	defer cancel()
	ask := controller.CreateTopics{Topics: make([]controller.CreateTopic, len(names))}
	for i, name := range names {
		ask.Topics[i] = controller.CreateTopic{Name: name, Partitions: -1, ReplicationFactor: -1}
		if name == group.Topic {
			a.shapeOffsetsTopic(&ask.Topics[i])
		}
	}
	failed := map[string]model.ErrorCode{}
	done, err := a.createTopicsAnywhere(ctx, ask)
	if err != nil {
		code := a.adminFailure(err).Code
		for _, name := range names {
			failed[name] = code
		}
		return failed
	}
	for i := range done {
		// Somebody else may have been quicker.
		if d := &done[i]; !d.OK() && d.Code != model.TopicAlreadyExists {
			failed[d.Name] = d.Code
			a.Logger.Warn("topic was not created automatically", "topic", d.Name, "err", d.Outcome)
		}
	}
	return failed
}

// shapeOffsetsTopic gives __consumer_offsets its own numbers (offsets.topic.*). Kafka refuses consumer groups while there are fewer brokers
// than offsets.topic.replication.factor, which is 3 by default; Klamm takes as many replicas as there are brokers.
func (a *API) shapeOffsetsTopic(t *controller.CreateTopic) {
	img := a.Image()
	values := a.Resolver.Broker(img)
	live := 0
	for _, b := range img.Brokers() {
		if !b.Fenced {
			live++
		}
	}
	t.Partitions = int32(values.Int("offsets.topic.num.partitions"))
	t.ReplicationFactor = int16(max(min(values.Int("offsets.topic.replication.factor"), live), 1))
	for _, kv := range [][2]string{
		{"cleanup.policy", "compact"}, {"compression.type", "producer"}, {"segment.bytes", strconv.Itoa(values.Int("offsets.topic.segment.bytes"))},
	} {
		t.Configs = append(t.Configs, controller.ConfigValue{Name: kv[0], Value: &kv[1]})
	}
}
