package group

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// FuzzReplay loads records of any bytes and goes on with the shard: what is on disk must never stop the node.
func FuzzReplay(f *testing.F) {
	r := newRig()
	for _, line := range strings.Split(`config delay=0s
join a instance=i version=5
tick 0s
sync a member=i-01 instance=i gen=1 assign=i-01:x
commit a member=i-01 instance=i gen=1 t-0=5@1 meta=m
commit s group=s t-0=5 retention=1h
delete s group=s`, "\n") {
		if err := r.command(long(line)); err != nil {
			f.Fatal(err)
		}
	}
	for _, rec := range r.log {
		f.Add(rec.Key, rec.Value, false)
	}
	f.Add([]byte{0, 3, 1}, []byte{0, 0}, false)
	f.Fuzz(func(t *testing.T, key, value []byte, tombstone bool) {
		if tombstone {
			value = nil
		}
		r := newRig()
		r.st = r.fresh()
		ownKey, ownValue := bytes.Clone(key), bytes.Clone(value)
		_ = r.st.Replay(ownKey, ownValue)
		for i := range ownKey {
			ownKey[i] = 0xaa // a load reuses its buffers
		}
		for i := range ownValue {
			ownValue[i] = 0xaa
		}
		r.st.Loaded(r.now)
		names := []string{"g"}
		for id := range r.st.groups {
			names = append(names, id)
		}
		for _, id := range names {
			set := map[string]string{"group": id, "version": "3", "instance": "i"}
			q, version := joinOf(set)
			c := newCall()
			r.submit("a", c, &joinRequest{call: c, version: version, q: q})
			c = newCall()
			r.submit("d", c, &describeRequest{c, id})
			c = newCall()
			r.submit("f", c, &fetchRequest{c, &wire.OffsetFetchRequestGroup{GroupID: id}})
			c = newCall()
			r.submit("c", c, &commitRequest{c, 9, commitOf(set, []string{"t-0=1"})})
		}
		r.advance(time.Hour)
		for _, line := range r.out {
			if strings.HasPrefix(line, "BROKEN") {
				t.Error(line)
			}
		}
		n := len(r.log)
		r.crash()
		if len(r.log) != n {
			t.Error("a load wrote")
		}
	})
}

func TestReplayOfOldValues(t *testing.T) {
	s := newRig().fresh()
	for version := range int16(5) {
		v := wire.NewOffsetCommitValue()
		v.Offset, v.Metadata, v.CommitTimestamp = int64(version)+10, "m", 99
		key := wire.AppendVersioned(nil, version&1, &wire.OffsetCommitKey{Group: "g", Topic: "t", Partition: int32(version)})
		if err := s.Replay(key, wire.AppendVersioned(nil, version, &v)); err != nil {
			t.Fatal(err)
		}
		if c, ok := s.find("g").lookup("t", [16]byte{}, int32(version)); !ok || c.offset != int64(version)+10 || c.metadata != "m" || c.leaderEpoch != -1 {
			t.Errorf("v%d: %+v", version, c)
		}
		protocol := "range"
		gv := wire.GroupMetadataValue{ProtocolType: "consumer", Generation: 3, Protocol: &protocol, CurrentStateTimestamp: 7}
		gv.Members = []wire.GroupMetadataValueMember{{MemberID: "m", RebalanceTimeout: 2000, SessionTimeout: 1000, Assignment: []byte("x")}}
		if err := s.Replay(groupKey("h"), wire.AppendVersioned(nil, version, &gv)); err != nil {
			t.Fatal(err)
		}
		want := 2 * time.Second
		if version == 0 {
			want = time.Second // there was one timeout for both
		}
		h := s.find("h")
		if m := h.members["m"]; h.phase != stable || m.rebalanceTimeout != want || string(m.assignment) != "x" || h.since.IsZero() != (version < 2) {
			t.Errorf("v%d: %+v", version, h)
		}
	}
}

func TestUnknownRecordsAreLeftAlone(t *testing.T) {
	s := newRig().fresh()
	if err := s.Replay([]byte{0, 5, 9, 9}, []byte{0, 0}); err != nil || len(s.groups) != 0 {
		t.Error("a consumer group's record of KIP-848 is not ours", err)
	}
	for _, rec := range []coordinator.Record{{Key: nil}, {Key: []byte{0}}, {Key: []byte{0, 1, 0}}, {Key: []byte{0, 1, 0, 1, 'g', 0xff, 0xff}}, {Key: groupKey("g"), Value: []byte{0, 9}}, {Key: groupKey("g"), Value: []byte{}}} {
		if err := s.Replay(rec.Key, rec.Value); err == nil {
			t.Errorf("%x is taken", rec.Key)
		}
	}
}

// TestGivenIDsAreBounded: a client that only ever asks for member ids does not fill the memory, and does not keep others out.
func TestGivenIDsAreBounded(t *testing.T) {
	r := newRig()
	ask := func(set map[string]string) *wire.JoinGroupResponse {
		q, version := joinOf(set)
		c := newCall()
		var resp *wire.JoinGroupResponse
		r.send(c, &joinRequest{call: c, client: Client{ID: "c"}, version: version, q: q}, func(res result) { resp = res.body.(*wire.JoinGroupResponse) })
		return resp
	}
	first := ask(map[string]string{"group": "first"})
	for i := range maxPending {
		ask(map[string]string{"group": fmt.Sprint("g", i)})
	}
	if n := len(r.st.groups); n != maxPending {
		t.Errorf("%d groups are kept", n)
	}
	if resp := ask(map[string]string{"group": "first", "member": first.MemberID}); resp.ErrorCode != model.UnknownMemberID {
		t.Errorf("the oldest id is still good: %v", resp.ErrorCode)
	}
	last := ask(map[string]string{"group": "last"})
	if resp := ask(map[string]string{"group": "last", "member": last.MemberID}); resp != nil {
		t.Errorf("a member cannot come in: %v", resp.ErrorCode)
	}
}

// BenchmarkLoad replays commits of a few groups over and over, as a partition looks before it is compacted.
func BenchmarkLoad(b *testing.B) {
	var keys, values [][]byte
	for g := range 100 {
		for p := range 100 {
			c := committed{offset: 12345, leaderEpoch: 3, committedMs: 1, expireMs: -1, topicID: [16]byte{1}}
			keys = append(keys, offsetKey("group-"+string(rune('a'+g%26))+string(rune('a'+g/26)), "a-topic-of-ordinary-length", int32(p)))
			values = append(values, appendOffsetValue(nil, &c))
		}
	}
	s := newRig().fresh()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := s.Replay(keys[i], values[i]); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(keys) {
			i = 0
		}
	}
}
