package api

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
)

func onePart(t *testing.T, r *kmsg.ProduceResponse) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		t.Fatalf("answer for %d topics", len(r.Topics))
	}
	return r.Topics[0].Partitions[0]
}

func TestProduceInEveryVersion(t *testing.T) {
	r := newRig(t)
	p := r.topic("t", 1, 1, replication.Config{})[0]
	c := r.dial()
	want := int64(0)
	for version := int16(3); version <= 13; version++ {
		for _, acks := range []int16{1, -1} {
			got := onePart(t, ask[*kmsg.ProduceResponse](c, produceRequest(version, acks, "t", 1, records(3, 100), 0)))
			if got.ErrorCode != 0 || got.BaseOffset != want || got.LogAppendTime != -1 {
				t.Fatalf("v%d acks=%d: %+v, want offset %d", version, acks, got, want)
			}
			if version >= 5 && got.LogStartOffset != 0 {
				t.Fatalf("v%d: log start %d", version, got.LogStartOffset)
			}
			want += 3
		}
	}
	if end := p.LogEnd(); int64(end) != want {
		t.Fatalf("log ends at %d, want %d", end, want)
	}
}

func TestProduceWithoutAcksHasNoAnswer(t *testing.T) {
	r := newRig(t)
	p := r.topic("t", 1, 1, replication.Config{})[0]
	c := r.dial()
	c.send(produceRequest(9, 0, "t", 1, records(1, 10), 0))
	got := onePart(t, ask[*kmsg.ProduceResponse](c, produceRequest(9, 1, "t", 1, records(1, 10), 0)))
	if got.BaseOffset != 1 || p.LogEnd() != 2 {
		t.Fatalf("offset %d, end %d", got.BaseOffset, p.LogEnd())
	}
	// An error closes the connection: it is the only way to be noticed.
	c.send(produceRequest(9, 0, "nowhere", 1, records(1, 10), 0))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("an answer to acks=0")
	}
}

func TestProduceErrors(t *testing.T) {
	r := newRig(t)
	p := r.topic("t", 1, 1, replication.Config{})[0]
	r.topic("__consumer_offsets", 9, 1, replication.Config{})
	r.apply(&metadata.TopicRecord{Name: "elsewhere", TopicID: topicID(7)},
		&metadata.PartitionRecord{TopicID: topicID(7), PartitionID: 0, Replicas: []int32{2}, ISR: []int32{2}, Leader: 2, LeaderEpoch: 5})
	corrupt := records(1, 100)
	corrupt[len(corrupt)-1]++
	txn := produceRequest(9, -1, "t", 1, records(1, 10), 0)
	name := "txn"
	txn.TransactionID = &name
	c := r.dial()
	for _, tc := range []struct {
		name string
		q    *kmsg.ProduceRequest
		want model.ErrorCode
	}{
		{"unknown topic", produceRequest(9, 1, "nowhere", 0, records(1, 10), 0), model.UnknownTopicOrPartition},
		{"unknown id", produceRequest(13, 1, "", 99, records(1, 10), 0), model.UnknownTopicID},
		{"unknown partition", produceRequest(9, 1, "t", 1, records(1, 10), 1), model.UnknownTopicOrPartition},
		{"negative partition", produceRequest(9, 1, "t", 1, records(1, 10), -1), model.UnknownTopicOrPartition},
		{"internal topic", produceRequest(9, 1, "__consumer_offsets", 9, records(1, 10), 0), model.InvalidTopicException},
		{"not the leader", produceRequest(9, 1, "elsewhere", 7, records(1, 10), 0), model.NotLeaderOrFollower},
		{"acks 2", produceRequest(9, 2, "t", 1, records(1, 10), 0), model.InvalidRequiredAcks},
		{"corrupt", produceRequest(9, 1, "t", 1, corrupt, 0), model.CorruptMessage},
		{"cut off", produceRequest(9, 1, "t", 1, corrupt[:80], 0), model.InvalidRecord},
		{"too large", produceRequest(9, 1, "t", 1, records(1, 1<<20), 0), model.MessageTooLarge},
		{"transactional", txn, model.UnsupportedVersion},
	} {
		got := onePart(t, ask[*kmsg.ProduceResponse](c, tc.q))
		if model.ErrorCode(got.ErrorCode) != tc.want || got.BaseOffset != -1 || got.LogStartOffset != -1 {
			t.Errorf("%s: %v at %d, want %v", tc.name, model.ErrorCode(got.ErrorCode), got.BaseOffset, tc.want)
		}
	}
	if p.LogEnd() != 0 {
		t.Fatalf("%d records appended by requests that were refused", p.LogEnd())
	}
}

func TestProduceTellsTheLeader(t *testing.T) {
	r := newRig(t)
	r.apply(&metadata.TopicRecord{Name: "elsewhere", TopicID: topicID(7)},
		&metadata.PartitionRecord{TopicID: topicID(7), PartitionID: 0, Replicas: []int32{2}, ISR: []int32{2}, Leader: 2, LeaderEpoch: 5})
	c := r.dial()
	resp := ask[*kmsg.ProduceResponse](c, produceRequest(10, 1, "elsewhere", 7, records(1, 10), 0, 0))
	p := resp.Topics[0].Partitions[1]
	if p.CurrentLeader.LeaderID != 2 || p.CurrentLeader.LeaderEpoch != 5 {
		t.Fatalf("hint %+v", p.CurrentLeader)
	}
	if len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != 2 || resp.Brokers[0].Host != "broker" || resp.Brokers[0].Port != 9002 {
		t.Fatalf("endpoints %+v", resp.Brokers)
	}
}

func TestPipelinedProducesKeepTheirOrder(t *testing.T) {
	r := newRig(t)
	r.topic("t", 1, 2, replication.Config{})
	c := r.dial()
	const n = 200
	go func() {
		for i := range int32(n) {
			acks := int16(-1)
			if i%3 == 0 {
				acks = 1
			}
			if _, err := c.Write(encode(produceRequest(9, acks, "t", 1, records(1, 50), i%2), i)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for i := range int32(n) {
		q := produceRequest(9, -1, "t", 1, nil)
		got := onePart(t, c.receive(q, i).(*kmsg.ProduceResponse))
		if got.ErrorCode != 0 || got.Partition != i%2 || got.BaseOffset != int64(i/2) {
			t.Fatalf("answer %d: %+v", i, got)
		}
	}
}

func TestProduceTimesOutWithoutEnoughReplicas(t *testing.T) {
	r := newRig(t)
	parts := r.topic("t", 1, 1, replication.Config{})
	// A second replica that never fetches holds the high watermark back.
	m := r.image.Load().Topic("t").Partitions[0]
	m.PartitionEpoch++
	m.Replicas, m.ISR = []model.BrokerID{me, 2}, []model.BrokerID{me, 2}
	parts[0].BecomeLeader(&m)
	c := r.dial()
	q := produceRequest(9, -1, "t", 1, records(1, 10), 0)
	q.TimeoutMillis = 20
	if got := onePart(t, ask[*kmsg.ProduceResponse](c, q)); model.ErrorCode(got.ErrorCode) != model.RequestTimedOut {
		t.Fatalf("%v", model.ErrorCode(got.ErrorCode))
	}
	parts[0].SetConfig(replication.Config{Rules: testRules(), MinISR: 2})
	m.PartitionEpoch++
	m.ISR = []model.BrokerID{me}
	parts[0].BecomeLeader(&m)
	if got := onePart(t, ask[*kmsg.ProduceResponse](c, q)); model.ErrorCode(got.ErrorCode) != model.NotEnoughReplicas {
		t.Fatalf("%v", model.ErrorCode(got.ErrorCode))
	}
}

func TestProduceIsAnsweredWhenTheLeaderLeaves(t *testing.T) {
	r := newRig(t)
	parts := r.topic("t", 1, 1, replication.Config{})
	m := r.image.Load().Topic("t").Partitions[0]
	m.PartitionEpoch++
	m.Replicas, m.ISR = []model.BrokerID{me, 2}, []model.BrokerID{me, 2}
	parts[0].BecomeLeader(&m)
	c := r.dial()
	q := produceRequest(10, -1, "t", 1, records(1, 10), 0)
	id := c.send(q)
	for parts[0].LogEnd() == 0 {
		continue
	}
	m.Leader, m.LeaderEpoch = 2, 4
	m.PartitionEpoch++
	parts[0].BecomeFollower(&m)
	got := onePart(t, c.receive(q, id).(*kmsg.ProduceResponse))
	if model.ErrorCode(got.ErrorCode) != model.NotLeaderOrFollower {
		t.Fatalf("%v", model.ErrorCode(got.ErrorCode))
	}
	// The request began when this node led. Told that, the client would come back here, after its retry.backoff.ms.
	if got.CurrentLeader.LeaderID != 2 || got.CurrentLeader.LeaderEpoch != 4 {
		t.Fatalf("hint %+v, want the new leader", got.CurrentLeader)
	}
}

// The old leader sends its clients here as soon as it knows, which may be before this node does.
func TestProduceAwaitsAHandover(t *testing.T) {
	r := newRig(t)
	r.apply(&metadata.TopicRecord{Name: "t", TopicID: topicID(1)},
		&metadata.PartitionRecord{TopicID: topicID(1), PartitionID: 0, Replicas: []int32{2, int32(me)}, ISR: []int32{2, int32(me)}, Leader: 2, LeaderEpoch: 3})
	p := r.replica("t", 1, 0, replication.Config{})
	m := r.image.Load().Topic("t").Partitions[0]
	p.BecomeFollower(&m)
	c := r.dial()
	q := produceRequest(10, 1, "t", 1, records(1, 10), 0)
	id := c.send(q)
	for p.Stats().ProduceRequests.Load() == 0 {
		continue
	}
	m.Leader, m.LeaderEpoch = me, 4
	m.PartitionEpoch++
	p.BecomeLeader(&m)
	if got := onePart(t, c.receive(q, id).(*kmsg.ProduceResponse)); model.ErrorCode(got.ErrorCode) != model.None {
		t.Fatalf("%v", model.ErrorCode(got.ErrorCode))
	}
}
