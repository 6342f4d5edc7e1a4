package controller

import (
	"fmt"
	"testing"

	"github.com/klamm/klamm/internal/metadata"
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
