package controller

import (
	"context"
	"io"
	"slices"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// maxPartitionsPerRequest is Kafka's bound on what one request may create: all of it is one batch of the metadata log.
const maxPartitionsPerRequest = 10_000

// clusterMetadataTopic is the name under which Kafka's protocol speaks of the metadata log. It is no topic.
const clusterMetadataTopic = "__cluster_metadata"

// CreateTopics creates topics. Each succeeds or fails on its own; answers are in the order of the request, with one for a name that
// stands in it more than once.
func (c *Controller) CreateTopics(ctx context.Context, q CreateTopics) ([]CreatedTopic, error) {
	return run(ctx, c, func(img *metadata.Image) ([]metadata.Record, []CreatedTopic) {
		values := c.o.Resolver.Broker(img)
		defaults := topicDefaults{partitions: int32(values.Int("num.partitions")), replicas: int16(values.Int("default.replication.factor"))}
		records, reply := createTopics(img, &q, defaults, c.o.Random)
		if q.ValidateOnly {
			records = nil
		}
		return records, reply
	})
}

// topicDefaults stand in for -1.
type topicDefaults struct {
	partitions int32
	replicas   int16
}

func createTopics(img *metadata.Image, q *CreateTopics, defaults topicDefaults, random io.Reader) ([]metadata.Record, []CreatedTopic) {
	if tooManyPartitions(q, defaults) {
		return nil, refuseAll(q, failure(model.PolicyViolation, "Excessively large number of partitions per request."))
	}
	count := map[string]int{}
	for i := range q.Topics {
		count[q.Topics[i].Name]++
	}
	var records []metadata.Record
	var reply []CreatedTopic
	taken := map[string]string{} // collision keys of this request
	for i := range q.Topics {
		t := &q.Topics[i]
		done := CreatedTopic{Name: t.Name, Partitions: -1, ReplicationFactor: -1}
		switch count[t.Name] {
		case 0: // answered already
			continue
		case 1:
			done.Outcome = checkNewName(img, t.Name, taken)
		default:
			count[t.Name] = 0
			done.Outcome = failure(model.InvalidRequest, "Duplicate topic name.")
		}
		if done.OK() {
			made := createTopic(img, t, defaults, random, &done)
			records = append(records, made...)
		}
		if done.OK() && metadata.CanCollide(t.Name) {
			taken[metadata.CollisionKey(t.Name)] = t.Name
		}
		reply = append(reply, done)
	}
	return records, reply
}

// tooManyPartitions counts what is asked for; wrong numbers are somebody else's to refuse.
func tooManyPartitions(q *CreateTopics, defaults topicDefaults) bool {
	total := int64(0)
	for i := range q.Topics {
		switch t := &q.Topics[i]; {
		case len(t.Assignments) > 0:
			total += int64(len(t.Assignments))
		case t.Partitions == -1:
			total += int64(defaults.partitions)
		case t.Partitions > 0:
			total += int64(t.Partitions)
		}
	}
	return total > maxPartitionsPerRequest
}

func refuseAll(q *CreateTopics, o Outcome) []CreatedTopic {
	reply := make([]CreatedTopic, len(q.Topics))
	for i := range q.Topics {
		reply[i] = CreatedTopic{Name: q.Topics[i].Name, Outcome: o, Partitions: -1, ReplicationFactor: -1}
	}
	return reply
}

// checkNewName refuses names that no topic may have, or that stand too near to another topic's.
func checkNewName(img *metadata.Image, name string, taken map[string]string) Outcome {
	if name == clusterMetadataTopic {
		return failure(model.InvalidRequest, "Creation of internal topic %s is prohibited.", name)
	}
	if err := metadata.ValidateTopicName(name); err != nil {
		return Outcome{model.InvalidTopicException, err.Error()}
	}
	if img.Topic(name) != nil {
		return failure(model.TopicAlreadyExists, "Topic '%s' already exists.", name)
	}
	other := img.Colliding(name)
	if other == "" {
		other = taken[metadata.CollisionKey(name)]
	}
	if other != "" {
		return failure(model.InvalidTopicException, "Topic '%s' collides with existing topic: %s", name, other)
	}
	return Outcome{}
}

// createTopic decides one topic whose name is free, and fills the answer.
func createTopic(img *metadata.Image, t *CreateTopic, defaults topicDefaults, random io.Reader, done *CreatedTopic) []metadata.Record {
	overrides, bad := newTopicConfig(t.Configs)
	if !bad.OK() {
		done.Outcome = bad
		return nil
	}
	id, err := newTopicID(img, random)
	if err != nil {
		done.Outcome = failure(model.KafkaStorageError, "no topic id could be drawn: %v", err)
		return nil
	}
	if bug.Is(bug.TopicIDComesBack) { // M5
		clear(id[copy(id[:], t.Name):])
	}
	placement, bad := placeNewTopic(img, t, defaults, id)
	if !bad.OK() {
		done.Outcome = bad
		return nil
	}
	done.ID, done.Overrides = id, overrides
	done.Partitions, done.ReplicationFactor = int32(len(placement)), int16(len(placement[0]))
	records := make([]metadata.Record, 0, 1+len(placement)+len(overrides))
	records = append(records, &metadata.TopicRecord{Name: t.Name, TopicID: id})
	for i, replicas := range placement {
		records = append(records, newPartition(img, id, int32(i), replicas))
	}
	for _, name := range sortedKeys(overrides) {
		value := overrides[name]
		records = append(records, &metadata.ConfigRecord{ResourceType: int8(model.ResourceTopic), ResourceName: t.Name, Name: name, Value: &value})
	}
	return records
}

// newTopicConfig checks the configuration of a new topic. The last value of a key counts, as in Kafka.
func newTopicConfig(values []ConfigValue) (map[string]string, Outcome) {
	overrides := map[string]string{}
	for _, v := range values {
		if v.Value == nil {
			return nil, failure(model.InvalidConfig, "Null value not supported for topic configs: %s", v.Name)
		}
		overrides[v.Name] = *v.Value
	}
	return overrides, checkTopicConfig(overrides)
}

func checkTopicConfig(overrides map[string]string) Outcome {
	if err := config.ValidateTopic(overrides); err != nil {
		return Outcome{model.InvalidConfig, err.Error()}
	}
	return Outcome{}
}

// newTopicID draws an id. As in Kafka it never begins with a dash, which command lines would take for an option.
func newTopicID(img *metadata.Image, random io.Reader) (model.TopicID, error) {
	for {
		var id model.TopicID
		if _, err := io.ReadFull(random, id[:]); err != nil {
			return id, err
		}
		id[6] = id[6]&0x0f | 0x40 // version 4
		id[8] = id[8]&0x3f | 0x80 // RFC 9562 variant
		if id.String()[0] != '-' && img.TopicByID(id) == nil {
			return id, nil
		}
	}
}

// newPartition is a partition's first record: its ISR is every replica that lives, the first of which leads.
func newPartition(img *metadata.Image, id model.TopicID, index int32, replicas []model.BrokerID) *metadata.PartitionRecord {
	e := electorate{img: img}
	p := metadata.Partition{Leader: model.NoBroker, Replicas: replicas}
	p.ISR = slices.DeleteFunc(slices.Clone(replicas), func(id model.BrokerID) bool { return !e.live(id) })
	if len(p.ISR) > 0 {
		p.Leader = p.ISR[0]
	}
	p.Dirs = make([]model.UUID, len(replicas))
	for i, b := range replicas {
		// A broker with one directory leaves nothing to choose; one with several says later where it put the replica (KIP-858).
		if broker := img.Broker(b); broker != nil && len(broker.Dirs) == 1 {
			p.Dirs[i] = broker.Dirs[0]
		}
	}
	return p.Record(id, index)
}
