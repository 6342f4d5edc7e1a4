package model

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// BrokerID names a node of the cluster. Kafka's node.id, never negative for a real node.
type BrokerID int32

// NoBroker stands for "no leader", "no controller" and for consumers in Fetch's replica id.
const NoBroker BrokerID = -1

// BrokerEpoch is the metadata offset of a broker's registration; a restarted broker has a larger one (KIP-500).
type BrokerEpoch int64

// LeaderEpoch counts the leaders a partition has had (KIP-101). It grows by one at every election.
type LeaderEpoch int32

// NoLeaderEpoch is sent by clients that know no epoch, and stands in records from before epochs existed.
const NoLeaderEpoch LeaderEpoch = -1

// PartitionEpoch counts every change of a partition's record: leader, ISR or replicas (KIP-497).
type PartitionEpoch int32

// Offset is the position of a record in a partition, or of the place behind the last one.
type Offset int64

// NoOffset means "unknown".
const NoOffset Offset = -1

// ProducerID names an idempotent producer session. It is unique for ever in a cluster (KIP-98).
type ProducerID int64

// NoProducerID marks batches of producers that are not idempotent.
const NoProducerID ProducerID = -1

// ProducerEpoch fences older instances of one producer id.
type ProducerEpoch int16

// NoProducerEpoch goes with NoProducerID.
const NoProducerEpoch ProducerEpoch = -1

// TopicPartition names a partition by its topic's name.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String prints Kafka's directory form, "topic-0".
func (tp TopicPartition) String() string { return tp.Topic + "-" + strconv.Itoa(int(tp.Partition)) }

// UUID is Kafka's 128-bit identifier of topics, directories and node incarnations (KIP-516).
// It prints as URL-safe base64 without padding, 22 characters.
type UUID [16]byte

// TopicID names one life of a topic: a deleted and re-created topic has another one.
type TopicID = UUID

// String is Kafka's textual form.
func (u UUID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// IsZero reports whether the id is the reserved "none" value.
func (u UUID) IsZero() bool { return u == UUID{} }

// ParseUUID reads the form String prints.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return u, fmt.Errorf("id %q is not URL-safe base64: %w", s, err)
	}
	if len(raw) != len(u) {
		return u, fmt.Errorf("id %q has %d bytes, want %d", s, len(raw), len(u))
	}
	copy(u[:], raw)
	return u, nil
}

// TopicIDPartition names a partition by its topic's id.
type TopicIDPartition struct {
	ID        TopicID
	Partition int32
}

// String prints "id-0".
func (tp TopicIDPartition) String() string {
	return tp.ID.String() + "-" + strconv.Itoa(int(tp.Partition))
}
