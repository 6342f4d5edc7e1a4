package controller

import (
	"fmt"
	"testing"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

func BenchmarkCreate1000TopicsInOneRequest(b *testing.B) {
	img, _, err := metadata.Empty("c").Apply(1, []metadata.Record{&metadata.RegisterBroker{BrokerID: 1, BrokerEpoch: 1}})
	if err != nil {
		b.Fatal(err)
	}
	q := &CreateTopics{}
	for i := range 1000 {
		q.Topics = append(q.Topics, CreateTopic{Name: fmt.Sprintf("topic.%d", i), Partitions: 1, ReplicationFactor: 1})
	}
	random := newScript(b).random
	b.ReportAllocs()
	for b.Loop() {
		records, _ := createTopics(img, q, topicDefaults{1, 1}, random)
		if _, _, err := img.Apply(2, records); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBrokerLostAmong100000Partitions is the longest that the loop is held up: a broker is fenced that leads a seventh of them and follows in two more.
func BenchmarkBrokerLostAmong100000Partitions(b *testing.B) {
	var records []metadata.Record
	for id := range 7 {
		records = append(records, (&metadata.Broker{ID: model.BrokerID(id + 1), Epoch: model.BrokerEpoch(id + 1)}).Record())
	}
	for i := range 1000 {
		id := model.TopicID{1, byte(i), byte(i >> 8)}
		records = append(records, &metadata.TopicRecord{Name: fmt.Sprintf("topic.%d", i), TopicID: id})
		for p := range 100 {
			r := []int32{int32((i+p)%7 + 1), int32((i+p+1)%7 + 1), int32((i+p+2)%7 + 1)}
			records = append(records, &metadata.PartitionRecord{TopicID: id, PartitionID: int32(p), Replicas: r, ISR: r, Leader: r[0]})
		}
	}
	img, _, err := metadata.Empty("c").Apply(1, records)
	if err != nil {
		b.Fatal(err)
	}
	s := newScript(b)
	s.img = img
	b.ReportAllocs()
	for b.Loop() {
		records := fence(s.electorate(), img.Broker(3))
		next, d, err := img.Apply(2, records)
		if err != nil {
			b.Fatal(err)
		}
		if told := tell(img, next, d, cause{reason: "gone", text: "gone"}); len(told) < 3 {
			b.Fatal(told)
		}
	}
}
