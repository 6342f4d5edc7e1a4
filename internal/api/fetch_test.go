package api

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
)

func oneFetched(t *testing.T, r *kmsg.FetchResponse) kmsg.FetchResponseTopicPartition {
	t.Helper()
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		t.Fatalf("answer for %d topics", len(r.Topics))
	}
	return r.Topics[0].Partitions[0]
}

func appendTo(t testing.TB, p *replication.Partition, b []byte) {
	t.Helper()
	if _, err := p.Append(&replication.Append{Records: bytes.Clone(b), ProduceVersion: 9, Acks: 1, LeaderEpoch: model.NoLeaderEpoch}); err != nil {
		t.Fatal(err)
	}
}

func TestFetchInEveryVersion(t *testing.T) {
	r := newRig(t)
	p := r.topic("t", 1, 1, replication.Config{})[0]
	appendTo(t, p, records(5, 100))
	appendTo(t, p, records(1, 100_000)) // large enough for sendfile
	c := r.dial()
	var first []byte
	for version := int16(4); version <= 18; version++ {
		q := fetchRequest(version, "t", 1, 0)
		got := oneFetched(t, ask[*kmsg.FetchResponse](c, q))
		if got.ErrorCode != 0 || got.HighWatermark != 6 || got.LastStableOffset != 6 || version >= 5 && got.LogStartOffset != 0 {
			t.Fatalf("v%d: %+v", version, got)
		}
		if first == nil {
			first = got.RecordBatches
		}
		if len(got.RecordBatches) < 100_500 || !bytes.Equal(got.RecordBatches, first) {
			t.Fatalf("v%d: %d bytes", version, len(got.RecordBatches))
		}
		if got.AbortedTransactions != nil {
			t.Fatalf("v%d: aborted transactions for read_uncommitted", version)
		}
		q.IsolationLevel = 1
		if got := oneFetched(t, ask[*kmsg.FetchResponse](c, q)); got.AbortedTransactions == nil || !bytes.Equal(got.RecordBatches, first) {
			t.Fatalf("v%d: read_committed got %d bytes", version, len(got.RecordBatches))
		}
	}
}

func TestFetchErrors(t *testing.T) {
	r := newRig(t)
	p := r.topic("t", 1, 1, replication.Config{})[0]
	for range 3 {
		appendTo(t, p, records(1, 100))
	}
	if _, err := p.DeleteRecords(1); err != nil {
		t.Fatal(err)
	}
	r.apply(&metadata.TopicRecord{Name: "elsewhere", TopicID: topicID(7)},
		&metadata.PartitionRecord{TopicID: topicID(7), PartitionID: 0, Replicas: []int32{2}, ISR: []int32{2}, Leader: 2, LeaderEpoch: 5})
	with := func(q *kmsg.FetchRequest, f func(*kmsg.FetchRequestTopicPartition)) *kmsg.FetchRequest {
		f(&q.Topics[0].Partitions[0])
		return q
	}
	c := r.dial()
	for _, tc := range []struct {
		name string
		q    *kmsg.FetchRequest
		want model.ErrorCode
	}{
		{"below the start", fetchRequest(11, "t", 1, 0), model.OffsetOutOfRange},
		{"at the start", fetchRequest(11, "t", 1, 1), model.None},
		{"at the end", fetchRequest(11, "t", 1, 3), model.None},
		{"above the end", fetchRequest(11, "t", 1, 4), model.OffsetOutOfRange},
		{"negative", fetchRequest(11, "t", 1, -1), model.OffsetOutOfRange},
		{"unknown topic", fetchRequest(11, "nowhere", 0, 0), model.UnknownTopicOrPartition},
		{"unknown id", fetchRequest(13, "", 99, 0), model.UnknownTopicID},
		{"old epoch", with(fetchRequest(11, "t", 1, 1), func(p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = 2 }), model.FencedLeaderEpoch},
		{"this epoch", with(fetchRequest(11, "t", 1, 1), func(p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = 3 }), model.None},
		{"new epoch", with(fetchRequest(11, "t", 1, 1), func(p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = 4 }), model.UnknownLeaderEpoch},
		{"unknown partition", with(fetchRequest(11, "t", 1, 1), func(p *kmsg.FetchRequestTopicPartition) { p.Partition = 1 }), model.UnknownTopicOrPartition},
		{"not here", fetchRequest(17, "", 7, 0), model.NotLeaderOrFollower},
	} {
		resp := ask[*kmsg.FetchResponse](c, tc.q)
		got := oneFetched(t, resp)
		if model.ErrorCode(got.ErrorCode) != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, model.ErrorCode(got.ErrorCode), tc.want)
		}
		if tc.want != model.None && (got.HighWatermark != -1 || len(got.RecordBatches) != 0) {
			t.Errorf("%s: %+v", tc.name, got)
		}
		if tc.want == model.NotLeaderOrFollower && (got.CurrentLeader.LeaderID != 2 || len(resp.Brokers) != 1) {
			t.Errorf("no hint: %+v %+v", got.CurrentLeader, resp.Brokers)
		}
	}
}

func TestFollowerOutOfRangeLearnsTheStart(t *testing.T) {
	q := fetchRequest(12, "t", 1, 0)
	q.ReplicaID = 2
	fetch := func(r *rig) *kmsg.FetchResponse {
		t.Helper()
		p := r.topic("t", 1, 1, replication.Config{})[0]
		appendTo(t, p, records(5, 10))
		if _, err := p.DeleteRecords(3); err != nil {
			t.Fatal(err)
		}
		return ask[*kmsg.FetchResponse](r.dial(), q)
	}
	if resp := fetch(newRig(t)); model.ErrorCode(resp.ErrorCode) != model.ClusterAuthorizationFailed || len(resp.Topics) != 0 {
		t.Fatalf("a client fetched as a replica: %+v", resp)
	}
	got := oneFetched(t, fetch(adminRig(t, func(o *Options) { o.NodePort = true })))
	if model.ErrorCode(got.ErrorCode) != model.OffsetOutOfRange || got.LogStartOffset != 3 {
		t.Fatalf("%v, log start %d", model.ErrorCode(got.ErrorCode), got.LogStartOffset)
	}
}

func TestFetchTellsWhereLogsDiverge(t *testing.T) {
	r := newRig(t)
	p := r.topic("t", 1, 1, replication.Config{})[0]
	appendTo(t, p, records(2, 10)) // epoch 3, offsets 0 and 1
	m := r.image.Load().Topic("t").Partitions[0]
	m.LeaderEpoch, m.PartitionEpoch = 5, m.PartitionEpoch+1
	p.BecomeLeader(&m)
	appendTo(t, p, records(2, 10)) // epoch 5
	c := r.dial()
	q := fetchRequest(12, "t", 1, 4)
	q.MaxWaitMillis = 10_000
	q.Topics[0].Partitions[0].LastFetchedEpoch = 4
	got := oneFetched(t, ask[*kmsg.FetchResponse](c, q))
	if got.DivergingEpoch.Epoch != 3 || got.DivergingEpoch.EndOffset != 2 || len(got.RecordBatches) != 0 {
		t.Fatalf("%+v", got.DivergingEpoch)
	}
}

func TestFetchBounds(t *testing.T) {
	r := newRig(t)
	parts := r.topic("t", 1, 3, replication.Config{})
	size := len(records(1, 10_000))
	for _, p := range parts {
		for range 3 {
			appendTo(t, p, records(1, 10_000))
		}
	}
	c := r.dial()
	get := func(maxBytes, partitionBytes int32) (sizes [3]int) {
		q := fetchRequest(11, "t", 1, 0)
		q.MaxBytes = maxBytes
		q.Topics[0].Partitions = nil
		for i := range int32(3) {
			p := fetchPartition(i, 0)
			p.PartitionMaxBytes = partitionBytes
			q.Topics[0].Partitions = append(q.Topics[0].Partitions, p)
		}
		for _, p := range ask[*kmsg.FetchResponse](c, q).Topics[0].Partitions {
			sizes[p.Partition] = len(p.RecordBatches)
		}
		return sizes
	}
	for _, tc := range []struct {
		max, partition int32
		want           [3]int
	}{
		{1 << 20, 1 << 20, [3]int{3 * size, 3 * size, 3 * size}},
		{1, 1, [3]int{size, 0, 0}}, // the first batch whole, whatever it takes
		{1 << 20, 1, [3]int{size, 0, 0}},
		{int32(size) + 1, 1 << 20, [3]int{size + 1, 0, 0}}, // what does not hold a whole batch is empty
		{int32(4 * size), 1 << 20, [3]int{3 * size, size, 0}},
		{0, 0, [3]int{size, 0, 0}},
	} {
		if got := get(tc.max, tc.partition); got != tc.want {
			t.Errorf("max %d, per partition %d: %v, want %v", tc.max, tc.partition, got, tc.want)
		}
	}
}

func TestFetchWaitsForRecords(t *testing.T) {
	r := newRig(t)
	parts := r.topic("t", 1, 2, replication.Config{})
	c := r.dial()
	q := fetchRequest(11, "t", 1, 0)
	q.MaxWaitMillis = 20_000
	q.Topics[0].Partitions = append(q.Topics[0].Partitions, fetchPartition(1, 0))
	id := c.send(q)
	time.Sleep(5 * time.Millisecond) // most often it waits by now; either way the answer is the same
	appendTo(t, parts[1], records(1, 10))
	resp := c.receive(q, id).(*kmsg.FetchResponse)
	if n := len(resp.Topics[0].Partitions[1].RecordBatches); n == 0 {
		t.Fatal("woken without records")
	}

	// Too little is not enough, until the time is over.
	q = fetchRequest(11, "t", 1, 0)
	q.MinBytes, q.MaxWaitMillis = 100_000, 200
	begun := time.Now()
	id = c.send(q)
	appendTo(t, parts[0], records(1, 10))
	got := oneFetched(t, c.receive(q, id).(*kmsg.FetchResponse))
	if d := time.Since(begun); d < 200*time.Millisecond || len(got.RecordBatches) == 0 {
		t.Fatalf("answered after %v with %d bytes", d, len(got.RecordBatches))
	}
	q.MaxWaitMillis = 20_000
	id = c.send(q)
	appendTo(t, parts[0], records(1, 200_000))
	if got := oneFetched(t, c.receive(q, id).(*kmsg.FetchResponse)); len(got.RecordBatches) < 100_000 {
		t.Fatalf("answered with %d bytes", len(got.RecordBatches))
	}
}

func TestWaitingFetchEndsWithItsTopic(t *testing.T) {
	r := newRig(t)
	parts := r.topic("t", 1, 1, replication.Config{})
	c := r.dial()
	q := fetchRequest(13, "", 1, 0)
	q.MaxWaitMillis = 20_000
	id := c.send(q)
	time.Sleep(5 * time.Millisecond)
	r.apply(&metadata.RemoveTopic{TopicID: topicID(1)})
	parts[0].Fail(replication.ErrDeleted)
	got := oneFetched(t, c.receive(q, id).(*kmsg.FetchResponse))
	if model.ErrorCode(got.ErrorCode) != model.UnknownTopicID {
		t.Fatalf("%v", model.ErrorCode(got.ErrorCode))
	}
}

func TestWaitingFetchEndsWhenTheServerDrains(t *testing.T) {
	r := newRig(t)
	r.topic("t", 1, 1, replication.Config{})
	c := r.dial()
	q := fetchRequest(11, "t", 1, 0)
	q.MaxWaitMillis = 1 << 30
	id := c.send(q)
	time.Sleep(5 * time.Millisecond)
	if err := r.server.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.receive(q, id)
}

func TestFetchSession(t *testing.T) {
	r := newRig(t)
	parts := r.topic("t", 1, 2, replication.Config{})
	c := r.dial()
	q := fetchRequest(11, "t", 1, 0)
	q.SessionEpoch = 0
	q.Topics[0].Partitions = append(q.Topics[0].Partitions, fetchPartition(1, 0))
	resp := ask[*kmsg.FetchResponse](c, q)
	if resp.SessionID == 0 || len(resp.Topics[0].Partitions) != 2 {
		t.Fatalf("session %d, %d partitions", resp.SessionID, len(resp.Topics[0].Partitions))
	}
	session := resp.SessionID
	next := func(epoch int32, topics ...kmsg.FetchRequestTopic) *kmsg.FetchResponse {
		t.Helper()
		q := fetchRequest(11, "t", 1, 0)
		q.SessionID, q.SessionEpoch, q.Topics = session, epoch, topics
		return ask[*kmsg.FetchResponse](c, q)
	}
	if resp := next(1); len(resp.Topics) != 0 || resp.ErrorCode != 0 || resp.SessionID != session {
		t.Fatalf("no news, yet %+v", resp)
	}
	appendTo(t, parts[1], records(2, 100))
	if p := oneFetched(t, next(2)); p.Partition != 1 || p.HighWatermark != 2 || len(p.RecordBatches) == 0 {
		t.Fatalf("%+v", p)
	}
	// The client has them, and says where it goes on.
	at := kmsg.NewFetchRequestTopic()
	at.Topic, at.Partitions = "t", []kmsg.FetchRequestTopicPartition{fetchPartition(1, 2)}
	if resp := next(3, at); len(resp.Topics) != 0 {
		t.Fatalf("no news, yet %+v", resp.Topics)
	}
	if code := model.ErrorCode(next(3).ErrorCode); code != model.InvalidFetchSessionEpoch {
		t.Fatal(code)
	}
	// The topic is made anew under the same name: the session must not go on in the new one.
	r.apply(&metadata.RemoveTopic{TopicID: topicID(1)})
	r.topicAgain("t", 2, 2)
	if code := model.ErrorCode(next(4).ErrorCode); code != model.FetchSessionIDNotFound {
		t.Fatal(code)
	}
	if code := model.ErrorCode(next(5).ErrorCode); code != model.FetchSessionIDNotFound {
		t.Fatal(code)
	}
}

func TestFetchSessionByIDOutlivesItsTopic(t *testing.T) {
	r := newRig(t)
	r.topic("t", 1, 1, replication.Config{})
	c := r.dial()
	q := fetchRequest(13, "", 1, 0)
	q.SessionEpoch = 0
	session := ask[*kmsg.FetchResponse](c, q).SessionID
	r.apply(&metadata.RemoveTopic{TopicID: topicID(1)})
	r.topicAgain("t", 2, 1)
	q = fetchRequest(13, "", 1, 0)
	q.SessionID, q.SessionEpoch, q.Topics = session, 1, nil
	if p := oneFetched(t, ask[*kmsg.FetchResponse](c, q)); model.ErrorCode(p.ErrorCode) != model.UnknownTopicID {
		t.Fatal(model.ErrorCode(p.ErrorCode))
	}
	q.Version = 12
	q.SessionEpoch = 2
	if resp := ask[*kmsg.FetchResponse](c, q); model.ErrorCode(resp.ErrorCode) != model.FetchSessionTopicIDError {
		t.Fatal(model.ErrorCode(resp.ErrorCode))
	}
}

// topicAgain makes a topic of a name that was removed; its old logs stay where they are, out of the way.
func (r *rig) topicAgain(name string, id byte, partitions int) {
	r.t.Helper()
	records := []metadata.Record{&metadata.TopicRecord{Name: name, TopicID: topicID(id)}}
	for i := range partitions {
		records = append(records, &metadata.PartitionRecord{TopicID: topicID(id), PartitionID: int32(i), Replicas: []int32{int32(me)}, ISR: []int32{int32(me)}, Leader: int32(me)})
	}
	r.apply(records...)
}
