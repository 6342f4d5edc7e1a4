package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// forgottenPartition is one step of NextForgotten.
type forgottenPartition struct {
	name      string
	id        model.TopicID
	partition int32
}

// visitFetch builds the request that a visitor shows. Forgotten partitions come flat, as the visitor has them.
func visitFetch(v *wire.FetchVisitor, version int16) (m wire.FetchRequest, forgotten []forgottenPartition) {
	h := v.Head()
	m = wire.FetchRequest{
		MaxWaitMs: h.MaxWaitMs, MinBytes: h.MinBytes, MaxBytes: h.MaxBytes, IsolationLevel: h.IsolationLevel,
		SessionID: h.SessionID, SessionEpoch: h.SessionEpoch, RackID: string(h.RackID), Topics: []wire.FetchRequestTopic{},
		ReplicaID: -1, ReplicaState: wire.NewFetchRequestReplicaState(),
	}
	if h.ClusterID != nil {
		id := string(h.ClusterID)
		m.ClusterID = &id
	}
	if version >= 15 {
		m.ReplicaState.ReplicaID, m.ReplicaState.ReplicaEpoch = h.ReplicaID, h.ReplicaEpoch
	} else {
		m.ReplicaID = h.ReplicaID
	}
	for v.NextTopic() {
		t := wire.FetchRequestTopic{Partitions: []wire.FetchRequestTopicPartition{}}
		if version >= 13 {
			t.TopicID = v.TopicID()
		} else {
			t.Topic = string(v.TopicName())
		}
		for v.NextPartition() {
			t.Partitions = append(t.Partitions, *v.Partition())
		}
		m.Topics = append(m.Topics, t)
	}
	for v.NextForgotten() {
		p := forgottenPartition{partition: v.ForgottenPartition()}
		if version >= 13 {
			p.id = v.ForgottenID()
		} else {
			p.name = string(v.ForgottenName())
		}
		forgotten = append(forgotten, p)
	}
	return m, forgotten
}

// checkFetchVisit wants the visitor and the generated decoder to agree on a body.
func checkFetchVisit(t *testing.T, body []byte, version int16) {
	t.Helper()
	var want wire.FetchRequest
	wantErr := want.Decode(wire.NewDecoder(body, wire.DefaultLimits()), version)
	var v wire.FetchVisitor
	err := v.Reset(body, version)
	if errors.Is(wantErr, wire.ErrBudget) {
		return // memory and tags cost the visitor nothing
	}
	if (err == nil) != (wantErr == nil) || !errors.Is(v.Err(), err) {
		t.Fatalf("v%d: visitor says %v, decoder says %v", version, err, wantErr)
	}
	if err != nil {
		if v.NextTopic() || v.NextPartition() || v.NextForgotten() {
			t.Fatalf("v%d: the visitor goes on after an error", version)
		}
		return
	}
	got, forgotten := visitFetch(&v, version)
	var wantForgotten []forgottenPartition
	for _, f := range want.ForgottenTopicsData {
		for _, p := range f.Partitions {
			wantForgotten = append(wantForgotten, forgottenPartition{f.Topic, f.TopicID, p})
		}
	}
	want.ForgottenTopicsData = nil
	dropTags(reflect.ValueOf(&want).Elem())
	if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(forgotten, wantForgotten) {
		t.Fatalf("v%d: visitor %+v forgets %+v\ndecoder %+v forgets %+v", version, got, forgotten, want, wantForgotten)
	}
}

func TestFetchVisitorSeesWhatDecoderDecodes(t *testing.T) {
	f := &filler{Rand: newRand(t)}
	f.tags = f.unknownTags
	for version := int16(0); version <= 18; version++ {
		for range 200 {
			m := wire.NewFetchRequest()
			f.fill(reflect.ValueOf(&m).Elem())
			body := m.Append(nil, version)
			checkFetchVisit(t, body, version)
			checkFetchVisit(t, body[:f.IntN(len(body)+1)], version)
		}
	}
}

// TestFetchVisitorForgottenFirst reads the two lists of a request in the order they do not come in.
func TestFetchVisitorForgottenFirst(t *testing.T) {
	m := wire.NewFetchRequest()
	m.Topics = []wire.FetchRequestTopic{{Topic: "a", Partitions: []wire.FetchRequestTopicPartition{{Partition: 1}, {Partition: 2}}}, {Topic: "b"}}
	m.ForgottenTopicsData = []wire.FetchRequestForgottenTopic{{Topic: "c"}, {Topic: "d", Partitions: []int32{3, 4}}}
	var v wire.FetchVisitor
	if err := v.Reset(m.Append(nil, 12), 12); err != nil {
		t.Fatal(err)
	}
	if !v.NextForgotten() || string(v.ForgottenName()) != "d" || v.ForgottenPartition() != 3 {
		t.Fatalf("forgotten is %q %d", v.ForgottenName(), v.ForgottenPartition())
	}
	if !v.NextTopic() || string(v.TopicName()) != "a" || !v.NextPartition() || v.Partition().Partition != 1 {
		t.Fatalf("topic is %q, partition %d", v.TopicName(), v.Partition().Partition)
	}
	if !v.NextForgotten() || v.ForgottenPartition() != 4 || v.NextForgotten() {
		t.Fatalf("forgotten is %q %d", v.ForgottenName(), v.ForgottenPartition())
	}
	if !v.NextTopic() || string(v.TopicName()) != "b" || v.NextPartition() || v.NextTopic() {
		t.Fatal("the end is not where it should be")
	}
}

// splice puts records between the pieces that a FetchAppender wrote, as the server does with file ranges.
type splice struct {
	at      int
	records []byte
}

func join(body []byte, splices []splice) []byte {
	var out []byte
	from := 0
	for _, s := range splices {
		out = append(append(out, body[from:s.at]...), s.records...)
		from = s.at
	}
	return append(out, body[from:]...)
}

func appendFetched(m *wire.FetchResponse, version int16) []byte {
	head := wire.FetchHead{ThrottleMs: m.ThrottleTimeMs, ErrorCode: m.ErrorCode, SessionID: m.SessionID}
	a := wire.NewFetchAppender([]byte("before"), version, head, len(m.Responses))
	var splices []splice
	for _, t := range m.Responses {
		a.Topic(t.Topic, t.TopicID, len(t.Partitions))
		for _, p := range t.Partitions {
			out := wire.FetchedPartition{
				Index: p.PartitionIndex, ErrorCode: p.ErrorCode, HighWatermark: p.HighWatermark, LastStableOffset: p.LastStableOffset,
				LogStartOffset: p.LogStartOffset, Aborted: p.AbortedTransactions, PreferredReadReplica: p.PreferredReadReplica,
				RecordsSize: len(p.Records),
			}
			if d := p.DivergingEpoch; d != wire.NewFetchResponseTopicPartitionDivergingEpoch() {
				out.Diverging = wire.Divergence{Set: true, Epoch: d.Epoch, EndOffset: d.EndOffset}
			}
			if l := p.CurrentLeader; l != wire.NewFetchResponseTopicPartitionCurrentLeader() {
				out.CurrentLeader = wire.LeaderHint{Set: true, ID: l.LeaderID, Epoch: l.LeaderEpoch}
			}
			splices = append(splices, splice{a.Partition(out), p.Records})
			a.EndPartition()
		}
	}
	var endpoints []wire.NodeEndpoint
	for _, e := range m.NodeEndpoints {
		endpoints = append(endpoints, wire.NodeEndpoint(e))
	}
	return join(a.Finish(endpoints...), splices)
}

func TestFetchAppenderWritesWhatEncoderWrites(t *testing.T) {
	f := &filler{Rand: newRand(t)}
	f.tags = func(reflect.Value) {}
	for version := int16(0); version <= 18; version++ {
		for range 200 {
			var m wire.FetchResponse
			f.fill(reflect.ValueOf(&m).Elem())
			for _, t := range m.Responses {
				for i := range t.Partitions {
					p := &t.Partitions[i]
					p.SnapshotID = wire.NewFetchResponseTopicPartitionSnapshotID()
					if p.Records == nil {
						p.Records = []byte{} // the appender writes no null
					}
				}
			}
			if got, want := appendFetched(&m, version), m.Append([]byte("before"), version); !bytes.Equal(got, want) {
				t.Fatalf("v%d: %+v\nappender %x\nencoder  %x", version, m, got, want)
			}
		}
	}
}

// manyFetched asks for 10 topics with 10 partitions, and forgets as many.
func manyFetched(version int16) []byte {
	m := wire.NewFetchRequest()
	for i := range 10 {
		id := model.TopicID{byte(i + 1)}
		t := wire.FetchRequestTopic{Topic: "topic-with-a-usual-name", TopicID: id}
		for p := range int32(10) {
			part := wire.NewFetchRequestTopicPartition()
			part.Partition, part.PartitionMaxBytes = p, 1<<20
			t.Partitions = append(t.Partitions, part)
		}
		m.Topics = append(m.Topics, t)
		m.ForgottenTopicsData = append(m.ForgottenTopicsData, wire.FetchRequestForgottenTopic{Topic: "gone", TopicID: id, Partitions: []int32{1, 2, 3}})
	}
	return m.Append(nil, version)
}

func visitAllFetched(tb testing.TB, v *wire.FetchVisitor, body []byte, version int16) (sum int32) {
	if err := v.Reset(body, version); err != nil {
		tb.Fatal(err)
	}
	for v.NextTopic() {
		for v.NextPartition() {
			sum += v.Partition().Partition
		}
	}
	for v.NextForgotten() {
		sum += v.ForgottenPartition()
	}
	return sum
}

// appendAllFetched answers manyFetched, without the records.
func appendAllFetched(dst []byte, version int16) []byte {
	a := wire.NewFetchAppender(dst, version, wire.FetchHead{SessionID: 5}, 10)
	for range 10 {
		a.Topic("topic-with-a-usual-name", model.TopicID{1}, 10)
		for p := range int32(10) {
			a.Partition(wire.FetchedPartition{Index: p, HighWatermark: 9, PreferredReadReplica: -1, RecordsSize: 1 << 20,
				CurrentLeader: wire.LeaderHint{Set: true, ID: 1, Epoch: 2}})
			a.EndPartition()
		}
	}
	return a.Finish()
}

func TestFetchPathDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 1<<16)
	for version := int16(0); version <= 18; version++ {
		body := manyFetched(version)
		allocs := testing.AllocsPerRun(100, func() {
			var v wire.FetchVisitor
			visitAllFetched(t, &v, body, version)
			buf = appendAllFetched(buf[:0], version)
		})
		if allocs != 0 {
			t.Errorf("v%d: %v allocations", version, allocs)
		}
	}
}

func BenchmarkFetchVisitor(b *testing.B) {
	body := manyFetched(17)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var v wire.FetchVisitor
		visitAllFetched(b, &v, body, 17)
	}
}

func BenchmarkFetchAppender(b *testing.B) {
	buf := make([]byte, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendAllFetched(buf[:0], 17)
	}
}
