package node_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// idempotent is a producer whose every sequence the test decides.
type idempotent struct {
	*rig
	id    int64
	epoch int16
}

func (r *rig) idempotent() *idempotent {
	r.Helper()
	req := kmsg.NewInitProducerIDRequest()
	req.ProducerID, req.ProducerEpoch = -1, -1
	m, err := r.cl.Broker(1).RetriableRequest(r.ctx, &req)
	r.ok(err)
	resp := m.(*kmsg.InitProducerIDResponse)
	r.ok(kerr.ErrorForCode(resp.ErrorCode))
	return &idempotent{r, resp.ProducerID, resp.ProducerEpoch}
}

// produce sends a batch of one record with acks=all.
func (p *idempotent) produce(topic string, seq int32) (offset int64, code int16) {
	p.Helper()
	o := batch.PlainBatch()
	o.ProducerID, o.ProducerEpoch, o.BaseSequence = model.ProducerID(p.id), model.ProducerEpoch(p.epoch), seq
	b := batch.NewBuilder(o)
	b.Add(batch.Record{Timestamp: 1_700_000_000_000, Key: []byte("k"), Value: []byte("v")})
	req := kmsg.NewProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = topic, p.topicID(topic)
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = b.Bytes()
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	m, err := p.cl.Broker(1).RetriableRequest(p.ctx, &req)
	p.ok(err)
	got := m.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return got.BaseOffset, got.ErrorCode
}

func (p *idempotent) want(topic string, seq int32, offset int64, want *kerr.Error) {
	p.Helper()
	at, code := p.produce(topic, seq)
	if want != nil {
		if code != want.Code {
			p.Errorf("sequence %d: %v, want %v", seq, kerr.ErrorForCode(code), want)
		}
		return
	}
	if code != 0 || at != offset {
		p.Errorf("sequence %d: offset %d, %v, want offset %d", seq, at, kerr.ErrorForCode(code), offset)
	}
}

// What a producer sent again is told its first offset, and what it left out is refused: through a restart, the deletion of every record and
// segment it wrote, and another restart. (P1, P2; kills are in test/chaos.)
func TestProducersAreKnownThroughRestartAndDeletion(t *testing.T) {
	t.Parallel()
	r := start(t, often())
	r.create("orders", "internal.segment.bytes", "200")
	p := r.idempotent()
	for seq := range int32(5) {
		p.want("orders", seq, int64(seq), nil)
	}
	check := func(next int32) {
		t.Helper()
		p.want("orders", next-1, int64(next-1), nil) // the last one again
		p.want("orders", next-5, int64(next-5), nil) // the oldest of those that are remembered
		p.want("orders", next+1, 0, kerr.OutOfOrderSequenceNumber)
		p.want("orders", next, int64(next), nil)
		p.want("orders", next-5, 0, kerr.DuplicateSequenceNumber) // one too old
	}
	check(5)
	r.broker.Restart()
	check(6)
	r.deleteRecords("orders", -1)
	check(7)
	r.alter("orders", "retention.ms", "1")
	r.soon("retention", func() (bool, string) {
		from, to := r.bounds("orders")
		return from == to && segments(t, r, "orders") == 1, ""
	})
	r.alter("orders", "retention.ms", "-1")
	check(8)
	r.broker.Restart()
	check(9)
	r.deleteRecords("orders", -1)
	r.broker.Restart()
	check(10)
}

// Producers that are gone are forgotten, those of another epoch are fenced.
func TestProducerOfAnOldEpochIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.create("orders")
	p := r.idempotent()
	p.want("orders", 0, 0, nil)
	p.epoch = 1
	p.want("orders", 0, 1, nil)
	p.epoch = 0
	p.want("orders", 1, 0, kerr.InvalidProducerEpoch)
	r.broker.Restart()
	p.want("orders", 1, 0, kerr.InvalidProducerEpoch)
	other := r.idempotent()
	if other.id == p.id {
		t.Error("the same id was given out twice")
	}
	r.broker.Restart()
	if again := r.idempotent(); again.id == p.id || again.id == other.id {
		t.Error("the same id was given out twice")
	}
}
