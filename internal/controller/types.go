package controller

import "github.com/klamm/klamm/internal/model"

// Outcome is how one item of a request went, in Kafka's terms. The zero Outcome is success.
type Outcome struct {
	Code    model.ErrorCode
	Message string // for people; may be empty
}

// Error makes a failed Outcome a Go error.
func (o Outcome) Error() string {
	if o.Message == "" {
		return o.Code.String()
	}
	return o.Code.String() + ": " + o.Message
}

// Unwrap is the code, so that errors.As finds it.
func (o Outcome) Unwrap() error { return o.Code.Err() }

// OK reports success.
func (o Outcome) OK() bool { return o.Code == model.None }

// Topic is how a request names a topic: by name when ByName is set, else by id.
type Topic struct {
	Name   string
	ID     model.TopicID
	ByName bool
}

// CreateTopics asks for topics (API 19).
type CreateTopics struct {
	Topics       []CreateTopic
	ValidateOnly bool // decide and answer, but change nothing
	// Internal allows the names that only the broker itself creates: __consumer_offsets and the like.
	Internal bool
}

// CreateTopic is one topic to create. Partitions and ReplicationFactor -1 stand for the broker's defaults, and must be -1 with a
// manual assignment.
type CreateTopic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16
	Assignments       []Assignment
	Configs           []ConfigValue
}

// Assignment places one partition.
type Assignment struct {
	Partition int32
	Brokers   []model.BrokerID
}

// ConfigValue is one configuration key of a request; a nil value means "not set".
type ConfigValue struct {
	Name  string
	Value *string
}

// CreatedTopic answers a CreateTopic, in the order of the request.
type CreatedTopic struct {
	Name string
	Outcome
	ID                model.TopicID
	Partitions        int32
	ReplicationFactor int16
	Overrides         map[string]string // the configuration values that were given
}

// DeletedTopic answers one topic of a deletion, in the order of the request. Name is empty for an unknown id.
type DeletedTopic struct {
	Topic
	Outcome
}

// CreatePartitions asks for more partitions (API 37).
type CreatePartitions struct {
	Topics       []GrowTopic
	ValidateOnly bool
}

// GrowTopic is one topic to grow to Count partitions. Assignments place the new ones; empty leaves it to the controller.
type GrowTopic struct {
	Name        string
	Count       int32
	Assignments [][]model.BrokerID
	// Assigned is set when the request had assignments at all: an empty list is then an error.
	Assigned bool
}

// NamedOutcome is how it went for one topic.
type NamedOutcome struct {
	Name string
	Outcome
}

// ConfigOp is what an incremental change does with a value (KIP-339), by Kafka's numbers.
type ConfigOp int8

// The incremental operations.
const (
	OpSet ConfigOp = iota
	OpDelete
	OpAppend
	OpSubtract
)

// AlterConfig replaces or changes the dynamic configuration of one resource (APIs 33 and 44).
type AlterConfig struct {
	Type model.ResourceType
	Name string
	Ops  []ConfigChange
}

// ConfigChange is one key of an AlterConfig. A full replacement uses OpSet only.
type ConfigChange struct {
	Name  string
	Op    ConfigOp
	Value *string
}

// ConfigOutcome answers an AlterConfig, in the order of the request.
type ConfigOutcome struct {
	Type model.ResourceType
	Name string
	Outcome
}

// ElectionType is Kafka's number of an election (KIP-460).
type ElectionType int8

// The kinds of election.
const (
	ElectPreferred ElectionType = 0 // the first replica, if it is in the ISR
	ElectUnclean   ElectionType = 1 // any live replica where there is no leader; may lose records
)

// ElectLeaders asks for elections (API 43).
type ElectLeaders struct {
	Type ElectionType
	// Partitions by topic; nil asks for every partition that needs one, and then only those are answered.
	Partitions []TopicPartitions
}

// TopicPartitions names partitions of a topic.
type TopicPartitions struct {
	Topic      string
	Partitions []int32
}

// PartitionOutcome is how it went for one partition.
type PartitionOutcome struct {
	model.TopicPartition
	Outcome
}

// Reassign asks for other replicas of a partition (API 45). Nil Replicas cancel what is under way.
type Reassign struct {
	model.TopicPartition
	Replicas []model.BrokerID
	Cancel   bool
}

// Reassignments asks for several, all of one request.
type Reassignments struct {
	Partitions []Reassign
	// KeepReplicationFactor refuses a change of the number of replicas (KIP-860).
	KeepReplicationFactor bool
}

// Reassigning is one partition whose replicas are on the move (API 46).
type Reassigning struct {
	model.TopicPartition
	Replicas, Adding, Removing []model.BrokerID
}

// UpdateFeatures asks for other feature levels (API 57).
type UpdateFeatures struct {
	Updates      []FeatureUpdate
	ValidateOnly bool
}

// FeatureUpdate is one feature's new level.
type FeatureUpdate struct {
	Name  string
	Level int16
	Type  UpgradeType
}

// UpgradeType says which way a feature may go (KIP-584, KIP-778), by Kafka's numbers.
type UpgradeType int8

// The ways of a feature update.
const (
	Upgrade         UpgradeType = 1
	SafeDowngrade   UpgradeType = 2
	UnsafeDowngrade UpgradeType = 3
)

// UpdatedFeatures answers UpdateFeatures: all or nothing. Features holds what is wrong with each, in the order of the request.
type UpdatedFeatures struct {
	Outcome
	Features []NamedOutcome
}
