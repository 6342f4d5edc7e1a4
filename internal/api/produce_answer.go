package api

import (
	"errors"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/wire"
)

// answer writes the response. acks=0 has none: an error then closes the connection, which is how Kafka makes such a producer look its
// metadata up again.
func (c *produceCall) answer() {
	if c.acks == 0 {
		c.answerNothing()
		return
	}
	buf := c.reply.Bytes()
	w := wire.NewProduceAppender(*buf, c.version, len(c.topics))
	var leaders []wire.NodeEndpoint
	for i := range c.topics {
		t := &c.topics[i]
		w.Topic(t.name, t.id, t.n)
		for j := range c.parts[t.first : t.first+t.n] {
			p := &c.parts[t.first+j]
			answer := wire.ProducedPartition{
				Index: p.index, ErrorCode: p.code, BaseOffset: int64(p.result.Base), LogAppendTimeMs: p.result.LogAppendTime,
				LogStartOffset: int64(p.result.LogStart), RecordErrors: p.bad, ErrorMessage: p.message,
			}
			if p.code != model.None {
				c.api.Metrics.FailedProduces.Add(1)
				answer.CurrentLeader, leaders = c.api.leaderHint(c.conn, t.topic, p.index, p.code, leaders)
			}
			w.Partition(answer)
		}
	}
	*buf = w.Finish(0, leaders...)
	c.reply.Send()
}

func (c *produceCall) answerNothing() {
	for i := range c.parts {
		if code := c.parts[i].code; code != model.None {
			c.api.Metrics.FailedProduces.Add(1)
			c.reply.Abort(code)
			return
		}
	}
	c.reply.Drop()
}

// fail puts an engine error into the terms of the answer: code, message and, where records are to blame, their places in the
// batch (KIP-467).
func (c *produceCall) fail(part *producedPart, err error) {
	part.result, part.code = replication.NoAppend(), codeOf(err)
	var rec *batch.RecordError
	if errors.As(err, &rec) && c.version >= 8 {
		part.message = rec.Message
		for _, f := range rec.Failures {
			m := f.Message
			part.bad = append(part.bad, wire.ProduceResponseTopicPartitionRecordError{BatchIndex: f.Index, BatchIndexErrorMessage: &m})
		}
	}
	if part.code == model.KafkaStorageError {
		c.api.Logger.Error("append failed", "err", err)
	}
}
