package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// visitProduce builds the request that a visitor shows, to compare it with what the generated decoder makes of the same bytes.
func visitProduce(v *wire.ProduceVisitor, version int16) (wire.ProduceRequest, []byte) {
	m := wire.ProduceRequest{Acks: v.Acks(), TimeoutMs: v.TimeoutMs(), TopicData: []wire.ProduceRequestTopic{}}
	for v.NextTopic() {
		t := wire.ProduceRequestTopic{PartitionData: []wire.ProduceRequestTopicPartition{}}
		if version >= 13 {
			t.TopicID = v.TopicID()
		} else {
			t.Name = string(v.TopicName())
		}
		for v.NextPartition() {
			t.PartitionData = append(t.PartitionData, wire.ProduceRequestTopicPartition{Index: v.Partition(), Records: v.Records()})
		}
		m.TopicData = append(m.TopicData, t)
	}
	return m, v.TransactionalID()
}

// checkProduceVisit wants the visitor and the generated decoder to agree on a body: whether it is one, and what it says.
func checkProduceVisit(t *testing.T, body []byte, version int16) {
	t.Helper()
	var want wire.ProduceRequest
	wantErr := want.Decode(wire.NewDecoder(body, wire.DefaultLimits()), version)
	var v wire.ProduceVisitor
	err := v.Reset(body, version)
	if errors.Is(wantErr, wire.ErrBudget) {
		return // memory and tags cost the visitor nothing
	}
	if (err == nil) != (wantErr == nil) || !errors.Is(v.Err(), err) {
		t.Fatalf("v%d: visitor says %v, decoder says %v", version, err, wantErr)
	}
	if err != nil {
		if v.NextTopic() || v.NextPartition() {
			t.Fatalf("v%d: the visitor goes on after an error", version)
		}
		return
	}
	got, txnID := visitProduce(&v, version)
	if (txnID != nil) != (want.TransactionalID != nil) || txnID != nil && string(txnID) != *want.TransactionalID || v.Transactional() != (txnID != nil) {
		t.Fatalf("v%d: transactional id %q, want %v", version, txnID, want.TransactionalID)
	}
	want.TransactionalID = nil
	dropTags(reflect.ValueOf(&want).Elem())
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("v%d: visitor %+v\ndecoder %+v", version, got, want)
	}
}

// dropTags clears the unknown tagged fields of a message, at any depth.
func dropTags(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "UnknownTags" {
				v.Field(i).SetZero()
				continue
			}
			dropTags(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			dropTags(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			dropTags(v.Elem())
		}
	default:
		// Plain values have none.
	}
}

func TestProduceVisitorSeesWhatDecoderDecodes(t *testing.T) {
	f := &filler{Rand: newRand(t)}
	f.tags = f.unknownTags
	for version := int16(0); version <= 13; version++ {
		for range 200 {
			var m wire.ProduceRequest
			f.fill(reflect.ValueOf(&m).Elem())
			body := m.Append(nil, version)
			checkProduceVisit(t, body, version)
			checkProduceVisit(t, body[:f.IntN(len(body)+1)], version)
		}
	}
}

// TestProduceVisitorRefusesWhole has damage behind the last partition, and wants no partition to be shown.
func TestProduceVisitorRefusesWhole(t *testing.T) {
	m := wire.ProduceRequest{Acks: -1, TopicData: []wire.ProduceRequestTopic{
		{Name: "a", PartitionData: []wire.ProduceRequestTopicPartition{{Index: 1, Records: []byte("records")}}},
		{Name: "b", PartitionData: []wire.ProduceRequestTopicPartition{{Index: 2, Records: []byte("records")}}},
	}}
	for version := int16(0); version <= 13; version++ {
		body := m.Append(nil, version)
		var v wire.ProduceVisitor
		if err := v.Reset(body[:len(body)-1], version); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("v%d: truncated by a byte: %v", version, err)
		}
		if v.NextTopic() {
			t.Errorf("v%d: shows a topic of a request that is malformed", version)
		}
	}
}

// TestProduceVisitorSkips goes to the next topic without reading the partitions of the one before.
func TestProduceVisitorSkips(t *testing.T) {
	m := wire.ProduceRequest{TopicData: []wire.ProduceRequestTopic{
		{Name: "a", PartitionData: []wire.ProduceRequestTopicPartition{{Index: 1}, {Index: 2}}},
		{Name: "b", PartitionData: []wire.ProduceRequestTopicPartition{{Index: 3, Records: []byte{1}}, {Index: 4}}},
		{Name: "c"},
	}}
	var v wire.ProduceVisitor
	if err := v.Reset(m.Append(nil, 9), 9); err != nil {
		t.Fatal(err)
	}
	v.NextTopic()
	v.NextPartition()
	if !v.NextTopic() || string(v.TopicName()) != "b" || !v.NextPartition() || v.Partition() != 3 || !bytes.Equal(v.Records(), []byte{1}) {
		t.Fatalf("second topic is %q, partition %d", v.TopicName(), v.Partition())
	}
	if !v.NextTopic() || string(v.TopicName()) != "c" || v.NextPartition() || v.NextPartition() || v.NextTopic() || v.NextTopic() {
		t.Fatal("the end is not where it should be")
	}
}

// produced turns a response into the calls that write it.
func appendProduced(a *wire.ProduceAppender, m *wire.ProduceResponse) []byte {
	for _, t := range m.Responses {
		a.Topic(t.Name, t.TopicID, len(t.PartitionResponses))
		for _, p := range t.PartitionResponses {
			out := wire.ProducedPartition{
				Index: p.Index, ErrorCode: p.ErrorCode, BaseOffset: p.BaseOffset, LogAppendTimeMs: p.LogAppendTimeMs,
				LogStartOffset: p.LogStartOffset, RecordErrors: p.RecordErrors,
			}
			if p.ErrorMessage != nil {
				out.ErrorMessage = *p.ErrorMessage
			}
			if l := p.CurrentLeader; l != wire.NewProduceResponseTopicPartitionCurrentLeader() {
				out.CurrentLeader = wire.LeaderHint{Set: true, ID: l.LeaderID, Epoch: l.LeaderEpoch}
			}
			a.Partition(out)
		}
	}
	return a.Finish(m.ThrottleTimeMs, m.NodeEndpoints...)
}

func TestProduceAppenderWritesWhatEncoderWrites(t *testing.T) {
	f := &filler{Rand: newRand(t)}
	f.tags = func(reflect.Value) {}
	for version := int16(0); version <= 13; version++ {
		for range 200 {
			var m wire.ProduceResponse
			f.fill(reflect.ValueOf(&m).Elem())
			for _, t := range m.Responses {
				for i := range t.PartitionResponses {
					if p := &t.PartitionResponses[i]; p.ErrorMessage != nil && *p.ErrorMessage == "" {
						p.ErrorMessage = nil
					}
				}
			}
			a := wire.NewProduceAppender([]byte("before"), version, len(m.Responses))
			if got, want := appendProduced(&a, &m), m.Append([]byte("before"), version); !bytes.Equal(got, want) {
				t.Fatalf("v%d: %+v\nappender %x\nencoder  %x", version, m, got, want)
			}
		}
	}
}

// manyProduced is a request of 10 topics with 10 partitions of 100 bytes each.
func manyProduced(version int16) []byte {
	var m wire.ProduceRequest
	m.Acks = -1
	for i := range 10 {
		t := wire.ProduceRequestTopic{Name: "topic-with-a-usual-name", TopicID: model.TopicID{byte(i + 1)}}
		for p := range 10 {
			t.PartitionData = append(t.PartitionData, wire.ProduceRequestTopicPartition{Index: int32(p), Records: make([]byte, 100)})
		}
		m.TopicData = append(m.TopicData, t)
	}
	return m.Append(nil, version)
}

func visitAll(tb testing.TB, v *wire.ProduceVisitor, body []byte, version int16) (records int) {
	if err := v.Reset(body, version); err != nil {
		tb.Fatal(err)
	}
	for v.NextTopic() {
		for v.NextPartition() {
			records += len(v.Records())
		}
	}
	return records
}

// appendAll answers manyProduced.
func appendAll(dst []byte, version int16) []byte {
	a := wire.NewProduceAppender(dst, version, 10)
	for range 10 {
		a.Topic("topic-with-a-usual-name", model.TopicID{1}, 10)
		for p := range int32(10) {
			a.Partition(wire.ProducedPartition{Index: p, BaseOffset: 7, LogAppendTimeMs: -1})
		}
	}
	return a.Finish(0)
}

func TestProducePathDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 1<<16)
	for version := int16(0); version <= 13; version++ {
		body := manyProduced(version)
		allocs := testing.AllocsPerRun(100, func() {
			var v wire.ProduceVisitor
			visitAll(t, &v, body, version)
			buf = appendAll(buf[:0], version)
		})
		if allocs != 0 {
			t.Errorf("v%d: %v allocations", version, allocs)
		}
	}
}

func BenchmarkProduceVisitor(b *testing.B) {
	body := manyProduced(13)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var v wire.ProduceVisitor
		visitAll(b, &v, body, 13)
	}
}

func BenchmarkProduceAppender(b *testing.B) {
	buf := make([]byte, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendAll(buf[:0], 13)
	}
}
