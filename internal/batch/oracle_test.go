package batch

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/model"
)

// TestKafkaAnswersTheSame sends the cases of TestValidate to a broker and compares its answers with what TestValidate demands of us:
//
//	KLAMM_KAFKA=127.0.0.1:9092 go test ./internal/batch -run TestKafkaAnswersTheSame
//
// The cases were last checked against Apache Kafka 4.3.1. Without the variable it does nothing.
func TestKafkaAnswersTheSame(t *testing.T) {
	addr := os.Getenv("KLAMM_KAFKA")
	if addr == "" {
		t.Skip("KLAMM_KAFKA is not set")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RetryTimeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i, c := range produceCases() {
		t.Run(c.name, func(t *testing.T) {
			topic := fmt.Sprintf("oracle-%d-%d", time.Now().UnixNano(), i)
			createTopic(ctx, t, client, topic, c.config)
			sent := moveToNow(c.send(t))
			code, blamed := produce(ctx, t, client, topic, c.produceVersion(), sent)
			t.Logf("answers %v, blames %v", code, blamed)
			want := c.want.String()
			if c.differs != "" {
				want = c.differs
			}
			if code.String() != want {
				t.Errorf("Kafka answers %v, we want %v", code, want)
			}
			if c.differs == "" && fmt.Sprint(blamed) != fmt.Sprint(c.blamed) {
				t.Errorf("Kafka blames %v, we want %v", blamed, c.blamed)
			}
		})
	}
}

// TestOldKafkaAnswersTheSame does so for message sets, which need a broker before 4.0; last with 3.9.1 in KLAMM_KAFKA_3.
func TestOldKafkaAnswersTheSame(t *testing.T) {
	addr := os.Getenv("KLAMM_KAFKA_3")
	if addr == "" {
		t.Skip("KLAMM_KAFKA_3 is not set")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RetryTimeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	cases := legacyCases(t)
	delete(cases, "timestamp") // its times are of the past by now
	delete(cases, "nothing")   // is not answered
	for magic := int8(0); magic <= 1; magic++ {
		cases[fmt.Sprintf("v%d", magic)] = legacyCase{set: legacySet(magic, legacyRecords(magic, 5))}
		for _, c := range []Codec{Gzip, Snappy, LZ4} {
			cases[fmt.Sprintf("v%d %v", magic, c)] = legacyCase{set: wrapped(t, magic, c, legacyRecords(magic, 5))}
		}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			topic := fmt.Sprintf("old-oracle-%d", time.Now().UnixNano())
			createTopic(ctx, t, client, topic, c.config)
			code, _ := produce(ctx, t, client, topic, 2, c.set)
			want := c.want.String()
			if c.differs != "" {
				want = c.differs
			}
			if code.String() != want {
				t.Errorf("Kafka answers %v, we want %v", code, want)
			}
		})
	}
}

// moveToNow makes the times of a v2 batch that was written for nowMs those of today; its records' times are relative.
func moveToNow(b []byte) []byte {
	if len(b) < HeaderSize || b[magicAt] != currentMagic {
		return b
	}
	h, err := ParseHeader(b)
	whole := err == nil && len(b) >= h.Size()
	good := whole && VerifyCRC(b[:h.Size()]) == nil
	shift := time.Now().UnixMilli() - nowMs
	for _, at := range []int{baseTimestampAt, maxTimestampAt} {
		if ms := int64(binary.BigEndian.Uint64(b[at:])); ms > nowMs-1_000_000 && ms < nowMs+10_000_000 {
			binary.BigEndian.PutUint64(b[at:], uint64(ms+shift))
		}
	}
	switch {
	case good:
		setCRC(b[:h.Size()])
	case !whole || err != nil:
		setCRC(b)
	}
	return b
}

func createTopic(ctx context.Context, t *testing.T, client *kgo.Client, topic string, config map[string]string) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = topic, 1, 1
	for k, v := range config {
		entry := kmsg.NewCreateTopicsRequestTopicConfig()
		entry.Name, entry.Value = k, kmsg.StringPtr(v)
		one.Configs = append(one.Configs, entry)
	}
	req.Topics = append(req.Topics, one)
	resp, err := req.RequestWith(ctx, client)
	if err != nil || resp.Topics[0].ErrorCode != 0 {
		t.Fatalf("topic %s: %v %+v", topic, err, resp)
	}
}

func produce(ctx context.Context, t *testing.T, client *kgo.Client, topic string, version int16, records []byte) (model.ErrorCode, []int32) {
	t.Helper()
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = records
	top := kmsg.NewProduceRequestTopic()
	top.Topic, top.Partitions = topic, []kmsg.ProduceRequestTopicPartition{part}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = 1, 5000, []kmsg.ProduceRequestTopic{top}
	for {
		raw, err := client.Broker(1).Request(ctx, pinned{req, version})
		if err != nil {
			t.Fatal(err)
		}
		resp := raw.(*kmsg.ProduceResponse)
		p := resp.Topics[0].Partitions[0]
		code := model.ErrorCode(p.ErrorCode)
		if code == model.NotLeaderOrFollower || code == model.UnknownTopicOrPartition {
			continue // for a moment after the topic's creation
		}
		var blamed []int32
		for _, e := range p.ErrorRecords {
			blamed = append(blamed, e.RelativeOffset)
		}
		return code, blamed
	}
}

// pinned is a request of one version.
type pinned struct {
	*kmsg.ProduceRequest
	version int16
}

// MaxVersion keeps the client from using a later one.
func (p pinned) MaxVersion() int16 { return p.version }
