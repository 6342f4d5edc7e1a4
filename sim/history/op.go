package history

import (
	"fmt"
	"strconv"
	"strings"
)

// Key is a partition of a topic: what Jepsen's checkers call a key.
type Key struct {
	Topic     string
	Partition int32
}

// String is the key as Kafka writes it, topic-partition.
func (k Key) String() string { return k.Topic + "-" + strconv.Itoa(int(k.Partition)) }

// MarshalText implements encoding.TextMarshaler.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Key) UnmarshalText(b []byte) error {
	i := strings.LastIndexByte(string(b), '-')
	if i < 0 {
		return fmt.Errorf("%q is no topic-partition", b)
	}
	p, err := strconv.ParseInt(string(b[i+1:]), 10, 32)
	if err != nil {
		return fmt.Errorf("%q is no topic-partition: %w", b, err)
	}
	k.Topic, k.Partition = string(b[:i]), int32(p)
	return nil
}

// Type says what is known of an op.
type Type string

// The types of an op.
const (
	Invoke Type = "invoke" // it begins
	OK     Type = "ok"     // it happened
	Fail   Type = "fail"   // it certainly did not and never will
	Info   Type = "info"   // it may have happened, or may yet
)

// Func is what an op does.
type Func string

// The functions of ops. Assign with a Membership is what a group gave; without, what a consumer took by itself.
const (
	Send        Func = "send"
	Poll        Func = "poll"
	Assign      Func = "assign"
	Revoke      Func = "revoke"
	Subscribe   Func = "subscribe"
	Commit      Func = "commit"
	Committed   Func = "committed"
	ListOffsets Func = "list-offsets"
	Admin       Func = "admin"
	ProducerID  Func = "producer-id" // what a process writes as: the id as Value, its epoch as Epoch
	Crash       Func = "crash"
	Final       Func = "final" // from here on, what the process polls are the final reads
)

// Probe is which end of a partition a list-offsets op asked for.
type Probe string

// The ends of a partition that consumers can ask for.
const (
	LogStart      Probe = "start"
	HighWatermark Probe = "hw"  // latest, read uncommitted
	LastStable    Probe = "lso" // latest, read committed
)

// None stands for an offset that is not known, or not there.
const None = -1

// Mop is what an op did to one key.
type Mop struct {
	Key Key `json:"k"`
	// Value is unique in the whole history and above 0: of the record sent or read.
	Value int64 `json:"v,omitempty"`
	// Offset of the record, or the position assigned, committed or listed; None when not known.
	Offset int64 `json:"o"`
	// Epoch is the leader epoch that came with a record read or an offset listed; negative when none did.
	Epoch int32 `json:"e,omitempty"`
	// Sum is a checksum of all bytes of a record read; 0 when it was not taken.
	Sum uint32 `json:"s,omitempty"`
	// Damaged says that a record read was not what its producer wrote.
	Damaged bool `json:"bad,omitempty"`
	// Probe says which end of the partition Offset is, for list-offsets.
	Probe Probe `json:"at,omitempty"`
}

// Membership is under which name a group knows a process.
type Membership struct {
	Group      string `json:"group"`
	Member     string `json:"member,omitempty"`
	Generation int32  `json:"gen"` // or member epoch (KIP-848)
}

// Change is what an admin op asked for, or what a describe found.
type Change struct {
	Verb       Verb   `json:"verb"`
	Topic      string `json:"topic"`
	Partitions int32  `json:"parts,omitempty"`
	Config     string `json:"config,omitempty"`
	Value      string `json:"value,omitempty"`
	Exists     bool   `json:"exists,omitempty"` // describe
}

// Verb is a kind of admin op.
type Verb string

// The admin ops. A describe tells what a topic is; of each topic, only the last one in a history is judged (M1), because metadata may lag.
const (
	CreateTopic      Verb = "create-topic"
	DeleteTopic      Verb = "delete-topic"
	CreatePartitions Verb = "create-partitions"
	AlterConfig      Verb = "alter-config"
	Describe         Verb = "describe"
)

// Op is one line of a history: the beginning or the end of something a client did.
type Op struct {
	Index int `json:"i"`
	// Begun is the Index of the invoke that this op completes; its own Index when it is an invoke, or stands alone.
	Begun   int    `json:"of"`
	Process int    `json:"p"`
	Type    Type   `json:"t"`
	F       Func   `json:"f"`
	TimeNs  int64  `json:"ns"`
	Mops    []Mop  `json:"mops,omitempty"`
	Err     string `json:"err,omitempty"`
	// Group is set on every op of a group's member.
	Group  *Membership `json:"group,omitempty"`
	Change *Change     `json:"change,omitempty"`
}

// History is all ops in the order in which they were recorded.
type History []Op
