package api

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/coordinator/group"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
)

// shardLog keeps a group shard in a partition, as node does.
type shardLog struct{ p *replication.Partition }

type committed func(error)

func (c committed) Wake(_ int, err error) { c(err) }

func (l shardLog) Append(b []byte, epoch model.LeaderEpoch, done func(error)) (model.Offset, error) {
	res, err := l.p.Append(&replication.Append{
		Records: b, Acks: replication.AcksAll, LeaderEpoch: epoch, Origin: commitlog.FromCoordinator, Waiter: committed(done),
	})
	if err == nil && !res.Wait {
		done(nil)
	}
	return res.Base, err
}

func (l shardLog) Read(model.Offset, int) ([]byte, error) { return nil, nil }
func (l shardLog) Bounds() (start, end model.Offset)      { return 0, 0 }
func (l shardLog) HighWatermark() model.Offset            { return l.p.HighWatermark() }

// groups makes the rig coordinate all groups, in a topic of four partitions, and gives it a topic to commit offsets for.
func (r *rig) groups() {
	r.t.Helper()
	const shards = 4
	parts := r.topic(group.Topic, 200, shards, replication.Config{})
	s := group.New(group.Options{
		Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler), Partitions: func() int32 { return shards }, Rand: rand.Reader,
		Config: func() group.Config {
			c := group.DefaultConfig()
			c.InitialRebalanceDelay = 10 * time.Millisecond
			return c
		},
	})
	for i, p := range parts {
		s.Elected(int32(i), 3, shardLog{p})
	}
	r.t.Cleanup(s.Close)
	r.api.Groups = s
	r.topic("t", 1, 2, replication.Config{})
}

func commitRequest(version int16, topic string, id byte, offset int64, partitions ...int32) *kmsg.OffsetCommitRequest {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Version, q.Group, q.Generation = version, "g", -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = topic, topicID(id)
	for _, p := range partitions {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Timestamp = p, offset, 3, -1
		t.Partitions = append(t.Partitions, rp)
	}
	q.Topics = append(q.Topics, t)
	return q
}

func commitCodes(r *kmsg.OffsetCommitResponse) string {
	var out []string
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			out = append(out, fmt.Sprintf("%d:%v", p.Partition, model.ErrorCode(p.ErrorCode)))
		}
	}
	return strings.Join(out, " ")
}

// fetchOffsets asks for partitions 0 and 7 of a topic, in the form of any version.
func fetchOffsets(c *conn, version int16, topic string, id byte) string {
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Version, q.Group = version, "g"
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = topic, []int32{0, 7}
	q.Topics = append(q.Topics, t)
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = "g"
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic, gt.TopicID, gt.Partitions = topic, topicID(id), []int32{0, 7}
	g.Topics = append(g.Topics, gt)
	q.Groups = append(q.Groups, g)
	resp := ask[*kmsg.OffsetFetchResponse](c, q)
	out := []string{model.ErrorCode(resp.ErrorCode).String()}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			out = append(out, fmt.Sprintf("%d=%d %v", p.Partition, p.Offset, model.ErrorCode(p.ErrorCode)))
		}
	}
	for _, g := range resp.Groups {
		out[0] = model.ErrorCode(g.ErrorCode).String()
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				out = append(out, fmt.Sprintf("%d=%d %v", p.Partition, p.Offset, model.ErrorCode(p.ErrorCode)))
			}
		}
	}
	return strings.Join(out, ", ")
}

func TestOffsetsOfEveryVersion(t *testing.T) {
	r := newRig(t)
	r.groups()
	c := r.dial()
	for version := int16(0); version <= 10; version++ {
		got := commitCodes(ask[*kmsg.OffsetCommitResponse](c, commitRequest(version, "t", 1, int64(version)+100, 0, 7, 1, -1)))
		if want := "0:NONE 7:UNKNOWN_TOPIC_OR_PARTITION 1:NONE -1:UNKNOWN_TOPIC_OR_PARTITION"; got != want {
			t.Errorf("commit v%d: %s", version, got)
		}
		want := fmt.Sprintf("NONE, 0=%d NONE, 7=-1 NONE", version+100)
		if version == 0 {
			want = fmt.Sprintf("NONE, 0=%d NONE, 7=-1 UNKNOWN_TOPIC_OR_PARTITION", version+100)
		}
		if got := fetchOffsets(c, version, "t", 1); got != want {
			t.Errorf("fetch v%d: %s", version, got)
		}
		unknown := "0:UNKNOWN_TOPIC_OR_PARTITION"
		if version >= 10 {
			unknown = "0:UNKNOWN_TOPIC_ID"
		}
		if got := commitCodes(ask[*kmsg.OffsetCommitResponse](c, commitRequest(version, "none", 9, 1, 0))); got != unknown {
			t.Errorf("commit v%d of an unknown topic: %s", version, got)
		}
	}
	if got := fetchOffsets(c, 10, "none", 9); got != "NONE, 0=-1 UNKNOWN_TOPIC_ID, 7=-1 UNKNOWN_TOPIC_ID" {
		t.Error(got)
	}
	if got := fetchOffsets(c, 9, "none", 9); got != "NONE, 0=-1 NONE, 7=-1 NONE" {
		t.Error(got)
	}
}

// TestOffsetsOfAFormerLife: a topic that is made again has no offsets of before, whatever way it is named.
func TestOffsetsOfAFormerLife(t *testing.T) {
	r := newRig(t)
	r.groups()
	c := r.dial()
	ask[*kmsg.OffsetCommitResponse](c, commitRequest(8, "t", 0, 5, 0))
	r.apply(&metadata.RemoveTopic{TopicID: topicID(1)})
	r.apply(&metadata.TopicRecord{Name: "t", TopicID: topicID(2)},
		&metadata.PartitionRecord{TopicID: topicID(2), Replicas: []int32{1}, ISR: []int32{1}, Leader: 1})
	if got := fetchOffsets(c, 8, "t", 0); got != "NONE, 0=-1 NONE, 7=-1 NONE" {
		t.Error("by name:", got)
	}
	if got := fetchOffsets(c, 10, "t", 2); got != "NONE, 0=-1 NONE, 7=-1 NONE" {
		t.Error("by the new id:", got)
	}
	if got := fetchOffsets(c, 10, "t", 1); got != "NONE, 0=-1 UNKNOWN_TOPIC_ID, 7=-1 UNKNOWN_TOPIC_ID" {
		t.Error("by the old id:", got)
	}
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Version, q.Group = 7, "g"
	q.Topics = nil
	if resp := ask[*kmsg.OffsetFetchResponse](c, q); len(resp.Topics) != 0 {
		t.Error("all:", resp.Topics)
	}
}

func TestFindCoordinator(t *testing.T) {
	r := newRig(t)
	r.groups()
	c := r.dial()
	for version := int16(0); version <= 6; version++ {
		for kind, want := range map[int8]model.ErrorCode{0: model.None, 1: model.UnsupportedVersion, 2: model.InvalidRequest, 9: model.InvalidRequest} {
			q := kmsg.NewPtrFindCoordinatorRequest()
			q.Version, q.CoordinatorType, q.CoordinatorKey, q.CoordinatorKeys = version, kind, "g", []string{"g", "h"}
			resp := ask[*kmsg.FindCoordinatorResponse](c, q)
			switch {
			case version == 0:
				want = model.None // it knows groups only
			case kind == 1 && version < 4:
				want = model.TransactionalIDAuthorizationFailed // what librdkafka takes as final
			}
			if version < 4 {
				if code := model.ErrorCode(resp.ErrorCode); code != want || code == model.None && (resp.NodeID != 1 || resp.Port != 9001) {
					t.Errorf("v%d kind %d: %v node %d", version, kind, code, resp.NodeID)
				}
				continue
			}
			if len(resp.Coordinators) != 2 || resp.Coordinators[1].Key != "h" {
				t.Fatalf("v%d: %+v", version, resp.Coordinators)
			}
			for _, x := range resp.Coordinators {
				if code := model.ErrorCode(x.ErrorCode); code != want || code == model.None && x.NodeID != 1 || x.ErrorMessage == nil {
					t.Errorf("v%d kind %d: %v node %d", version, kind, code, x.NodeID)
				}
			}
		}
	}
}

// TestGroupOfEveryVersion takes one member through its life with the requests of each generation of clients.
func TestGroupOfEveryVersion(t *testing.T) {
	r := newRig(t)
	r.groups()
	c := r.dial()
	for version := int16(0); version <= 9; version++ {
		id := fmt.Sprint("life", version)
		join := kmsg.NewPtrJoinGroupRequest()
		join.Version, join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = version, id, 10_000, 10_000, "consumer"
		join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 0, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 0}}}
		joined := ask[*kmsg.JoinGroupResponse](c, join)
		if version >= 4 {
			if code := model.ErrorCode(joined.ErrorCode); code != model.MemberIDRequired {
				t.Fatalf("join v%d: %v", version, code)
			}
			join.MemberID = joined.MemberID
			joined = ask[*kmsg.JoinGroupResponse](c, join)
		}
		if joined.ErrorCode != 0 || joined.Generation != 1 || joined.LeaderID != joined.MemberID || len(joined.Members) != 1 {
			t.Fatalf("join v%d: %+v", version, joined)
		}
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Version, sync.Group, sync.Generation, sync.MemberID = min(version, 5), id, 1, joined.MemberID
		sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID, MemberAssignment: []byte("all")}}
		if sync.Version >= 5 {
			if code := model.ErrorCode(ask[*kmsg.SyncGroupResponse](c, sync).ErrorCode); code != model.InconsistentGroupProtocol {
				t.Fatalf("sync v%d without a protocol: %v", sync.Version, code)
			}
			sync.ProtocolType, sync.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
		}
		if resp := ask[*kmsg.SyncGroupResponse](c, sync); resp.ErrorCode != 0 || string(resp.MemberAssignment) != "all" {
			t.Fatalf("sync v%d: %+v", sync.Version, resp)
		}
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Version, beat.Group, beat.Generation, beat.MemberID = min(version, 4), id, 1, joined.MemberID
		if resp := ask[*kmsg.HeartbeatResponse](c, beat); resp.ErrorCode != 0 {
			t.Fatalf("heartbeat v%d: %+v", beat.Version, resp)
		}
		describe := kmsg.NewPtrDescribeGroupsRequest()
		describe.Version, describe.Groups, describe.IncludeAuthorizedOperations = min(version, 6), []string{id, "nobody"}, true
		resp := ask[*kmsg.DescribeGroupsResponse](c, describe)
		g, none := resp.Groups[0], resp.Groups[1]
		if g.State != "Stable" || len(g.Members) != 1 || g.Members[0].ClientID != "rig" || g.Members[0].ClientHost != "/127.0.0.1" || describe.Version >= 3 && g.AuthorizedOperations != 3400 {
			t.Fatalf("describe v%d: %+v", describe.Version, g)
		}
		if wrong := describe.Version >= 6; none.State != "Dead" || wrong != (none.ErrorCode == int16(model.GroupIDNotFound)) || wrong != (none.ErrorMessage != nil) {
			t.Fatalf("describe v%d of nobody: %+v", describe.Version, none)
		}
		leave := kmsg.NewPtrLeaveGroupRequest()
		leave.Version, leave.Group, leave.MemberID = min(version, 5), id, joined.MemberID
		leave.Members = []kmsg.LeaveGroupRequestMember{{MemberID: joined.MemberID}}
		if resp := ask[*kmsg.LeaveGroupResponse](c, leave); resp.ErrorCode != 0 || len(resp.Members) != min(int(version)/3, 1) {
			t.Fatalf("leave v%d: %+v", leave.Version, resp)
		}
	}
	list := kmsg.NewPtrListGroupsRequest()
	list.Version, list.StatesFilter, list.TypesFilter = 5, []string{"EMPTY"}, []string{"classic"}
	groups := ask[*kmsg.ListGroupsResponse](c, list).Groups
	if len(groups) != 10 || groups[0].Group != "life0" || groups[0].GroupType != "classic" || groups[0].ProtocolType != "consumer" {
		t.Fatalf("list: %+v", groups)
	}
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Version, del.Groups = 2, []string{"life0", "life0", "nobody"}
	var codes []int16
	for _, g := range ask[*kmsg.DeleteGroupsResponse](c, del).Groups {
		codes = append(codes, g.ErrorCode)
	}
	if !slices.Equal(codes, []int16{0, int16(model.GroupIDNotFound)}) {
		t.Fatal(codes)
	}
}

func TestOffsetDelete(t *testing.T) {
	r := newRig(t)
	r.groups()
	c := r.dial()
	ask[*kmsg.OffsetCommitResponse](c, commitRequest(8, "t", 0, 5, 0, 1))
	q := kmsg.NewPtrOffsetDeleteRequest()
	q.Group = "g"
	for _, name := range []string{"t", "none"} {
		qt := kmsg.NewOffsetDeleteRequestTopic()
		qt.Topic = name
		for _, p := range []int32{0, 7} {
			rp := kmsg.NewOffsetDeleteRequestTopicPartition()
			rp.Partition = p
			qt.Partitions = append(qt.Partitions, rp)
		}
		q.Topics = append(q.Topics, qt)
	}
	resp := ask[*kmsg.OffsetDeleteResponse](c, q)
	got := map[string]model.ErrorCode{}
	for _, rt := range resp.Topics {
		for _, p := range rt.Partitions {
			got[fmt.Sprint(rt.Topic, p.Partition)] = model.ErrorCode(p.ErrorCode)
		}
	}
	unknown := model.UnknownTopicOrPartition
	for tp, want := range map[string]model.ErrorCode{"t0": model.None, "t7": unknown, "none0": unknown, "none7": unknown} {
		if got[tp] != want {
			t.Errorf("%s: %v", tp, got[tp])
		}
	}
	if got := fetchOffsets(c, 8, "t", 0); got != "NONE, 0=-1 NONE, 7=-1 NONE" {
		t.Error(got)
	}
	q.Group = "nobody"
	if code := model.ErrorCode(ask[*kmsg.OffsetDeleteResponse](c, q).ErrorCode); code != model.GroupIDNotFound {
		t.Error(code)
	}
}
