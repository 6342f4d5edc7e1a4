package api

import (
	"net"
	"strings"

	"github.com/klamm/klamm/internal/coordinator/group"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// groupOperations is the bit set of Kafka's AclOperation codes for what a client may do to a group where no authorizer is set (KIP-430).
const groupOperations int32 = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// groupClient is who sends a group request, in the form that DescribeGroups shows.
func groupClient(r *Request) group.Client {
	host, _, err := net.SplitHostPort(r.Conn.RemoteAddr())
	if err != nil {
		host = r.Conn.RemoteAddr()
	}
	return group.Client{ID: r.Conn.ClientID(), Host: "/" + strings.Trim(host, "[]")}
}

// namedTopic finds a topic of a group request: by id from version 10 of OffsetCommit and OffsetFetch on, by name before. Groups keep
// offsets under names, with the id of the topic's present life beside them.
func namedTopic(img *metadata.Image, byID bool, name string, id model.TopicID) (*metadata.Topic, model.ErrorCode) {
	if byID {
		if t := img.TopicByID(id); t != nil {
			return t, model.None
		}
		return nil, model.UnknownTopicID
	}
	if t := img.Topic(name); t != nil {
		return t, model.None
	}
	return nil, model.UnknownTopicOrPartition
}

// partitionCode is the error of a partition: that of its topic, or its own when the topic has no such partition.
func partitionCode(t *metadata.Topic, topic model.ErrorCode, partition int32) model.ErrorCode {
	if topic == model.None && (partition < 0 || int(partition) >= len(t.Partitions)) {
		return model.UnknownTopicOrPartition
	}
	return topic
}
