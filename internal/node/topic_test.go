package node_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/klammtest"
)

func (r *rig) topicID(topic string) kadm.TopicID {
	r.Helper()
	ts, err := r.adm.ListTopics(r.ctx, topic)
	r.ok(err)
	r.ok(ts[topic].Err)
	return ts[topic].ID
}

func (r *rig) delete(topic string) {
	r.Helper()
	_, err := r.adm.DeleteTopic(r.ctx, topic)
	r.ok(err)
	r.cl.PurgeTopicsFromClient(topic) // it goes on with the old id otherwise
}

// fetchByID asks for partition 0 of a topic by its id, as Fetch 13 does, and returns the code and how many bytes of records came.
func (r *rig) fetchByID(id kadm.TopicID) (code int16, size int) {
	r.Helper()
	req := kmsg.NewFetchRequest()
	req.Version, req.MaxWaitMillis, req.MaxBytes = 13, 10, 1<<20
	ft := kmsg.NewFetchRequestTopic()
	ft.TopicID = id
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = 1 << 20
	ft.Partitions = append(ft.Partitions, p)
	req.Topics = append(req.Topics, ft)
	m, err := r.cl.Broker(1).RetriableRequest(r.ctx, &req)
	r.ok(err)
	resp := m.(*kmsg.FetchResponse)
	if resp.ErrorCode != 0 {
		return resp.ErrorCode, 0
	}
	got := resp.Topics[0].Partitions[0]
	return got.ErrorCode, len(got.RecordBatches)
}

// A topic that is created again under its old name is another topic: it is empty, has another id, and whoever asks for the old id is told so.
func TestRecreatedTopicIsAnother(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.create("again")
	for i := range 3 {
		r.send("again", "k", fmt.Sprint(i))
	}
	old := r.topicID("again")
	var o kadm.Offsets
	o.AddOffset("again", 0, 3, -1)
	r.ok(r.adm.CommitAllOffsets(r.ctx, "readers", o))

	r.delete("again")
	if code, _ := r.fetchByID(old); code != kerr.UnknownTopicID.Code {
		t.Errorf("fetch of a deleted topic: %v", kerr.ErrorForCode(code))
	}
	r.create("again")
	now := r.topicID("again")
	if now == old {
		t.Fatal("the id is the old one")
	}
	for _, when := range []string{"created again", "after a restart"} {
		if from, to := r.bounds("again"); from != 0 || to != 0 {
			t.Errorf("%s: the log is %d to %d", when, from, to)
		}
		if code, n := r.fetchByID(old); code != kerr.UnknownTopicID.Code || n > 0 {
			t.Errorf("%s: fetch by the old id: %v, %d bytes", when, kerr.ErrorForCode(code), n)
		}
		if code, n := r.fetchByID(now); code != 0 || n > 0 {
			t.Errorf("%s: fetch by the new id: %v, %d bytes", when, kerr.ErrorForCode(code), n)
		}
		committed, err := r.adm.FetchOffsets(r.ctx, "readers")
		r.ok(err)
		if at, ok := committed.Lookup("again", 0); ok && at.At >= 0 {
			t.Errorf("%s: the group is at %d of the old topic", when, at.At)
		}
		r.broker.Restart()
	}
	if at := r.send("again", "k", "new"); at != 0 {
		t.Errorf("the first offset is %d", at)
	}
}

// A consumer that reads while its topic is deleted and created again ends up with the new topic's records and none of the old in between.
func TestConsumerThroughRecreation(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.create("again")
	r.send("again", "k", "old")
	cl := r.client(kgo.ConsumeTopics("again"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsiderMissingTopicDeletedAfter(time.Second), kgo.MetadataMaxAge(200*time.Millisecond))
	fs := cl.PollFetches(r.ctx)
	if rs := fs.Records(); len(rs) != 1 || string(rs[0].Value) != "old" {
		t.Fatalf("read %v", rs)
	}
	r.delete("again")
	r.create("again")
	r.send("again", "k", "new")
	cl.PurgeTopicsFromClient("again")
	cl.AddConsumeTopics("again")
	for {
		fs := cl.PollFetches(r.ctx)
		r.ok(r.ctx.Err())
		if rs := fs.Records(); len(rs) > 0 {
			if len(rs) != 1 || string(rs[0].Value) != "new" || rs[0].Offset != 0 {
				t.Errorf("read %v", rs)
			}
			return
		}
	}
}

// A kill between the deletion of a topic and that of its files leaves a log of the old topic under a name that is another topic's by then. It
// makes room; nothing of it is served.
func TestLogOfADeletedTopicMakesRoom(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.create("again")
	r.send("again", "k", "old")
	old := r.topicID("again")
	saved := filepath.Join(t.TempDir(), "again-0")
	r.broker.Stop()
	r.ok(os.CopyFS(saved, os.DirFS(filepath.Join(r.dir, "again-0"))))
	r.broker.Restart()
	r.delete("again")
	r.create("again")
	id := r.topicID("again")
	r.broker.Stop()
	r.ok(os.RemoveAll(filepath.Join(r.dir, "again-0")))
	r.ok(os.Remove(filepath.Join(r.dir, ".kafka_cleanshutdown"))) // as after a kill
	r.ok(os.CopyFS(filepath.Join(r.dir, "again-0"), os.DirFS(saved)))
	r.broker.Restart()
	if from, to := r.bounds("again"); from != 0 || to != 0 {
		t.Errorf("the log is %d to %d", from, to)
	}
	if code, n := r.fetchByID(id); code != 0 || n > 0 {
		t.Errorf("fetch: %v, %d bytes", kerr.ErrorForCode(code), n)
	}
	meta, err := os.ReadFile(filepath.Join(r.dir, "again-0", "partition.metadata"))
	r.ok(err)
	if bytes.Contains(meta, []byte(old.String())) {
		t.Errorf("partition.metadata is the old topic's: %s", meta)
	}
	if at := r.send("again", "k", "new"); at != 0 {
		t.Errorf("the first offset is %d", at)
	}
}

// validate-only says all that the real thing would say and changes nothing.
func TestValidateOnlyChangesNothing(t *testing.T) {
	t.Parallel()
	r := start(t, klammtest.Set("num.partitions", "3"))
	rs, err := r.adm.ValidateCreateTopics(r.ctx, -1, -1, nil, "maybe")
	r.ok(err)
	r.ok(rs["maybe"].Err)
	if n := rs["maybe"].NumPartitions; n != 3 {
		t.Errorf("it would have %d partitions, want num.partitions", n)
	}
	rs, err = r.adm.ValidateCreateTopics(r.ctx, 1, 2, nil, "maybe")
	r.ok(err)
	r.wantCode(rs["maybe"].Err, kerr.InvalidReplicationFactor)
	r.create("real")
	ps, err := r.adm.ValidateUpdatePartitions(r.ctx, 5, "real")
	r.ok(err)
	r.ok(ps["real"].Err)
	cs, err := r.adm.ValidateAlterTopicConfigs(r.ctx, sets([]string{"retention.ms", "5"}), "real")
	r.ok(err)
	res, err := cs.On("real", nil)
	r.ok(err)
	r.ok(res.Err)
	ts, err := r.adm.ListTopics(r.ctx)
	r.ok(err)
	if ts.Has("maybe") || len(ts["real"].Partitions) != 1 {
		t.Errorf("something changed: %v", ts)
	}
	r.wantConfig("real", "retention.ms", "604800000", kmsg.ConfigSourceDefaultConfig)
}

// Added partitions are there when the answer is, and stay.
func TestAddedPartitionsAreThereAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.create("wide")
	r.send("wide", "k", "v")
	ps, err := r.adm.UpdatePartitions(r.ctx, 4, "wide")
	r.ok(err)
	r.ok(ps["wide"].Err)
	cl := r.client()
	for p := range int32(4) {
		rec := record("wide", "k", "v")
		rec.Partition = p
		r.ok(cl.ProduceSync(r.ctx, rec).FirstErr())
	}
	r.broker.Restart()
	ends, err := r.adm.ListEndOffsets(r.ctx, "wide")
	r.ok(err)
	for p, want := range []int64{2, 1, 1, 1} {
		if o, _ := ends.Lookup("wide", int32(p)); o.Offset != want {
			t.Errorf("partition %d ends at %d, want %d", p, o.Offset, want)
		}
	}
	fewer, err := r.adm.UpdatePartitions(r.ctx, 2, "wide")
	r.ok(err)
	r.wantCode(fewer["wide"].Err, kerr.InvalidPartitions)
}

// Auto-creation obeys the client and the broker, and a topic that was just created can be written to at once.
func TestAutoCreate(t *testing.T) {
	t.Parallel()
	r := start(t, klammtest.Set("num.partitions", "2"))
	cl := r.client(kgo.AllowAutoTopicCreation())
	for i := range 20 {
		r.ok(cl.ProduceSync(r.ctx, record(fmt.Sprintf("auto-%d", i), "k", "v")).FirstErr())
	}
	ts, err := r.adm.ListTopics(r.ctx, "auto-0", "missing")
	r.ok(err)
	if len(ts["auto-0"].Partitions) != 2 {
		t.Errorf("%d partitions", len(ts["auto-0"].Partitions))
	}
	r.wantCode(ts["missing"].Err, kerr.UnknownTopicOrPartition)

	strict := start(t, klammtest.Set("auto.create.topics.enable", "false"))
	cl = strict.client(kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(1))
	strict.wantCode(cl.ProduceSync(strict.ctx, record("auto", "k", "v")).FirstErr(), kerr.UnknownTopicOrPartition)
}
