package api

import (
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// createTopics answers key 19. -1 for partitions and replication factor asks for the broker's defaults (KIP-464). Version 5 and later get
// the new topic's whole configuration back (KIP-525), version 7 its id (KIP-516). The answer comes when the topics are in the metadata of
// this node and their leaders are in place.
func createTopics(a *API, r *Request, q *wire.CreateTopicsRequest) (*wire.CreateTopicsResponse, error) {
	ctx, cancel := r.adminContext(q.TimeoutMs)
	defer cancel()
	ask := controller.CreateTopics{ValidateOnly: q.ValidateOnly, Topics: make([]controller.CreateTopic, len(q.Topics))}
	for i := range q.Topics {
		ask.Topics[i] = topicToCreate(&q.Topics[i])
	}
	done, err := a.Controller.CreateTopics(ctx, ask)
	if err != nil {
		failed := r.failure(a, err)
		for i := range q.Topics {
			done = append(done, controller.CreatedTopic{Name: q.Topics[i].Name, Outcome: failed, Partitions: -1, ReplicationFactor: -1})
		}
	}
	resp := &wire.CreateTopicsResponse{Topics: make([]wire.CreateTopicsResponseTopic, len(done))}
	var plain []wire.CreateTopicsResponseTopicConfig // the same for all topics without values of their own
	for i := range done {
		d := &done[i]
		t := createdTopic(d)
		switch {
		case !d.OK() || r.Version < 5:
		case len(d.Overrides) > 0:
			t.Configs = a.newTopicConfigs(r, d)
		default:
			if plain == nil {
				plain = a.newTopicConfigs(r, d)
			}
			t.Configs = plain
		}
		resp.Topics[i] = t
	}
	return resp, nil
}

func topicToCreate(t *wire.CreateTopicsRequestTopic) controller.CreateTopic {
	out := controller.CreateTopic{Name: t.Name, Partitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor}
	for j := range t.Assignments {
		out.Assignments = append(out.Assignments, controller.Assignment{Partition: t.Assignments[j].PartitionIndex, Brokers: modelIDs(t.Assignments[j].BrokerIDs)})
	}
	for j := range t.Configs {
		out.Configs = append(out.Configs, controller.ConfigValue{Name: t.Configs[j].Name, Value: t.Configs[j].Value})
	}
	return out
}

func createdTopic(d *controller.CreatedTopic) wire.CreateTopicsResponseTopic {
	t := wire.NewCreateTopicsResponseTopic()
	t.Name, t.TopicID, t.ErrorCode, t.ErrorMessage = d.Name, d.ID, d.Code, text(d.Outcome)
	t.NumPartitions, t.ReplicationFactor = d.Partitions, d.ReplicationFactor
	t.Configs = []wire.CreateTopicsResponseTopicConfig{}
	return t
}

// newTopicConfigs is a new topic's whole configuration.
func (a *API) newTopicConfigs(r *Request, d *controller.CreatedTopic) []wire.CreateTopicsResponseTopicConfig {
	entries := a.Resolver.DescribeTopic(newTopicValues{r.Image, d}, d.Name)
	out := make([]wire.CreateTopicsResponseTopicConfig, len(entries))
	for i := range entries {
		e := &entries[i]
		out[i] = wire.CreateTopicsResponseTopicConfig{
			Name: e.Key.Name, Value: shownValue(e), ReadOnly: e.ReadOnly(), ConfigSource: int8(e.Source), IsSensitive: e.Key.Sensitive,
		}
	}
	return out
}

// newTopicValues is the metadata as it will be with a topic that it does not have yet, or never will when the request was only checked.
type newTopicValues struct {
	img   *metadata.Image
	topic *controller.CreatedTopic
}

// Overrides implements config.Dynamic.
func (n newTopicValues) Overrides(t model.ResourceType, name string) map[string]string {
	if t == model.ResourceTopic && name == n.topic.Name {
		return n.topic.Overrides
	}
	return n.img.Overrides(t, name)
}

// shownValue is an entry's value on the wire: null when it is not set or must not be seen.
func shownValue(e *config.Entry) *string {
	if e.Null {
		return nil
	}
	return &e.Value
}
