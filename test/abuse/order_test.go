package abuse

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wrong is a good request at a wrong time, and the errors it gets from Apache Kafka 4.3.1.
type wrong struct {
	name string
	req  kmsg.Request
	code func(kmsg.Response) int16
	want *kerr.Error
}

// strangers are requests of group members that never joined.
func strangers(group, topic string) []wrong {
	heartbeat := kmsg.NewPtrHeartbeatRequest()
	heartbeat.Version, heartbeat.Group, heartbeat.MemberID, heartbeat.Generation = 4, group, "nobody", 1

	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Version, sync.Group, sync.MemberID, sync.Generation = 5, group, "nobody", 1
	protocolType, protocol := "consumer", "range"
	sync.ProtocolType, sync.Protocol = &protocolType, &protocol

	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Version, leave.Group = 5, group
	leave.Members = []kmsg.LeaveGroupRequestMember{{MemberID: "nobody"}}

	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.MemberID, join.ProtocolType = 9, group, "nobody", "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 10_000, 10_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
	hasty, nameless, none := *join, *join, *join
	hasty.SessionTimeoutMillis, hasty.MemberID = 1, ""
	nameless.Group, nameless.MemberID = "", ""
	none.Protocols, none.MemberID = nil, ""

	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.MemberID, commit.Generation = 8, group+"-never-joined", "nobody", 3
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1}}}}

	remove := kmsg.NewPtrDeleteGroupsRequest()
	remove.Version, remove.Groups = 2, []string{group + "-that-never-was"}

	joined := func(r kmsg.Response) int16 { return r.(*kmsg.JoinGroupResponse).ErrorCode }
	return []wrong{
		{"heartbeat", heartbeat, func(r kmsg.Response) int16 { return r.(*kmsg.HeartbeatResponse).ErrorCode }, kerr.UnknownMemberID},
		{"sync", sync, func(r kmsg.Response) int16 { return r.(*kmsg.SyncGroupResponse).ErrorCode }, kerr.UnknownMemberID},
		{"leave", leave, func(r kmsg.Response) int16 { return r.(*kmsg.LeaveGroupResponse).Members[0].ErrorCode }, kerr.UnknownMemberID},
		{"join by a made-up id", join, joined, kerr.UnknownMemberID},
		{"join with a session of 1 ms", &hasty, joined, kerr.InvalidSessionTimeout},
		{"join without a group", &nameless, joined, kerr.InvalidGroupID},
		{"join without protocols", &none, joined, kerr.InconsistentGroupProtocol},
		{"commit", commit, func(r kmsg.Response) int16 { return r.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode }, kerr.IllegalGeneration},
		{"delete a group that is not", remove, func(r kmsg.Response) int16 { return r.(*kmsg.DeleteGroupsResponse).Groups[0].ErrorCode }, kerr.GroupIDNotFound},
	}
}

// awaitCoordinator waits until a group has a coordinator: the first question for one makes the topic of groups.
func awaitCoordinator(t *testing.T, c rawConn, group string) {
	t.Helper()
	for range 100 {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.Version, find.CoordinatorKeys = 4, []string{group}
		if r := c.mustAsk(t, find).(*kmsg.FindCoordinatorResponse); r.Coordinators[0].ErrorCode == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond) // a client's back-off: there is nothing to be told by
	}
	t.Fatalf("%s has no coordinator", group)
}

// TestStrangers plays the parts of a group's life in the wrong order.
func TestStrangers(t *testing.T) {
	tg := attack(t)
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	c := tg.dial(t)
	group := "group-" + topic
	awaitCoordinator(t, c, group)
	for _, tc := range strangers(group, topic) {
		code := int16(0)
		for range 100 {
			code = tc.code(c.mustAsk(t, tc.req))
			if code != kerr.CoordinatorLoadInProgress.Code && code != kerr.NotCoordinator.Code {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if code != tc.want.Code {
			t.Errorf("%s: %v, want %s", tc.name, kerr.ErrorForCode(code), tc.want.Message)
		}
	}
	tg.checkAlive(t)
}

// fetchRequest asks for one partition by name.
func fetchRequest(topic string, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 12, 100, 1, mib
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = offset, mib
	req.Topics = []kmsg.FetchRequestTopic{{Topic: topic, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	return req
}

// TestFetchesOutOfStep asks for sessions, offsets and epochs that are not.
func TestFetchesOutOfStep(t *testing.T) {
	tg := attack(t)
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	c := tg.dial(t)
	c.produce(t, newestByName, topic, 0, goodBatch(5).bytes())
	whole := func(req *kmsg.FetchRequest) int16 { return c.mustAsk(t, req).(*kmsg.FetchResponse).ErrorCode }
	part := func(req *kmsg.FetchRequest) int16 {
		r := c.mustAsk(t, req).(*kmsg.FetchResponse)
		if r.ErrorCode != 0 || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
			t.Fatalf("answer %+v", r)
		}
		return r.Topics[0].Partitions[0].ErrorCode
	}
	check := func(what string, got int16, want *kerr.Error) {
		t.Helper()
		if got != want.Code {
			t.Errorf("%s: %v, want %s", what, kerr.ErrorForCode(got), want.Message)
		}
	}

	unknown := fetchRequest(topic, 0)
	unknown.SessionID, unknown.SessionEpoch = 12345, 5
	check("a session that never was", whole(unknown), kerr.FetchSessionIDNotFound)

	open := fetchRequest(topic, 0)
	open.SessionEpoch = 0
	r := c.mustAsk(t, open).(*kmsg.FetchResponse)
	if r.ErrorCode != 0 || r.SessionID == 0 {
		t.Fatalf("no session: %+v", r)
	}
	skipped := fetchRequest(topic, 0)
	skipped.SessionID, skipped.SessionEpoch = r.SessionID, 7
	check("a session's epoch skipped", whole(skipped), kerr.InvalidFetchSessionEpoch)

	check("behind the end", part(fetchRequest(topic, 6)), kerr.OffsetOutOfRange)
	check("a negative offset", part(fetchRequest(topic, -1)), kerr.OffsetOutOfRange)
	check("the largest offset", part(fetchRequest(topic, 1<<63-1)), kerr.OffsetOutOfRange)
	check("an unknown topic", part(fetchRequest("no-such-topic", 0)), kerr.UnknownTopicOrPartition)

	future := fetchRequest(topic, 0)
	future.Topics[0].Partitions[0].CurrentLeaderEpoch = 1000
	check("an epoch of the future", part(future), kerr.UnknownLeaderEpoch)
	elsewhere := fetchRequest(topic, 0)
	elsewhere.Topics[0].Partitions[0].Partition = 9
	check("an unknown partition", part(elsewhere), kerr.UnknownTopicOrPartition)

	byID := fetchRequest("", 0)
	byID.Version, byID.Topics[0].TopicID = 13, [16]byte{1, 2, 3}
	check("an unknown topic id", part(byID), kerr.UnknownTopicID)
	tg.checkAlive(t)
}

// TestSequencesOutOfOrder is an idempotent producer that has lost count (invariants P1, P2).
func TestSequencesOutOfOrder(t *testing.T) {
	tg := attack(t)
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	c := tg.dial(t)
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.Version = 4
	id := c.mustAsk(t, begin).(*kmsg.InitProducerIDResponse)
	if id.ErrorCode != 0 {
		t.Fatalf("no producer id: %v", kerr.ErrorForCode(id.ErrorCode))
	}
	send := func(epoch int16, sequence int32, n int) kmsg.ProduceResponseTopicPartition {
		b := goodBatch(n).with(func(h *kmsg.RecordBatch) {
			h.ProducerID, h.ProducerEpoch, h.FirstSequence = id.ProducerID, epoch, sequence
		})
		return c.produce(t, newestByName, topic, 0, b.bytes())
	}
	for _, tc := range []struct {
		what     string
		epoch    int16
		sequence int32
		n        int
		want     *kerr.Error // nil for none
		base     int64
	}{
		{"the first", 0, 0, 2, nil, 0},
		{"the first again", 0, 0, 2, nil, 0},
		{"one skipped", 0, 3, 1, kerr.OutOfOrderSequenceNumber, -1},
		{"the second", 0, 2, 2, nil, 2},
		{"the first once more", 0, 0, 2, nil, 0},
		{"half of the first", 0, 0, 1, kerr.OutOfOrderSequenceNumber, -1},
		{"a new epoch that does not begin at 0", 1, 4, 1, kerr.OutOfOrderSequenceNumber, -1},
		{"a new epoch", 1, 0, 1, nil, 4},
		{"the old epoch", 0, 4, 1, kerr.InvalidProducerEpoch, -1},
	} {
		r := send(tc.epoch, tc.sequence, tc.n)
		want := int16(0)
		if tc.want != nil {
			want = tc.want.Code
		}
		if r.ErrorCode != want || r.BaseOffset != tc.base {
			t.Errorf("%s: %v at %d, want %v at %d", tc.what, kerr.ErrorForCode(r.ErrorCode), r.BaseOffset, tc.want, tc.base)
		}
	}
	if end := tg.endOffset(t, topic, 0); end != 5 {
		t.Errorf("the partition ends at %d, want 5", end)
	}
}

// TestPipelinedOrder sends many requests at once, among them some that wait, and wants the answers in the order of the requests.
func TestPipelinedOrder(t *testing.T) {
	tg := attack(t)
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	c := tg.dial(t)
	var reqs []kmsg.Request
	var ids []int32
	var all []byte
	for i := range 60 {
		var req kmsg.Request
		switch i % 4 {
		case 0:
			m := kmsg.NewPtrMetadataRequest()
			m.Version = 12
			req = m
		case 1:
			req = produceRequest(newestByName, topic, 0, goodBatch(1).bytes())
		case 2:
			f := fetchRequest(topic, int64(i)) // mostly behind the end: an error at once; or at the end, where it waits
			f.MaxWaitMillis = 20
			req = f
		default:
			v := kmsg.NewPtrApiVersionsRequest()
			v.Version, v.ClientSoftwareName, v.ClientSoftwareVersion = 3, "abuse", "1"
			req = v
		}
		b, id := request(req)
		reqs, ids, all = append(reqs, req), append(ids, id), append(all, b...)
	}
	if _, err := c.Write(all); err != nil {
		t.Fatal(err)
	}
	for i, req := range reqs {
		if _, err := c.answer(req, ids[i]); err != nil {
			t.Fatalf("answer %d, to %s: %v", i, kmsg.NameForKey(req.Key()), err)
		}
	}
}

// TestSaslBeforeItsTime: a listener without SASL must refuse it, and live.
func TestSaslBeforeItsTime(t *testing.T) {
	tg := attack(t)
	for _, req := range []kmsg.Request{
		&kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "PLAIN"},
		&kmsg.SASLAuthenticateRequest{Version: 2, SASLAuthBytes: []byte("\x00user\x00secret")},
	} {
		c := tg.dial(t)
		resp, err := c.ask(req)
		switch {
		case err != nil && !gone(err):
			t.Errorf("%s: %v", kmsg.NameForKey(req.Key()), err)
		case err == nil && saslCode(resp) == 0:
			t.Errorf("%s on a listener without SASL: %+v", kmsg.NameForKey(req.Key()), resp)
		}
	}
	tg.checkAlive(t)
}

func saslCode(r kmsg.Response) int16 {
	switch r := r.(type) {
	case *kmsg.SASLHandshakeResponse:
		return r.ErrorCode
	case *kmsg.SASLAuthenticateResponse:
		return r.ErrorCode
	default:
		return 0
	}
}

// TestTransactionsAreRefused: until there are transactions, whoever wants one is told so at once, by an error it does not retry, and what
// it sends is not appended. On a broker that has them there is nothing to see.
func TestTransactionsAreRefused(t *testing.T) {
	tg := attack(t)
	tg.ownProcess(t)
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	c := tg.dial(t)
	id := "transaction"
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.Version, begin.TransactionalID, begin.TransactionTimeoutMillis = 4, &id, 60_000
	r := c.mustAsk(t, begin).(*kmsg.InitProducerIDResponse)
	if err := kerr.TypedErrorForCode(r.ErrorCode); err == nil || err.Retriable {
		t.Errorf("a transactional producer: %v", err)
	}
	req := produceRequest(newestByName, topic, 0, goodBatch(1).with(func(h *kmsg.RecordBatch) {
		h.Attributes, h.ProducerID, h.ProducerEpoch, h.FirstSequence = 16, 1, 0, 0
	}).bytes())
	req.TransactionID = &id
	if p := c.mustAsk(t, req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; kerr.IsRetriable(kerr.ErrorForCode(p.ErrorCode)) || p.ErrorCode == 0 {
		t.Errorf("a transactional batch: %v", kerr.ErrorForCode(p.ErrorCode))
	}
	if end := tg.endOffset(t, topic, 0); end != 0 {
		t.Errorf("the partition ends at %d", end)
	}
}

// TestClientThatDoesNotRead asks for a lot and takes none of it. The broker must stop reading from it rather than pile up answers.
func TestClientThatDoesNotRead(t *testing.T) {
	tg := attack(t)
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	first := tg.dial(t)
	for range 8 {
		first.produce(t, newestByName, topic, 0, goodBatch(1).record(0, func(r *kmsg.Record) { r.Value = make([]byte, 1000<<10) }).bytes())
	}
	h := tg.serve(t)
	check := tg.watchMemory(t, 64*mib)
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 12
	for i := range 20 {
		c := tg.dial(t)
		if err := c.SetWriteDeadline(time.Now().Add(2 * time.Second)); err != nil {
			t.Fatal(err)
		}
		var all []byte
		for n := range 2000 {
			var req kmsg.Request = metadata
			if (n+i)%2 == 0 {
				req = fetchRequest(topic, 0)
			}
			b, _ := request(req)
			all = append(all, b...)
		}
		_, _ = c.Write(all) // the broker may stop taking it: that is the point
	}
	h.awaitProgress(t, 20)
	check()
	h.stop(t, 5*time.Second)
	tg.checkAlive(t)
}

// TestManyNames creates and names what is not there, again and again: strangers must not be able to fill the broker's memory with names.
func TestManyNames(t *testing.T) {
	tg := attack(t)
	h := tg.serve(t)
	check := tg.watchMemory(t, 64*mib)
	c := tg.dial(t)
	for i := range 200 {
		req := kmsg.NewPtrMetadataRequest()
		req.Version, req.AllowAutoTopicCreation = 12, false
		for n := range 500 {
			name := fmt.Sprintf("no-such-topic-%d-%d-%s", i, n, "with-a-long-name-that-takes-its-room")
			req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &name})
		}
		c.mustAsk(t, req)
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Version = 8
		for n := range 50 {
			fetch.Groups = append(fetch.Groups, kmsg.OffsetFetchRequestGroup{Group: fmt.Sprintf("no-such-group-%d-%d", i, n)})
		}
		c.mustAsk(t, fetch)
		open := fetchRequest("no-such-topic", int64(i))
		open.SessionEpoch = 0 // a session each
		c.mustAsk(t, open)
	}
	check()
	h.stop(t, 5*time.Second)
}
