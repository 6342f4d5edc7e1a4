package api

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/wire"
)

func TestApiVersionsOfEveryVersion(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	for version := int16(0); version <= 4; version++ {
		q := kmsg.NewPtrApiVersionsRequest()
		q.Version, q.ClientSoftwareName, q.ClientSoftwareVersion = version, "kcat", "1.7.0"
		resp := ask[*kmsg.ApiVersionsResponse](c, q)
		if resp.ErrorCode != 0 || len(resp.ApiKeys) != len(r.api.entries) {
			t.Fatalf("v%d: %v, %d keys", version, resp.ErrorCode, len(resp.ApiKeys))
		}
	}
	q := kmsg.NewPtrApiVersionsRequest()
	q.Version, q.ClientSoftwareName, q.ClientSoftwareVersion = 3, "bad name!", "1"
	if code := ask[*kmsg.ApiVersionsResponse](c, q).ErrorCode; model.ErrorCode(code) != model.InvalidRequest {
		t.Fatal(model.ErrorCode(code))
	}
}

func TestSoftwareNames(t *testing.T) {
	for name, want := range map[string]bool{
		"kcat": true, "apache-kafka-java": true, "4.3.1": true, "A": true, "": false, "-a": false, "a-": false, ".": false, "a b": false, "a..b": true, "\u00e9": false,
	} {
		if validSoftware(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestApiVersionsOfTheFuture(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	q := kmsg.NewPtrApiVersionsRequest()
	q.Version = 3
	b := encode(q, 77)
	b[7] = 99
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	id, body := c.frame()
	var resp kmsg.ApiVersionsResponse // version 0
	if err := resp.ReadFrom(body); err != nil || id != 77 {
		t.Fatal(id, err)
	}
	if model.ErrorCode(resp.ErrorCode) != model.UnsupportedVersion || len(resp.ApiKeys) == 0 {
		t.Fatalf("%v with %d keys", model.ErrorCode(resp.ErrorCode), len(resp.ApiKeys))
	}
}

func TestApiVersionsKnowsWhoWasMeant(t *testing.T) {
	r := newRig(t)
	cluster, other := "rig", "another"
	for _, tc := range []struct {
		cluster *string
		node    int32
		want    bool
	}{{nil, -1, false}, {&cluster, int32(me), false}, {&other, -1, true}, {&cluster, 5, true}} {
		if got := r.api.misrouted(&wire.APIVersionsRequest{ClusterID: tc.cluster, NodeID: tc.node}); got != tc.want {
			t.Errorf("cluster %v node %d: misrouted %v", tc.cluster, tc.node, got)
		}
	}
}

func TestTableAndDefinitionsAgree(t *testing.T) {
	last := wire.Key(-1)
	for _, e := range table() {
		low, high, _, ok := wire.Versions(e.Key)
		if !ok || e.Min < low || e.Max > high || e.Min > e.Max {
			t.Errorf("%v serves %d-%d, the codec knows %d-%d", e.Key, e.Min, e.Max, low, high)
		}
		if e.Key <= last {
			t.Errorf("%v is out of order", e.Key)
		}
		last = e.Key
		if (e.Serial == nil) == (e.Piped == nil) {
			t.Errorf("%v has not exactly one handler", e.Key)
		}
	}
}

func TestUnservedRequests(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	// Known to the codec, not served: an answer.
	q := kmsg.NewPtrInitProducerIDRequest()
	q.Version = 4
	b := encode(q, 5)
	b[5], b[7] = byte(kmsg.EndTxn), 3
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	_, body := c.frame()
	end := kmsg.NewPtrEndTxnResponse()
	end.Version = 3
	if err := end.ReadFrom(body[1:]); err != nil || model.ErrorCode(end.ErrorCode) != model.UnsupportedVersion {
		t.Fatal(err, model.ErrorCode(end.ErrorCode))
	}
	// Unknown to everyone: closed, behind the answers before.
	mq := kmsg.NewPtrMetadataRequest()
	mq.Version = 9
	id := c.send(mq)
	b[4], b[5] = 0x7f, 0x7f
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	c.receive(mq, id)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("an answer to an unknown key")
	}
}

func TestListOffsets(t *testing.T) {
	r := newRig(t)
	p := r.topic("t", 1, 1, replication.Config{})[0]
	for range 4 {
		appendTo(t, p, records(2, 10))
	}
	if _, err := p.DeleteRecords(3); err != nil {
		t.Fatal(err)
	}
	c := r.dial()
	for _, tc := range []struct {
		version int16
		ts      int64
		epoch   int32
		offset  int64
		code    model.ErrorCode
	}{
		{1, -1, -1, 8, 0},
		{11, -1, 3, 8, 0},
		{1, -2, -1, 3, 0},
		{7, -2, -1, 3, 0},
		{8, -4, -1, 3, 0},
		{9, -5, -1, -1, 0},
		{11, -6, -1, -1, 0},
		{7, -4, -1, -1, model.UnsupportedVersion},
		{6, -3, -1, -1, model.UnsupportedVersion},
		{11, -7, -1, -1, model.UnsupportedVersion},
		{5, 1, -1, 3, 0},
		{5, 1 << 60, -1, -1, 0},
		{4, -1, 2, -1, model.FencedLeaderEpoch},
		{4, -1, 4, -1, model.UnknownLeaderEpoch},
	} {
		q := kmsg.NewPtrListOffsetsRequest()
		q.Version, q.ReplicaID = tc.version, -1
		qt := kmsg.NewListOffsetsRequestTopic()
		qt.Topic = "t"
		qp := kmsg.NewListOffsetsRequestTopicPartition()
		qp.Timestamp, qp.CurrentLeaderEpoch = tc.ts, tc.epoch
		qt.Partitions = append(qt.Partitions, qp)
		q.Topics = append(q.Topics, qt)
		got := ask[*kmsg.ListOffsetsResponse](c, q).Topics[0].Partitions[0]
		if got.Offset != tc.offset || model.ErrorCode(got.ErrorCode) != tc.code {
			t.Errorf("v%d timestamp %d epoch %d: offset %d %v, want %d %v", tc.version, tc.ts, tc.epoch, got.Offset, model.ErrorCode(got.ErrorCode), tc.offset, tc.code)
		}
	}
}

func TestMetadata(t *testing.T) {
	r := newRig(t)
	r.topic("t", 1, 2, replication.Config{})
	r.topic("u", 2, 1, replication.Config{})
	r.apply(&metadata.TopicRecord{Name: "leaderless", TopicID: topicID(3)},
		&metadata.PartitionRecord{TopicID: topicID(3), Replicas: []int32{2}, Leader: -1, LeaderEpoch: 1, LastKnownELR: []int32{2}})
	c := r.dial()
	get := func(version int16, topics ...kmsg.MetadataRequestTopic) *kmsg.MetadataResponse {
		q := kmsg.NewPtrMetadataRequest()
		q.Version, q.Topics = version, topics
		return ask[*kmsg.MetadataResponse](c, q)
	}
	named := func(name string) kmsg.MetadataRequestTopic {
		q := kmsg.NewMetadataRequestTopic()
		q.Topic = &name
		return q
	}
	for version := int16(0); version <= 12; version++ {
		resp := get(version)
		if len(resp.Topics) != 3 || len(resp.Brokers) != 1 || resp.Brokers[0].Port != 9001 {
			t.Fatalf("v%d: %d topics, brokers %+v", version, len(resp.Topics), resp.Brokers)
		}
		for _, mt := range resp.Topics {
			if *mt.Topic == "leaderless" && model.ErrorCode(mt.Partitions[0].ErrorCode) != model.LeaderNotAvailable {
				t.Fatalf("v%d: %+v", version, mt)
			}
			if *mt.Topic == "t" && (len(mt.Partitions) != 2 || mt.Partitions[1].Leader != int32(me) || version >= 7 && mt.Partitions[1].LeaderEpoch != 3) {
				t.Fatalf("v%d: %+v", version, mt)
			}
		}
	}
	q := kmsg.NewPtrMetadataRequest()
	q.Version, q.Topics = 12, []kmsg.MetadataRequestTopic{}
	if resp := ask[*kmsg.MetadataResponse](c, q); len(resp.Topics) != 0 {
		t.Fatal("an empty list asks for none")
	}
	resp := get(12, named("t"), named("nowhere"), named("bad name!"), kmsg.MetadataRequestTopic{TopicID: topicID(2)}, kmsg.MetadataRequestTopic{TopicID: topicID(99)})
	want := []model.ErrorCode{0, model.UnknownTopicOrPartition, model.InvalidTopicException, 0, model.UnknownTopicID}
	for i, mt := range resp.Topics {
		if model.ErrorCode(mt.ErrorCode) != want[i] {
			t.Errorf("topic %d: %v, want %v", i, model.ErrorCode(mt.ErrorCode), want[i])
		}
	}
	if *resp.Topics[3].Topic != "u" {
		t.Error("a topic asked for by id has no name")
	}
}

func TestOffsetForLeaderEpoch(t *testing.T) {
	r := newRig(t)
	p := r.topic("t", 1, 1, replication.Config{})[0]
	appendTo(t, p, records(2, 10)) // epoch 3
	m := r.image.Load().Topic("t").Partitions[0]
	m.LeaderEpoch, m.PartitionEpoch = 5, m.PartitionEpoch+1
	p.BecomeLeader(&m)
	appendTo(t, p, records(2, 10)) // epoch 5
	c := r.dial()
	for _, tc := range []struct{ epoch, gotEpoch, end int64 }{{5, 5, 4}, {4, 3, 2}, {3, 3, 2}, {6, -1, -1}} {
		q := kmsg.NewPtrOffsetForLeaderEpochRequest()
		q.Version = 4
		qt := kmsg.NewOffsetForLeaderEpochRequestTopic()
		qt.Topic = "t"
		qp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		qp.CurrentLeaderEpoch, qp.LeaderEpoch = -1, int32(tc.epoch)
		qt.Partitions = append(qt.Partitions, qp)
		q.Topics = append(q.Topics, qt)
		got := ask[*kmsg.OffsetForLeaderEpochResponse](c, q).Topics[0].Partitions[0]
		if int64(got.LeaderEpoch) != tc.gotEpoch || got.EndOffset != tc.end || got.ErrorCode != 0 {
			t.Errorf("epoch %d: %d ends at %d", tc.epoch, got.LeaderEpoch, got.EndOffset)
		}
	}
}

func TestDeleteRecords(t *testing.T) {
	r := newRig(t)
	p := r.topic("t", 1, 1, replication.Config{})[0]
	appendTo(t, p, records(5, 10))
	r.topic("__consumer_offsets", 9, 1, replication.Config{})
	c := r.dial()
	for _, tc := range []struct {
		topic   string
		to, low int64
		code    model.ErrorCode
	}{
		{"t", 2, 2, 0},
		{"t", 1, 2, 0},
		{"t", 6, -1, model.OffsetOutOfRange},
		{"t", -2, -1, model.OffsetOutOfRange},
		{"t", -1, 5, 0},
		{"nowhere", 0, -1, model.UnknownTopicOrPartition},
		{"__consumer_offsets", 0, -1, model.InvalidTopicException},
	} {
		q := kmsg.NewPtrDeleteRecordsRequest()
		q.Version = 2
		qt := kmsg.NewDeleteRecordsRequestTopic()
		qt.Topic = tc.topic
		qp := kmsg.NewDeleteRecordsRequestTopicPartition()
		qp.Offset = tc.to
		qt.Partitions = append(qt.Partitions, qp)
		q.Topics = append(q.Topics, qt)
		got := ask[*kmsg.DeleteRecordsResponse](c, q).Topics[0].Partitions[0]
		if got.LowWatermark != tc.low || model.ErrorCode(got.ErrorCode) != tc.code {
			t.Errorf("%s to %d: low watermark %d %v", tc.topic, tc.to, got.LowWatermark, model.ErrorCode(got.ErrorCode))
		}
	}
}

func TestInitProducerID(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	for version := int16(0); version <= 5; version++ {
		q := kmsg.NewPtrInitProducerIDRequest()
		q.Version = version
		if got := ask[*kmsg.InitProducerIDResponse](c, q); got.ErrorCode != 0 || got.ProducerID != 4711 || got.ProducerEpoch != 0 {
			t.Fatalf("v%d: %+v", version, got)
		}
		name := "txn"
		q.TransactionalID = &name
		if got := ask[*kmsg.InitProducerIDResponse](c, q); model.ErrorCode(got.ErrorCode) != model.UnsupportedVersion || got.ProducerID != -1 {
			t.Fatalf("v%d: %+v", version, got)
		}
	}
}

func TestMalformedBodiesCloseTheConnection(t *testing.T) {
	r := newRig(t)
	r.topic("t", 1, 1, replication.Config{})
	for _, q := range []kmsg.Request{produceRequest(9, 1, "t", 1, records(1, 10), 0), fetchRequest(11, "t", 1, 0), kmsg.NewPtrInitProducerIDRequest()} {
		c := r.dial()
		b := encode(q, 1)
		b = b[:len(b)-3]
		b[2], b[3] = byte((len(b)-4)>>8), byte(len(b)-4)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Fatalf("%T: an answer", q)
		}
	}
	if n := r.api.Metrics.Malformed.Load(); n != 3 {
		t.Fatalf("%d counted", n)
	}
}
