package api

import (
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// offsetFetch answers key 9. Version 2 and later can ask for all topics, 8 for many groups (KIP-709); 10 names topics by id. A topic
// that was created again has no offsets of its former life. RequireStable is always met: there are no transactions yet.
func offsetFetch(a *API, r *Request, q *wire.OffsetFetchRequest) (*wire.OffsetFetchResponse, error) {
	var resp wire.OffsetFetchResponse
	if r.Version >= 8 {
		for i := range q.Groups {
			resp.Groups = append(resp.Groups, *a.fetchGroup(r, &q.Groups[i]))
		}
		return &resp, nil
	}
	g := wire.OffsetFetchRequestGroup{GroupID: q.GroupID}
	if q.Topics != nil {
		g.Topics = make([]wire.OffsetFetchRequestGroupTopic, len(q.Topics))
	}
	for i := range q.Topics {
		g.Topics[i] = wire.OffsetFetchRequestGroupTopic{Name: q.Topics[i].Name, PartitionIndexes: q.Topics[i].PartitionIndexes}
	}
	oldOffsetFetch(r.Version, q, a.fetchGroup(r, &g), &resp)
	return &resp, nil
}

// fetchGroup answers for one group.
func (a *API) fetchGroup(r *Request, q *wire.OffsetFetchRequestGroup) *wire.OffsetFetchResponseGroup {
	byID := r.Version >= 10
	if q.Topics == nil {
		g := a.Groups.FetchOffsets(r.Context(), q)
		g.Topics = livingTopics(r.Image, g.Topics)
		return g
	}
	known := *q
	known.Topics = make([]wire.OffsetFetchRequestGroupTopic, 0, len(q.Topics))
	var unknown []wire.OffsetFetchResponseGroupTopic
	for i := range q.Topics {
		qt := q.Topics[i]
		t, code := namedTopic(r.Image, byID, qt.Name, qt.TopicID)
		switch {
		case code == model.UnknownTopicID:
			unknown = append(unknown, refuseFetch(&qt, code))
			continue
		case t != nil:
			qt.Name, qt.TopicID = t.Name, t.ID
		}
		known.Topics = append(known.Topics, qt) // a topic that is not there, by name, simply has no offsets
	}
	g := a.Groups.FetchOffsets(r.Context(), &known)
	if g.ErrorCode == model.None {
		g.Topics = append(g.Topics, unknown...)
	}
	return g
}

func refuseFetch(qt *wire.OffsetFetchRequestGroupTopic, code model.ErrorCode) wire.OffsetFetchResponseGroupTopic {
	rt := wire.OffsetFetchResponseGroupTopic{Name: qt.Name, TopicID: qt.TopicID}
	for _, p := range qt.PartitionIndexes {
		rt.Partitions = append(rt.Partitions, wire.OffsetFetchResponseGroupTopicPartition{
			PartitionIndex: p, CommittedOffset: -1, CommittedLeaderEpoch: -1, Metadata: new(string), ErrorCode: code,
		})
	}
	return rt
}

// livingTopics drops offsets of topics that are gone or were created again, and completes the ids of those whose commits knew none.
func livingTopics(img *metadata.Image, topics []wire.OffsetFetchResponseGroupTopic) []wire.OffsetFetchResponseGroupTopic {
	out := make([]wire.OffsetFetchResponseGroupTopic, 0, len(topics))
	for i := range topics {
		t := img.Topic(topics[i].Name)
		if t == nil || !topics[i].TopicID.IsZero() && topics[i].TopicID != t.ID {
			continue
		}
		topics[i].TopicID = t.ID
		out = append(out, topics[i])
	}
	return out
}

// oldOffsetFetch puts the answer for one group into the form before version 8. Version 0 and 1 have no place for a group's error but in
// each partition, and version 0, made for offsets in ZooKeeper, calls a partition without an offset unknown.
func oldOffsetFetch(version int16, q *wire.OffsetFetchRequest, g *wire.OffsetFetchResponseGroup, resp *wire.OffsetFetchResponse) {
	resp.ErrorCode = g.ErrorCode
	if g.ErrorCode != model.None && version < 2 {
		for i := range q.Topics {
			g.Topics = append(g.Topics, refuseFetch(&wire.OffsetFetchRequestGroupTopic{Name: q.Topics[i].Name, PartitionIndexes: q.Topics[i].PartitionIndexes}, g.ErrorCode))
		}
	}
	resp.Topics = make([]wire.OffsetFetchResponseTopic, len(g.Topics))
	for i := range g.Topics {
		resp.Topics[i].Name = g.Topics[i].Name
		for _, p := range g.Topics[i].Partitions {
			if version == 0 && p.ErrorCode == model.None && p.CommittedOffset < 0 {
				p.ErrorCode = model.UnknownTopicOrPartition
			}
			resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, wire.OffsetFetchResponseTopicPartition{
				PartitionIndex: p.PartitionIndex, CommittedOffset: p.CommittedOffset, CommittedLeaderEpoch: p.CommittedLeaderEpoch,
				Metadata: p.Metadata, ErrorCode: p.ErrorCode,
			})
		}
	}
}
