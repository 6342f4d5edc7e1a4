package api

import (
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/wire"
)

// refuse answers a fetch that fails as a whole: an unknown session or one out of step. Before version 7 there was no such field.
func (c *fetchCall) refuse(code model.ErrorCode) {
	buf := c.reply.Bytes()
	w := wire.NewFetchAppender(*buf, c.version, wire.FetchHead{ErrorCode: code}, 0)
	*buf = w.Finish()
	c.send()
}

func (c *fetchCall) send() {
	if c.resumed {
		c.reply.SendHere()
	} else {
		c.reply.Send()
	}
}

// answer writes what was read. Record bytes are not copied: the reply gets file ranges between the parts written here.
func (c *fetchCall) answer() {
	id, code := c.closeRound()
	if code != model.None {
		c.refuse(code)
		return
	}
	buf := c.reply.Bytes()
	w := wire.NewFetchAppender(*buf, c.version, wire.FetchHead{SessionID: id}, c.countTopics())
	var leaders []wire.NodeEndpoint
	for i := 0; i < len(c.parts); {
		n, next := c.topicRun(i)
		if n > 0 {
			w.Topic(c.parts[i].topic, c.parts[i].id, n)
		}
		for ; i < next; i++ {
			if c.results[i].include {
				leaders = c.answerPartition(&w, i, leaders)
			}
		}
	}
	*buf = w.Finish(leaders...)
	c.send()
}

// topicRun counts what is included of the partitions from i on that belong to one topic, and says where they end.
func (c *fetchCall) topicRun(i int) (included, next int) {
	first := c.parts[i]
	for next = i; next < len(c.parts) && c.parts[next].topic == first.topic && c.parts[next].id == first.id; next++ {
		if c.results[next].include {
			included++
		}
	}
	return included, next
}

func (c *fetchCall) countTopics() (topics int) {
	for i := 0; i < len(c.parts); {
		n, next := c.topicRun(i)
		if n > 0 {
			topics++
		}
		i = next
	}
	return topics
}

func (c *fetchCall) answerPartition(w *wire.FetchAppender, i int, leaders []wire.NodeEndpoint) []wire.NodeEndpoint {
	sp, res := c.parts[i], &c.results[i]
	p := wire.FetchedPartition{
		Index: sp.partition, ErrorCode: res.code, HighWatermark: int64(res.read.HW), LastStableOffset: int64(res.read.LSO),
		LogStartOffset: int64(res.read.LogStart), PreferredReadReplica: -1, RecordsSize: int(res.read.Slice.Len),
		Diverging: wire.Divergence{Set: res.read.Diverging.Set, Epoch: int32(res.read.Diverging.Epoch), EndOffset: int64(res.read.Diverging.End)},
	}
	if res.nearer {
		p.PreferredReadReplica = int32(res.near)
	}
	if c.isolation == replication.ReadCommitted && res.code == model.None {
		p.Aborted = aborted(&res.read)
	}
	if res.code != model.None {
		c.api.Metrics.FailedFetches.Add(1)
		if c.version >= 16 && c.replica < 0 { // followers go by the metadata
			p.CurrentLeader, leaders = c.api.leaderHint(c.conn, c.topicOf(sp), sp.partition, res.code, leaders)
		}
	}
	at := w.Partition(p)
	if s := &res.read.Slice; s.Len > 0 {
		c.reply.File(at, s.File, s.Pos, s.Len)
	}
	w.EndPartition()
	return leaders
}

func (c *fetchCall) topicOf(sp *sessionPartition) *metadata.Topic {
	if sp.topic == "" {
		return c.image.TopicByID(sp.id)
	}
	return c.image.Topic(sp.topic)
}

// aborted lists the transactions a read_committed consumer has to skip: never nil, which stands for read_uncommitted.
func aborted(r *replication.ReadResult) []wire.FetchResponseTopicPartitionAbortedTransaction {
	out := []wire.FetchResponseTopicPartitionAbortedTransaction{}
	for _, t := range r.Aborted {
		out = append(out, wire.FetchResponseTopicPartitionAbortedTransaction{ProducerID: int64(t.ProducerID), FirstOffset: int64(t.FirstOffset)})
	}
	return out
}
