package api

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/vfs"
)

const me model.BrokerID = 1

// rig is this room on real logs and a real server, with the metadata made by hand.
type rig struct {
	t      testing.TB
	api    *API
	server *server.Server
	addr   string
	dir    *commitlog.Dir
	image  atomic.Pointer[metadata.Image]

	mu struct {
		sync.Mutex
		parts map[model.TopicIDPartition]*replication.Partition
	}
}

func (r *rig) Get(tp model.TopicIDPartition) *replication.Partition {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.parts[tp]
}

func (r *rig) Dirs() []LogDir { return nil }

func (r *rig) MoveReplica(model.TopicPartition, string) model.ErrorCode { return model.LogDirNotFound }

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t}
	r.mu.parts = map[model.TopicIDPartition]*replication.Partition{}
	dir, err := commitlog.OpenDir(commitlog.Env{FS: vfs.OS(), Clock: clock.Real(), Random: rand.Reader}, commitlog.DirOptions{Path: t.TempDir(), NodeID: me, ClusterID: "rig"})
	if err != nil {
		t.Fatal(err)
	}
	r.dir = dir
	static, _, err := config.Load(config.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.image.Store(metadata.Empty("rig"))
	r.apply(&metadata.RegisterBroker{BrokerID: int32(me), BrokerEpoch: 1, Endpoints: []metadata.RegisterBrokerEndpoint{{Name: "PLAINTEXT", Host: "localhost", Port: 9092}}})
	logger := slog.New(slog.DiscardHandler)
	metrics := &Metrics{}
	ctx, cancel := context.WithCancel(context.Background())
	r.api = New(ctx, Options{
		Me: me, Image: r.image.Load, Partitions: r, Resolver: config.NewResolver(static, me), Clock: clock.Real(), Logger: logger, Metrics: metrics,
		Advertised: func(_ *server.Conn, id model.BrokerID) (string, int32, bool) {
			return "broker", 9000 + int32(id), id <= 2
		},
		ProducerIDs: func(context.Context) (model.ProducerID, error) { return 4711, nil },
		Limits:      Limits{NoAutoCreate: true},
	})
	r.server = server.New(server.Options{Handler: r.api, Clock: clock.Real(), Logger: logger, Observer: metrics})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := r.server.Serve(ln, server.Listener{Name: "PLAINTEXT"}); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		if err := r.server.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
		if err := r.dir.Close(1); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) apply(records ...metadata.Record) {
	r.t.Helper()
	img := r.image.Load()
	next, _, err := img.Apply(img.Offset+1, records)
	if err != nil {
		r.t.Fatal(err)
	}
	r.image.Store(next)
}

// ids tells the lives of topics apart.
func topicID(n byte) model.TopicID { return model.TopicID{0: 0xee, 15: n} }

func testRules() batch.Rules {
	return batch.Rules{MaxBytes: 1 << 20, BeforeMaxMs: 1 << 62, AfterMaxMs: 1 << 62, Codec: batch.ProducerCodec}
}

// topic makes a topic of n partitions, all led here.
func (r *rig) topic(name string, id byte, n int, c replication.Config) []*replication.Partition {
	r.t.Helper()
	records := []metadata.Record{&metadata.TopicRecord{Name: name, TopicID: topicID(id)}}
	for i := range n {
		records = append(records, &metadata.PartitionRecord{TopicID: topicID(id), PartitionID: int32(i), Replicas: []int32{int32(me)}, ISR: []int32{int32(me)}, Leader: int32(me), LeaderEpoch: 3})
	}
	r.apply(records...)
	var parts []*replication.Partition
	for i := range n {
		p := r.replica(name, id, i, c)
		p.BecomeLeader(&r.image.Load().Topic(name).Partitions[i])
		parts = append(parts, p)
	}
	return parts
}

// replica opens a partition's log here; who leads it nobody has said yet.
func (r *rig) replica(name string, id byte, i int, c replication.Config) *replication.Partition {
	r.t.Helper()
	if c.Rules.MaxBytes == 0 {
		c.Rules = testRules()
	}
	tp := model.TopicPartition{Topic: name, Partition: int32(i)}
	var p *replication.Partition
	ready := make(chan struct{})
	log, err := r.dir.Open(commitlog.LogOptions{TP: tp, TopicID: topicID(id), Config: commitlog.DefaultConfig(), OnDurable: func(end model.Offset) {
		<-ready
		p.OnDurable(end)
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	p = replication.New(replication.Options{TP: tp, TopicID: topicID(id), Me: me, Log: log, Clock: clock.Real(), Config: c})
	close(ready)
	r.mu.Lock()
	r.mu.parts[model.TopicIDPartition{ID: topicID(id), Partition: int32(i)}] = p
	r.mu.Unlock()
	return p
}

// conn is a client's connection. It speaks through kmsg, a codec that is not ours.
type conn struct {
	net.Conn
	t    testing.TB
	next int32
}

func (r *rig) dial() *conn {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	return &conn{Conn: nc, t: r.t}
}

func encode(q kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("rig")).AppendRequest(nil, q, correlation)
}

func (c *conn) send(q kmsg.Request) int32 {
	c.t.Helper()
	c.next++
	if _, err := c.Write(encode(q, c.next)); err != nil {
		c.t.Fatal(err)
	}
	return c.next
}

// frame reads one answer: the correlation id, and what follows it.
func (c *conn) frame() (int32, []byte) {
	c.t.Helper()
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	if _, err := io.ReadFull(c, b); err != nil {
		c.t.Fatal(err)
	}
	return int32(binary.BigEndian.Uint32(head[4:])), b
}

// receive reads the answer to q, which must be the one with this correlation id.
func (c *conn) receive(q kmsg.Request, correlation int32) kmsg.Response {
	c.t.Helper()
	got, b := c.frame()
	if got != correlation {
		c.t.Fatalf("answer %d came where %d was due", got, correlation)
	}
	resp := q.ResponseKind()
	resp.SetVersion(q.GetVersion())
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		b = b[1:]
	}
	if err := resp.ReadFrom(b); err != nil {
		c.t.Fatalf("%T v%d: %v", resp, q.GetVersion(), err)
	}
	return resp
}

func ask[R kmsg.Response](c *conn, q kmsg.Request) R {
	c.t.Helper()
	return c.receive(q, c.send(q)).(R)
}

// records is a batch with n records of size bytes.
func records(n, size int) []byte {
	b := batch.NewBuilder(batch.BuildOptions{ProducerID: model.NoProducerID, ProducerEpoch: model.NoProducerEpoch, BaseSequence: -1})
	for range n {
		b.Add(batch.Record{Timestamp: time.Now().UnixMilli(), Value: make([]byte, size)})
	}
	return append([]byte(nil), b.Bytes()...)
}

// produceRequest is for partitions of a topic, all with the same records.
func produceRequest(version, acks int16, topic string, id byte, records []byte, partitions ...int32) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.Acks, q.TimeoutMillis = version, acks, 30_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, topicID(id)
	for _, p := range partitions {
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition, rp.Records = p, records
		t.Partitions = append(t.Partitions, rp)
	}
	q.Topics = append(q.Topics, t)
	return q
}

// fetchRequest is for partition 0 of a topic, without a session.
func fetchRequest(version int16, topic string, id byte, offset int64) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.MaxBytes, q.MinBytes, q.MaxWaitMillis, q.ReplicaID, q.SessionEpoch = version, 1<<20, 1, 0, -1, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, topicID(id)
	t.Partitions = append(t.Partitions, fetchPartition(0, offset))
	q.Topics = append(q.Topics, t)
	return q
}

func fetchPartition(index int32, offset int64) kmsg.FetchRequestTopicPartition {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.CurrentLeaderEpoch, p.PartitionMaxBytes = index, offset, -1, 1<<20
	return p
}
