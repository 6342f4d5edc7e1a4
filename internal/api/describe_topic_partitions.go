package api

import (
	"slices"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// maxDescribedPartitions bounds one page (max.request.partition.size.limit).
const maxDescribedPartitions = 2000

// describeTopicPartitions answers key 75: topics with their partitions, page by page (KIP-966). No topics ask for all. The pages are in the
// order of the names; a cursor names where the next one begins.
func describeTopicPartitions(_ *API, r *Request, q *wire.DescribeTopicPartitionsRequest) (*wire.DescribeTopicPartitionsResponse, error) {
	names := make([]string, 0, len(q.Topics))
	for i := range q.Topics {
		names = append(names, q.Topics[i].Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if c := q.Cursor; c != nil && (c.PartitionIndex < 0 || len(names) > 0 && !slices.Contains(names, c.TopicName)) {
		return refuseTopics(q), nil
	}
	p := page{img: r.Image, left: min(max(int(q.ResponsePartitionLimit), 1), maxDescribedPartitions), resp: &wire.DescribeTopicPartitionsResponse{}}
	first, from := "", 0
	if q.Cursor != nil {
		first, from = q.Cursor.TopicName, int(q.Cursor.PartitionIndex)
	}
	if len(names) == 0 {
		for t := range r.Image.TopicsFrom(first) {
			if t.Name != first {
				from = 0
			}
			if !p.add(t.Name, t, from) {
				break
			}
		}
		return p.resp, nil
	}
	for _, name := range names {
		if name < first {
			continue
		}
		if name != first {
			from = 0
		}
		if !p.add(name, r.Image.Topic(name), from) {
			break
		}
	}
	return p.resp, nil
}

// refuseTopics answers a cursor that cannot be meant.
func refuseTopics(q *wire.DescribeTopicPartitionsRequest) *wire.DescribeTopicPartitionsResponse {
	resp := &wire.DescribeTopicPartitionsResponse{}
	for i := range q.Topics {
		t := wire.NewDescribeTopicPartitionsResponseTopic()
		t.Name, t.ErrorCode = &q.Topics[i].Name, model.InvalidRequest
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// page is an answer with room for left more partitions.
type page struct {
	img  *metadata.Image
	left int
	resp *wire.DescribeTopicPartitionsResponse
}

// add puts a topic's partitions on the page, beginning at one of them, and reports whether there is room for more.
func (p *page) add(name string, t *metadata.Topic, from int) bool {
	if p.left <= 0 {
		p.resp.NextCursor = &wire.DescribeTopicPartitionsResponseNextCursor{TopicName: name}
		return false
	}
	out := wire.NewDescribeTopicPartitionsResponseTopic()
	out.Name = &name
	if t == nil {
		out.ErrorCode = model.UnknownTopicOrPartition
		if metadata.ValidateTopicName(name) != nil {
			out.ErrorCode = model.InvalidTopicException
		}
		p.resp.Topics = append(p.resp.Topics, out)
		return true
	}
	out.TopicID, out.IsInternal, out.TopicAuthorizedOperations = t.ID, isInternal(name), topicOperations
	from = min(from, len(t.Partitions))
	to := min(len(t.Partitions), from+p.left)
	for i := from; i < to; i++ {
		out.Partitions = append(out.Partitions, describePartition(p.img, &t.Partitions[i], int32(i)))
	}
	p.left -= to - from
	p.resp.Topics = append(p.resp.Topics, out)
	if to < len(t.Partitions) {
		p.resp.NextCursor = &wire.DescribeTopicPartitionsResponseNextCursor{TopicName: name, PartitionIndex: int32(to)}
		return false
	}
	return true
}

func describePartition(img *metadata.Image, p *metadata.Partition, index int32) wire.DescribeTopicPartitionsResponseTopicPartition {
	out := wire.DescribeTopicPartitionsResponseTopicPartition{
		PartitionIndex: index, LeaderID: int32(p.Leader), LeaderEpoch: int32(p.LeaderEpoch), ReplicaNodes: brokerIDs(p.Replicas), IsrNodes: brokerIDs(p.ISR),
		EligibleLeaderReplicas: brokerIDs(p.ELR), LastKnownElr: brokerIDs(p.LastKnownELR), OfflineReplicas: offline(img, p),
	}
	if p.Leader == model.NoBroker {
		out.ErrorCode = model.LeaderNotAvailable
	}
	return out
}
