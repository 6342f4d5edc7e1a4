package node_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// served are the APIs a client may ask for, with their versions (docs: protocol; the highest are Kafka 4.4's).
func served() map[int16][2]int16 {
	return map[int16][2]int16{
		0: {0, 13}, 1: {4, 18}, 2: {0, 11}, 3: {0, 13}, 8: {0, 10}, 9: {0, 10}, 10: {0, 6}, 11: {0, 9}, 12: {0, 4}, 13: {0, 5}, 14: {0, 5}, 15: {0, 6},
		16: {0, 5}, 18: {0, 5}, 19: {0, 7}, 20: {0, 6}, 21: {0, 2}, 22: {0, 5}, 23: {0, 4}, 32: {0, 4}, 33: {0, 2}, 34: {1, 2}, 35: {0, 5}, 37: {0, 3}, 42: {0, 3},
		43: {0, 2}, 44: {0, 1}, 45: {0, 1}, 46: {0, 0}, 47: {0, 0}, 55: {0, 2}, 57: {0, 2}, 60: {0, 2}, 61: {0, 0}, 64: {0, 0}, 74: {0, 1}, 75: {0, 0}, 80: {0, 1}, 81: {0, 0},
	}
}

// Every advertised version of every API is understood as another implementation of the protocol writes it, and answered so that it reads the
// answer to the last byte.
func TestEveryVersionIsAnswered(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.create("t")
	r.send("t", "k", "v")
	conn := r.dial()
	answer := conn.ask(&kmsg.ApiVersionsRequest{Version: 0}).(*kmsg.ApiVersionsResponse)
	want := served()
	for _, k := range answer.ApiKeys {
		if w, ok := want[k.ApiKey]; !ok || w != [2]int16{k.MinVersion, k.MaxVersion} {
			t.Errorf("%s is advertised as %d to %d, want %v", kmsg.NameForKey(k.ApiKey), k.MinVersion, k.MaxVersion, w)
		}
		delete(want, k.ApiKey)
	}
	for key := range want {
		t.Errorf("%s is not advertised", kmsg.NameForKey(key))
	}
	for key, versions := range served() {
		for v := versions[0]; v <= versions[1]; v++ {
			req := kmsg.RequestForKey(key)
			if v > req.MaxVersion() {
				t.Logf("%s %d: kmsg ends at %d", kmsg.NameForKey(key), v, req.MaxVersion())
				continue
			}
			fill(req, r)
			req.SetVersion(v)
			conn.ask(req)
		}
	}
}

// What is not advertised, an API or a version, is answered with UNSUPPORTED_VERSION where the answer has a place for it, and is never served.
// ApiVersions of an unknown version is answered in the form of version 0 with the versions there are.
func TestNothingElseIsServed(t *testing.T) {
	t.Parallel()
	r := start(t)
	for key := int16(0); key < 100; key++ {
		versions, ok := served()[key]
		if !ok {
			versions = [2]int16{0, -1}
		}
		for _, v := range []int16{versions[0] - 1, versions[1] + 1, 99} {
			if v < 0 {
				continue
			}
			conn := r.dial()
			body := conn.raw(key, v, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
			if key == 18 {
				if len(body) < 2 || int16(binary.BigEndian.Uint16(body)) != kerr.UnsupportedVersion.Code {
					t.Errorf("ApiVersions %d: %x", v, body)
				}
				continue
			}
			if body != nil && !bytes.Contains(body, []byte{0, byte(kerr.UnsupportedVersion.Code)}) {
				t.Errorf("%s %d: answered %x", kmsg.NameForKey(key), v, body)
			}
		}
	}
}

// fill makes a request ask for things that are there.
func fill(req kmsg.Request, r *rig) {
	id := r.topicID("t")
	topics := kmsg.StringPtr
	switch q := req.(type) {
	case *kmsg.ApiVersionsRequest:
		q.ClientSoftwareName, q.ClientSoftwareVersion = "v", "1"
	case *kmsg.ProduceRequest:
		q.Acks, q.TimeoutMillis = 1, 1000
		q.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", TopicID: id, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: 7}}}}
	case *kmsg.FetchRequest:
		q.ReplicaID, q.MaxWaitMillis, q.MaxBytes, q.SessionEpoch = -1, 1, 1<<20, -1
		p := kmsg.NewFetchRequestTopicPartition()
		p.PartitionMaxBytes = 1 << 20
		q.Topics = []kmsg.FetchRequestTopic{{Topic: "t", TopicID: id, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	case *kmsg.AddRaftVoterRequest:
		q.VoterID = 1
	case *kmsg.RemoveRaftVoterRequest:
		q.VoterID = 1
	case *kmsg.ListOffsetsRequest:
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.MaxNumOffsets = -1, 1
		q.ReplicaID = -1
		q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
	case *kmsg.OffsetCommitRequest:
		q.Group, q.Generation = "g", -1
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		q.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", TopicID: id, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	case *kmsg.OffsetFetchRequest:
		q.Group = "g"
		q.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = "g"
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", TopicID: id, Partitions: []int32{0}}}
		q.Groups = []kmsg.OffsetFetchRequestGroup{g}
	case *kmsg.FindCoordinatorRequest:
		q.CoordinatorKey, q.CoordinatorKeys = "g", []string{"g"}
	case *kmsg.JoinGroupRequest:
		q.Group, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis, q.ProtocolType = "joiners", 6000, 6000, "consumer"
		q.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0}}}
		q.MemberID = "unknown"
	case *kmsg.HeartbeatRequest:
		q.Group, q.MemberID = "g", "unknown"
	case *kmsg.LeaveGroupRequest:
		q.Group, q.MemberID = "g", "unknown"
		q.Members = []kmsg.LeaveGroupRequestMember{{MemberID: "unknown"}}
	case *kmsg.SyncGroupRequest:
		q.Group, q.MemberID = "g", "unknown"
	case *kmsg.DescribeGroupsRequest:
		q.Groups = []string{"g", "none"}
	case *kmsg.CreateTopicsRequest:
		q.TimeoutMillis = 1000
		made := kmsg.NewCreateTopicsRequestTopic()
		made.Topic, made.NumPartitions, made.ReplicationFactor = fmt.Sprintf("made-%d", time.Now().UnixNano()), 1, 1
		q.Topics = []kmsg.CreateTopicsRequestTopic{made}
	case *kmsg.DeleteTopicsRequest:
		q.TimeoutMillis, q.TopicNames = 1000, []string{"none"}
		q.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: topics("none")}}
	case *kmsg.DeleteRecordsRequest:
		q.TimeoutMillis = 1000
		q.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: 0}}}}
	case *kmsg.InitProducerIDRequest:
		q.ProducerID, q.ProducerEpoch = -1, -1
	case *kmsg.OffsetForLeaderEpochRequest:
		q.ReplicaID = -2
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		q.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
	case *kmsg.DescribeConfigsRequest:
		q.IncludeSynonyms, q.IncludeDocumentation = true, true
		for kind, name := range map[kmsg.ConfigResourceType]string{kmsg.ConfigResourceTypeTopic: "t", kmsg.ConfigResourceTypeBroker: "1"} {
			q.Resources = append(q.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kind, ResourceName: name})
		}
	case *kmsg.AlterConfigsRequest:
		q.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"}}
	case *kmsg.CreatePartitionsRequest:
		q.TimeoutMillis = 1000
		q.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 1}}
	case *kmsg.DeleteGroupsRequest:
		q.Groups = []string{"none"}
	case *kmsg.ElectLeadersRequest:
		q.TimeoutMillis = 1000
	case *kmsg.IncrementalAlterConfigsRequest:
		q.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"}}
	case *kmsg.AlterPartitionAssignmentsRequest:
		q.TimeoutMillis = 1000
		q.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "t", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Replicas: []int32{1}}}}}
	case *kmsg.OffsetDeleteRequest:
		q.Group = "none"
	case *kmsg.DescribeQuorumRequest:
		q.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}
	case *kmsg.DescribeClusterRequest:
		q.EndpointType = 1
	case *kmsg.DescribeProducersRequest:
		q.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	case *kmsg.UnregisterBrokerRequest:
		q.BrokerID = 99
	case *kmsg.DescribeTopicPartitionsRequest:
		q.ResponsePartitionLimit = 10
	}
}

// wire is a connection that speaks the protocol by kmsg alone.
type wire struct {
	*rig
	conn net.Conn
	id   int32
}

func (r *rig) dial() *wire {
	r.Helper()
	conn, err := net.Dial("tcp", r.broker.Addr())
	r.ok(err)
	r.ok(conn.SetDeadline(time.Now().Add(patience)))
	r.Cleanup(func() { _ = conn.Close() }) // the broker may have closed it first
	return &wire{r, conn, 0}
}

// ask sends a request and reads the answer, every byte of which must be accounted for.
func (w *wire) ask(req kmsg.Request) kmsg.Response {
	w.Helper()
	what := fmt.Sprintf("%s %d", kmsg.NameForKey(req.Key()), req.GetVersion())
	w.id++
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("v")).AppendRequest(nil, req, w.id)
	_, err := w.conn.Write(frame)
	w.ok(err)
	body, err := w.frame()
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
	if id := int32(binary.BigEndian.Uint32(body)); id != w.id {
		w.Fatalf("%s: answer to request %d, want %d", what, id, w.id)
	}
	body = body[4:]
	if req.IsFlexible() && req.Key() != 18 {
		if body[0] != 0 {
			w.Fatalf("%s: tags in the header", what)
		}
		body = body[1:]
	}
	resp := req.ResponseKind()
	if err := resp.ReadFrom(body); err != nil {
		w.Fatalf("%s: %v in %x", what, err, body)
	}
	if again := resp.AppendTo(nil); !bytes.Equal(again, body) {
		w.Errorf("%s: the answer\n%x is read as\n%x", what, body, again)
	}
	if code := reflect.ValueOf(resp).Elem().FieldByName("ErrorCode"); code.IsValid() {
		switch c := int16(code.Int()); c {
		case kerr.UnsupportedVersion.Code, kerr.UnknownServerError.Code, kerr.InvalidRequest.Code:
			w.Errorf("%s: %v", what, kerr.ErrorForCode(c))
		}
	}
	return resp
}

// raw sends a request that may be anything; the answer is nil when the connection was closed instead.
func (w *wire) raw(key, version int16, body []byte) []byte {
	w.Helper()
	head := binary.BigEndian.AppendUint16(nil, uint16(key))
	head = binary.BigEndian.AppendUint16(head, uint16(version))
	head = append(head, 0, 0, 0, 1, 0xff, 0xff, 0)
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(head)+len(body)))
	_, err := w.conn.Write(append(append(frame, head...), body...))
	w.ok(err)
	answer, err := w.frame()
	if err != nil {
		return nil
	}
	return answer[4:]
}

func (w *wire) frame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(w.conn, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(w.conn, b)
	return b, err
}
