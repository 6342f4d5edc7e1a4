package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// describeProducers answers key 61: the idempotent and transactional producers a partition knows (KIP-664).
func describeProducers(a *API, r *Request, q *wire.DescribeProducersRequest) (*wire.DescribeProducersResponse, error) {
	resp := &wire.DescribeProducersResponse{}
	for i := range q.Topics {
		qt := &q.Topics[i]
		rt := wire.DescribeProducersResponseTopic{Name: qt.Name}
		for _, index := range qt.PartitionIndexes {
			rp := wire.DescribeProducersResponseTopicPartition{PartitionIndex: index}
			a.producersOf(r, qt.Name, &rp)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

func (a *API) producersOf(r *Request, topic string, rp *wire.DescribeProducersResponseTopicPartition) {
	p, code := a.partition(r.Image, topic, rp.PartitionIndex)
	if code != model.None {
		rp.ErrorCode = code
		return
	}
	producers, err := p.Producers()
	if err != nil {
		rp.ErrorCode = codeOf(err)
		return
	}
	for _, p := range producers {
		ap := wire.NewDescribeProducersResponseTopicPartitionActiveProducer()
		ap.ProducerID, ap.ProducerEpoch = int64(p.ID), int32(p.Epoch)
		ap.LastSequence, ap.LastTimestamp = p.LastSequence, p.LastTimestamp
		ap.CoordinatorEpoch, ap.CurrentTxnStartOffset = p.CoordinatorEpoch, int64(p.TxnStart)
		rp.ActiveProducers = append(rp.ActiveProducers, ap)
	}
}
