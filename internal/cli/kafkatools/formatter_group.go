package kafkatools

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The records of __consumer_offsets, as Kafka's formatters of that topic print them: JSON with a type or version beside the data.
type typed struct {
	Type int16 `json:"type"`
	Data any   `json:"data"`
}

type versioned struct {
	Version int16 `json:"version"`
	Data    any   `json:"data"`
}

type keyAndValue struct {
	Key   typed      `json:"key"`
	Value *versioned `json:"value"`
}

type offsetKey struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
}

// offsetValue has the fields of all versions; those a version lacks are left out.
type offsetValue struct {
	Offset          int64   `json:"offset"`
	LeaderEpoch     *int32  `json:"leaderEpoch,omitempty"`
	Metadata        string  `json:"metadata"`
	CommitTimestamp int64   `json:"commitTimestamp"`
	ExpireTimestamp *int64  `json:"expireTimestamp,omitempty"`
	TopicID         *string `json:"topicId,omitempty"`
}

// recordType is the number an internal topic's key begins with; -1 where there is none.
func recordType(key []byte) int16 {
	if len(key) < 2 {
		return -1
	}
	return int16(binary.BigEndian.Uint16(key))
}

// appendOffsetRecord prints commits and passes over all other records, as OffsetsMessageFormatter does.
func appendOffsetRecord(out []byte, r *kgo.Record) ([]byte, error) {
	kind := recordType(r.Key)
	if kind != 0 && kind != 1 {
		return out, nil
	}
	k := kmsg.NewOffsetCommitKey()
	if err := k.ReadFrom(r.Key); err != nil {
		return out, err
	}
	line := keyAndValue{Key: typed{kind, offsetKey{k.Group, k.Topic, k.Partition}}}
	if r.Value != nil {
		v := kmsg.NewOffsetCommitValue()
		if err := v.ReadFrom(r.Value); err != nil {
			return out, err
		}
		data := offsetValue{Offset: v.Offset, Metadata: v.Metadata, CommitTimestamp: v.CommitTimestamp}
		if v.Version >= 3 {
			data.LeaderEpoch = &v.LeaderEpoch
		}
		if v.Version == 1 {
			data.ExpireTimestamp = &v.ExpireTimestamp
		}
		if v.Version >= 4 {
			data.TopicID = new(base64.RawURLEncoding.EncodeToString(v.TopicID[:]))
		}
		line.Value = &versioned{v.Version, data}
	}
	return appendJSON(out, line)
}

type groupKey struct {
	Group string `json:"group"`
}

type groupValue struct {
	ProtocolType          string        `json:"protocolType"`
	Generation            int32         `json:"generation"`
	Protocol              *string       `json:"protocol"`
	Leader                *string       `json:"leader"`
	CurrentStateTimestamp *int64        `json:"currentStateTimestamp,omitempty"`
	Members               []groupMember `json:"members"`
}

type groupMember struct {
	MemberID         string  `json:"memberId"`
	GroupInstanceID  *string `json:"groupInstanceId"`
	ClientID         string  `json:"clientId"`
	ClientHost       string  `json:"clientHost"`
	RebalanceTimeout int32   `json:"rebalanceTimeout"`
	SessionTimeout   int32   `json:"sessionTimeout"`
	Subscription     []byte  `json:"subscription"`
	Assignment       []byte  `json:"assignment"`
}

// appendGroupRecord prints generations of classic groups and passes over all other records.
func appendGroupRecord(out []byte, r *kgo.Record) ([]byte, error) {
	if recordType(r.Key) != 2 {
		return out, nil
	}
	k := kmsg.NewGroupMetadataKey()
	if err := k.ReadFrom(r.Key); err != nil {
		return out, err
	}
	line := keyAndValue{Key: typed{2, groupKey{k.Group}}}
	if r.Value != nil {
		v := kmsg.NewGroupMetadataValue()
		if err := v.ReadFrom(r.Value); err != nil {
			return out, err
		}
		data := groupValue{ProtocolType: v.ProtocolType, Generation: v.Generation, Protocol: v.Protocol, Leader: v.Leader, Members: []groupMember{}}
		if v.Version >= 2 {
			data.CurrentStateTimestamp = &v.CurrentStateTimestamp
		}
		for _, m := range v.Members {
			data.Members = append(data.Members, groupMember{m.MemberID, m.InstanceID, m.ClientID, m.ClientHost, m.RebalanceTimeoutMillis, m.SessionTimeoutMillis,
				m.Subscription, m.Assignment})
		}
		line.Value = &versioned{v.Version, data}
	}
	return appendJSON(out, line)
}

func appendJSON(out []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return append(out, text...), err
}
