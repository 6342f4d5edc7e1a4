package abuse

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// responseSize sends a request and returns how large its response is, without keeping it.
func (c rawConn) responseSize(t *testing.T, req kmsg.Request) int64 {
	t.Helper()
	b, _ := request(req)
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		t.Fatal(err)
	}
	n := int64(binary.BigEndian.Uint32(size[:]))
	if _, err := io.CopyN(io.Discard, c, n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSamePartitionAgainAndAgain asks for one partition ten thousand times in one request, without a limit. The answer must stay within
// what a broker sends at most, 55 MiB and a batch (fetch.max.bytes).
func TestSamePartitionAgainAndAgain(t *testing.T) {
	tg := attack(t)
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	c := tg.dial(t)
	for range 4 {
		c.produce(t, newestByName, topic, 0, goodBatch(1).record(0, func(r *kmsg.Record) { r.Value = make([]byte, 1000<<10) }).bytes())
	}
	h := tg.serve(t)
	check := tg.watchMemory(t, 64*mib)
	for _, session := range []int32{-1, 0} {
		req := fetchRequest(topic, 0)
		req.MaxBytes, req.SessionEpoch = math.MaxInt32, session
		p := req.Topics[0].Partitions[0]
		p.PartitionMaxBytes = math.MaxInt32
		for range 10_000 {
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
		}
		if n := c.responseSize(t, req); n > 57*mib+1*mib {
			t.Errorf("session epoch %d: an answer of %d MiB", session, n/mib)
		} else {
			t.Logf("session epoch %d: an answer of %d KiB", session, n>>10)
		}
	}
	offsets := kmsg.NewPtrListOffsetsRequest()
	offsets.Version = 7
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	for range 100_000 {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Timestamp = 1
		rt.Partitions = append(rt.Partitions, rp)
	}
	offsets.Topics = append(offsets.Topics, rt)
	c.responseSize(t, offsets)
	check()
	h.stop(t, 10*time.Second)
	tg.checkAlive(t)
}

// TestGiantTopics asks for topics that no cluster can have.
func TestGiantTopics(t *testing.T) {
	tg := attack(t)
	h := tg.serve(t)
	check := tg.watchMemory(t, 64*mib)
	c := tg.dial(t)
	create := func(change func(*kmsg.CreateTopicsRequestTopic)) int16 {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = 6, 10_000
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = fresh(t), 1, 1
		change(&rt)
		req.Topics = append(req.Topics, rt)
		return c.mustAsk(t, req).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
	}
	for _, tc := range []struct {
		what   string
		change func(*kmsg.CreateTopicsRequestTopic)
		want   *kerr.Error
	}{
		{"2^31-1 partitions", func(r *kmsg.CreateTopicsRequestTopic) { r.NumPartitions = math.MaxInt32 }, kerr.PolicyViolation},
		{"a million partitions", func(r *kmsg.CreateTopicsRequestTopic) { r.NumPartitions = 1_000_000 }, kerr.PolicyViolation},
		{"no partitions", func(r *kmsg.CreateTopicsRequestTopic) { r.NumPartitions = 0 }, kerr.InvalidPartitions},
		{"-2 partitions", func(r *kmsg.CreateTopicsRequestTopic) { r.NumPartitions = -2 }, kerr.InvalidPartitions},
		{"32767 replicas", func(r *kmsg.CreateTopicsRequestTopic) { r.ReplicationFactor = math.MaxInt16 }, kerr.InvalidReplicationFactor},
		{"no replicas", func(r *kmsg.CreateTopicsRequestTopic) { r.ReplicationFactor = 0 }, kerr.InvalidReplicationFactor},
		{"no name", func(r *kmsg.CreateTopicsRequestTopic) { r.Topic = "" }, kerr.InvalidTopicException},
		{"the name of a folder", func(r *kmsg.CreateTopicsRequestTopic) { r.Topic = ".." }, kerr.InvalidTopicException},
		{"a path", func(r *kmsg.CreateTopicsRequestTopic) { r.Topic = "../../etc/passwd" }, kerr.InvalidTopicException},
		{"a name of zeros", func(r *kmsg.CreateTopicsRequestTopic) { r.Topic = "\x00\x00" }, kerr.InvalidTopicException},
		{"a name of 250 letters", func(r *kmsg.CreateTopicsRequestTopic) { r.Topic = fmt.Sprintf("%0250d", 1) }, kerr.InvalidTopicException},
		{"a name of 30,000 letters", func(r *kmsg.CreateTopicsRequestTopic) { r.Topic = fmt.Sprintf("%030000d", 1) }, kerr.InvalidTopicException},
		{"unknown configuration", func(r *kmsg.CreateTopicsRequestTopic) {
			r.Configs = append(r.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: "no.such.key"})
		}, kerr.InvalidConfig},
	} {
		if code := create(tc.change); code != tc.want.Code {
			t.Errorf("%s: %v, want %s", tc.what, kerr.ErrorForCode(code), tc.want.Message)
		}
	}
	check()
	h.stop(t, 10*time.Second)
	tg.checkAlive(t)
}

// TestGroupsByTheThousand joins ten thousand groups and stays in none of them: first contact hands out a member id and must keep little.
func TestGroupsByTheThousand(t *testing.T) {
	tg := attack(t)
	h := tg.serve(t)
	check := tg.watchMemory(t, 96*mib)
	c := tg.dial(t)
	awaitCoordinator(t, c, "crowd-of-groups-0")
	for i := range 10_000 {
		join := kmsg.NewPtrJoinGroupRequest()
		join.Version, join.Group, join.ProtocolType = 9, fmt.Sprintf("crowd-of-groups-%d", i), "consumer"
		join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 45_000, 300_000
		join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: make([]byte, 10_000)}}
		if code := c.mustAsk(t, join).(*kmsg.JoinGroupResponse).ErrorCode; code != kerr.MemberIDRequired.Code {
			t.Fatalf("group %d: %v", i, kerr.ErrorForCode(code))
		}
	}
	check()
	h.stop(t, 10*time.Second)
	tg.checkAlive(t)
}

// TestProducersByTheThousand takes a hundred blocks of producer ids. Each must be another one (invariant P3).
func TestProducersByTheThousand(t *testing.T) {
	tg := attack(t)
	h := tg.serve(t)
	check := tg.watchMemory(t, 64*mib)
	c := tg.dial(t)
	seen := map[int64]bool{}
	for range 5_000 {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version = 4
		r := c.mustAsk(t, req).(*kmsg.InitProducerIDResponse)
		if tg.node == nil && r.ErrorCode == kerr.CoordinatorLoadInProgress.Code {
			continue // Kafka between two blocks
		}
		if r.ErrorCode != 0 || seen[r.ProducerID] {
			t.Fatalf("producer id %d, %v, seen before: %v", r.ProducerID, kerr.ErrorForCode(r.ErrorCode), seen[r.ProducerID])
		}
		seen[r.ProducerID] = true
	}
	check()
	h.stop(t, 10*time.Second)
}
