package group

import (
	"encoding/binary"
	"time"

	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/wire"
)

// Types that the keys of Topic's records begin with. Larger ones belong to group types that are not served yet.
const (
	oldCommitKey = 0 // before Kafka 0.9
	commitKey    = 1
	metadataKey  = 2
)

// Versions in which values are written: Kafka 4's own choice, so that every tool that reads its records reads ours.
const (
	commitValue         = 4
	commitExpiringValue = 1 // the only one that carries the expiration time of old clients
	metadataValue       = 3
)

func offsetKey(group, topic string, partition int32) []byte {
	return appendOffsetKey(make([]byte, 0, offsetKeySize(group, topic)), group, topic, partition)
}

func offsetKeySize(group, topic string) int { return 2 + 2 + len(group) + 2 + len(topic) + 4 }

func appendOffsetKey(dst []byte, group, topic string, partition int32) []byte {
	k := wire.OffsetCommitKey{Group: group, Topic: topic, Partition: partition}
	return wire.AppendVersioned(dst, commitKey, &k)
}

// offsetValueSize is enough for a value without its metadata.
const offsetValueSize = 48

func appendOffsetValue(dst []byte, c *committed) []byte {
	v := wire.OffsetCommitValue{
		Offset: c.offset, LeaderEpoch: c.leaderEpoch, Metadata: c.metadata, CommitTimestamp: c.committedMs, ExpireTimestamp: c.expireMs, TopicID: c.topicID,
	}
	version := int16(commitValue)
	if c.expireMs >= 0 {
		version = commitExpiringValue
	}
	return wire.AppendVersioned(dst, version, &v)
}

// splitOffsetKey reads the key of an offset without copying its names: loads read millions of them.
func splitOffsetKey(key []byte) (group, topic []byte, partition int32, ok bool) {
	rest := key[2:]
	if group, rest, ok = splitString(rest); !ok {
		return nil, nil, 0, false
	}
	if topic, rest, ok = splitString(rest); !ok || len(rest) < 4 {
		return nil, nil, 0, false
	}
	return group, topic, int32(binary.BigEndian.Uint32(rest)), true
}

func splitString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(int16(binary.BigEndian.Uint16(b)))
	if n < 0 || n > len(b)-2 {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

func groupKey(group string) []byte {
	return wire.AppendVersioned(nil, metadataKey, &wire.GroupMetadataKey{Group: group})
}

// metadataRecord describes a generation. assignments has what each member gets; members that are not in it get nothing.
func metadataRecord(g *group, assignments map[string][]byte) coordinator.Record {
	v := wire.GroupMetadataValue{Generation: g.generation, CurrentStateTimestamp: g.since.UnixMilli()}
	if g.protocolType != nil {
		v.ProtocolType = *g.protocolType
	}
	if len(g.order) > 0 {
		v.Protocol, v.Leader = g.protocol, &g.leader
	}
	for _, m := range g.order {
		v.Members = append(v.Members, memberValue(m, *g.protocol, assignments[m.id]))
	}
	return coordinator.Record{Key: groupKey(g.id), Value: wire.AppendVersioned(nil, metadataValue, &v)}
}

func memberValue(m *member, protocol string, assignment []byte) wire.GroupMetadataValueMember {
	return wire.GroupMetadataValueMember{
		MemberID: m.id, GroupInstanceID: m.instance, ClientID: m.client.ID, ClientHost: m.client.Host,
		RebalanceTimeout: int32(m.rebalanceTimeout / time.Millisecond), SessionTimeout: int32(m.sessionTimeout / time.Millisecond),
		Subscription: m.metadata(protocol), Assignment: assignment,
	}
}

// keyType is the type that a record's key begins with, -1 when there is none.
func keyType(key []byte) int {
	if len(key) < 2 {
		return -1
	}
	return int(int16(binary.BigEndian.Uint16(key)))
}
