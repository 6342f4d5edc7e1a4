package node_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/klamm/klamm/klammtest"
)

// Tests of this file's package ask a whole node what its rooms promise together, with real files and a real client.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long background work of a node may take on a busy machine.
const patience = 60 * time.Second

// rig is a broker with a client and an admin client.
type rig struct {
	*testing.T
	ctx    context.Context
	broker *klammtest.Broker
	dir    string
	cl     *kgo.Client
	adm    *kadm.Client
}

func start(t *testing.T, options ...klammtest.Option) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	r := &rig{T: t, ctx: ctx, dir: t.TempDir()}
	r.broker = klammtest.NewBroker(t, append([]klammtest.Option{klammtest.Data(r.dir)}, options...)...)
	r.cl = r.client()
	r.adm = kadm.NewClient(r.cl)
	return r
}

// client makes another client, with options of its own.
func (r *rig) client(opts ...kgo.Opt) *kgo.Client {
	r.Helper()
	base := []kgo.Opt{
		kgo.SeedBrokers(r.broker.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(10 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }), kgo.ProducerBatchCompression(kgo.NoCompression()),
	}
	cl, err := kgo.NewClient(append(base, opts...)...)
	r.ok(err)
	r.Cleanup(cl.Close)
	return cl
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// create makes a topic of one partition; configs are key, value, key, value, ...
func (r *rig) create(topic string, configs ...string) {
	r.Helper()
	m := map[string]*string{}
	for i := 0; i < len(configs); i += 2 {
		m[configs[i]] = &configs[i+1]
	}
	_, err := r.adm.CreateTopic(r.ctx, 1, 1, m, topic)
	r.ok(err)
}

// alter sets topic configs while the node runs.
func (r *rig) alter(topic string, configs ...string) {
	r.Helper()
	rs, err := r.adm.AlterTopicConfigs(r.ctx, sets(configs), topic)
	r.ok(err)
	res, err := rs.On(topic, nil)
	r.ok(err)
	r.ok(res.Err)
}

// alterBroker sets configs of the broker while it runs.
func (r *rig) alterBroker(configs ...string) {
	r.Helper()
	rs, err := r.adm.AlterBrokerConfigs(r.ctx, sets(configs), 1)
	r.ok(err)
	res, err := rs.On("1", nil)
	r.ok(err)
	r.ok(res.Err)
}

func sets(configs []string) []kadm.AlterConfig {
	var out []kadm.AlterConfig
	for i := 0; i < len(configs); i += 2 {
		out = append(out, kadm.AlterConfig{Op: kadm.SetConfig, Name: configs[i], Value: &configs[i+1]})
	}
	return out
}

// send produces one record and returns its offset.
func (r *rig) send(topic, key, value string) int64 {
	r.Helper()
	rec := record(topic, key, value)
	r.ok(r.cl.ProduceSync(r.ctx, rec).FirstErr())
	return rec.Offset
}

// trySend is send with the error.
func (r *rig) trySend(rec *kgo.Record) error {
	return r.cl.ProduceSync(r.ctx, rec).FirstErr()
}

// tombstone is the value of a record without one.
const tombstone = "\x00"

func record(topic, key, value string) *kgo.Record {
	rec := &kgo.Record{Topic: topic}
	if key != "" {
		rec.Key = []byte(key)
	}
	if value != tombstone {
		rec.Value = []byte(value)
	}
	return rec
}

// deleteRecords deletes what lies before an offset of partition 0.
func (r *rig) deleteRecords(topic string, before int64) {
	r.Helper()
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: topic, At: before, LeaderEpoch: -1})
	rs, err := r.adm.DeleteRecords(r.ctx, o)
	r.ok(err)
	r.ok(rs.Error())
}

// bounds are the offsets that consumers see of partition 0.
func (r *rig) bounds(topic string) (start, end int64) {
	r.Helper()
	s, err := r.adm.ListStartOffsets(r.ctx, topic)
	r.ok(err)
	e, err := r.adm.ListEndOffsets(r.ctx, topic)
	r.ok(err)
	so, _ := s.Lookup(topic, 0)
	eo, _ := e.Lookup(topic, 0)
	r.ok(so.Err)
	r.ok(eo.Err)
	return so.Offset, eo.Offset
}

// read is everything in partition 0, read anew by a client of its own.
func (r *rig) read(topic string) []*kgo.Record {
	r.Helper()
	from, to := r.bounds(topic)
	if from == to {
		return nil
	}
	cl := r.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(from)}}), kgo.FetchMaxWait(100*time.Millisecond))
	defer cl.Close()
	// What is at the end of a compacted log may be a batch without records: a record behind it says that all has come.
	var out []*kgo.Record
	for {
		fs := cl.PollFetches(r.ctx)
		if err := fs.Err0(); err != nil {
			r.Fatalf("%v, read %d records of %s up to %d", err, len(out), topic, to)
		}
		fs.EachRecord(func(rec *kgo.Record) { out = append(out, rec) })
		if len(out) > 0 && out[len(out)-1].Offset >= to-1 {
			return out
		}
	}
}

// keyed is the log as "key=value" by offset, a tombstone as "key".
func keyed(rs []*kgo.Record) map[int64]string {
	m := map[int64]string{}
	for _, r := range rs {
		s := string(r.Key)
		if r.Value != nil {
			s += "=" + string(r.Value)
		}
		m[r.Offset] = s
	}
	return m
}

// soon waits until ok answers true, and fails the test with what it said last.
func (r *rig) soon(what string, ok func() (bool, string)) {
	r.Helper()
	said := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var done bool
		if done, said = ok(); done {
			return
		}
	}
	r.Fatalf("%s: not within %v, last seen: %s", what, patience, said)
}

// wantLog waits until the log of partition 0 is this.
func (r *rig) wantLog(what, topic string, want map[int64]string) {
	r.Helper()
	r.soon(what, func() (bool, string) {
		got := keyed(r.read(topic))
		return maps.Equal(got, want), show(got)
	})
}

func show(m map[int64]string) string {
	out := ""
	for _, o := range slices.Sorted(maps.Keys(m)) {
		out += fmt.Sprintf(" %d:%s", o, m[o])
	}
	return out
}

// wantCode fails the test unless err is Kafka's error.
func (r *rig) wantCode(err error, want *kerr.Error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Fatalf("got %v, want %v", err, want)
	}
}
