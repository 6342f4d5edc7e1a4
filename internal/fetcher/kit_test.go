package fetcher

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/client"
	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/vfs"
	"github.com/klamm/klamm/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a cluster without a controller: the test says who leads, and ISR changes are granted at once.
type stage struct {
	t       testing.TB
	brokers map[model.BrokerID]*broker
	seg     int // segment.bytes
	backOff time.Duration

	mu struct {
		sync.Mutex
		img   *metadata.Image
		state map[int32]metadata.Partition
		cut   map[[2]model.BrokerID]bool // from, to
		asked []*wire.FetchRequest       // by anyone
		// report is called with every report, under the lock: it may change one, or lose it by an error.
		report func(*wire.FetchRequest) error
	}
}

// broker is a node with a disk in memory, a node port on the loopback and a fetcher.
type broker struct {
	s       *stage
	id      model.BrokerID
	fs      *vfs.Faulty
	dir     *commitlog.Dir
	fetcher *Fetcher
	peers   *client.Client
	reports *client.Client // an answer that waits must not stand before theirs
	server  *server.Server
	addr    string
	epoch   atomic.Int64
	api     *api.API

	mu struct {
		sync.Mutex
		parts map[model.TopicIDPartition]*replication.Partition
		logs  map[model.TopicIDPartition]*commitlog.Log
	}
}

func topicID() model.TopicID { return model.TopicID{1, 2, 3} }

func idOf(p int32) model.TopicIDPartition {
	return model.TopicIDPartition{ID: topicID(), Partition: p}
}

func newStage(t testing.TB, brokers int, maxWait time.Duration) *stage {
	return newSlowStage(t, brokers, maxWait, 100*time.Millisecond)
}

// newSlowStage has another back-off. No fetch waits for longer than that.
func newSlowStage(t testing.TB, brokers int, maxWait, backOff time.Duration) *stage {
	s := &stage{t: t, brokers: map[model.BrokerID]*broker{}, seg: 1 << 20, backOff: backOff}
	s.mu.state, s.mu.cut = map[int32]metadata.Partition{}, map[[2]model.BrokerID]bool{}
	img, _, err := metadata.Empty("stage").Apply(1, []metadata.Record{&metadata.TopicRecord{Name: "t", TopicID: topicID()}})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.img = img
	for id := model.BrokerID(1); id <= model.BrokerID(brokers); id++ {
		s.brokers[id] = s.newBroker(id, maxWait)
	}
	return s
}

func (s *stage) image() *metadata.Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.img
}

func testLogger() *slog.Logger {
	if os.Getenv("KLAMM_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

func (s *stage) newBroker(id model.BrokerID, maxWait time.Duration) *broker {
	s.t.Helper()
	b := &broker{s: s, id: id, fs: vfs.NewFaulty(vfs.NewMem(uint64(id)))}
	b.mu.parts, b.mu.logs = map[model.TopicIDPartition]*replication.Partition{}, map[model.TopicIDPartition]*commitlog.Log{}
	b.epoch.Store(int64(id) * 100)
	var err error
	if b.dir, err = commitlog.OpenDir(commitlog.Env{FS: b.fs, Clock: clock.Real(), Random: rand.Reader}, commitlog.DirOptions{Path: "data", NodeID: id, ClusterID: "stage"}); err != nil {
		s.t.Fatal(err)
	}
	static, _, err := config.Load(config.LoadOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.api = api.NewNodePort(ctx, api.Options{Me: id, Image: s.image, Partitions: b, Resolver: config.NewResolver(static, id), Clock: clock.Real(), Logger: testLogger()})
	b.server = server.New(server.Options{Handler: b.api, Clock: clock.Real(), Logger: testLogger()})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	b.addr = ln.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := b.server.Serve(ln, server.Listener{Name: "NODE"}); err != nil {
			s.t.Error(err)
		}
	})
	o := client.Options{Dial: (&net.Dialer{}).DialContext, Clock: clock.Real(), ID: fmt.Sprint(id)}
	b.peers, b.reports = client.New(o), client.New(o)
	b.fetcher = New(Options{
		Me: id, Epoch: func() model.BrokerEpoch { return model.BrokerEpoch(b.epoch.Load()) }, Call: b.call, Report: b.call, Clock: clock.Real(), Logger: testLogger(),
		MaxWait: maxWait, BackOff: s.backOff,
	})
	s.t.Cleanup(func() {
		b.fetcher.Close()
		b.peers.Close()
		b.reports.Close()
		cancel()
		_ = b.server.Close()
		serving.Wait()
		_ = b.dir.Close(-1)
	})
	return b
}

var errCut = errors.New("the wire is cut")

// call is the way to another broker. It notes what is asked, and holds it against the rule that matters most: a follower claims what it has
// synced, never more.
func (b *broker) call(ctx context.Context, to model.BrokerID, req wire.Request, version int16, resp wire.Response) error {
	q, ok := req.(*wire.FetchRequest)
	if !ok {
		b.s.t.Errorf("broker %d asks for %v", b.id, req.APIKey())
	}
	for i := range q.Topics {
		for j := range q.Topics[i].Partitions {
			p := &q.Topics[i].Partitions[j]
			if log := b.log(p.Partition); p.SyncedOffset < 0 || model.Offset(p.SyncedOffset) > log.DurableEnd() {
				b.s.t.Errorf("broker %d claims %d and has synced up to %d", b.id, p.SyncedOffset, log.DurableEnd())
			}
		}
	}
	b.s.mu.Lock()
	b.s.mu.asked = append(b.s.mu.asked, q)
	var err error
	if b.s.mu.cut[[2]model.BrokerID{b.id, to}] {
		err = errCut
	} else if b.s.mu.report != nil && isReport(q) {
		err = b.s.mu.report(q)
	}
	b.s.mu.Unlock()
	if err != nil {
		return err
	}
	peers := b.peers
	if isReport(q) {
		peers = b.reports
	}
	err = peers.Peer(b.s.brokers[to].addr).Call(ctx, req, version, resp)
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if b.s.mu.cut[[2]model.BrokerID{b.id, to}] {
		return errCut // meanwhile
	}
	return err
}

// isReport tells reports from fetches.
func isReport(q *wire.FetchRequest) bool { return q.SessionEpoch == -1 }

func (s *stage) onReport(f func(*wire.FetchRequest) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.report = f
}

// cutOff breaks, or mends, the wire from one broker to another.
func (s *stage) cutOff(from, to model.BrokerID, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.cut[[2]model.BrokerID{from, to}] = cut
}

// Get implements api.Partitions.
func (b *broker) Get(tp model.TopicIDPartition) *replication.Partition {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.parts[tp]
}

// Dirs implements api.Partitions.
func (b *broker) Dirs() []api.LogDir { return nil }

func (b *broker) MoveReplica(model.TopicPartition, string) model.ErrorCode {
	return model.LogDirNotFound
}

func (b *broker) log(p int32) *commitlog.Log {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.logs[idOf(p)]
}

func (b *broker) part(p int32) *replication.Partition { return b.Get(idOf(p)) }

// open makes the broker's replica if there is none.
func (b *broker) open(index int32) *replication.Partition {
	b.s.t.Helper()
	if p := b.part(index); p != nil {
		return p
	}
	tp := model.TopicPartition{Topic: "t", Partition: index}
	cfg := commitlog.DefaultConfig()
	cfg.Segment.Bytes = b.s.seg
	var part atomic.Pointer[replication.Partition]
	log, err := b.dir.Open(commitlog.LogOptions{TP: tp, TopicID: topicID(), Config: cfg, OnDurable: func(end model.Offset) {
		if p := part.Load(); p != nil {
			p.OnDurable(end)
		}
	}})
	if err != nil {
		b.s.t.Fatal(err)
	}
	p := replication.New(replication.Options{
		TP: tp, TopicID: topicID(), Me: b.id, Log: log, Clock: clock.Real(), ISR: b.s,
		Config: replication.Config{Rules: batch.Rules{MaxBytes: 1 << 20, BeforeMaxMs: 1 << 62, AfterMaxMs: 1 << 62, Codec: batch.ProducerCodec}, MinISR: 1},
	})
	part.Store(p)
	b.mu.Lock()
	b.mu.parts[idOf(index)], b.mu.logs[idOf(index)] = p, log
	b.mu.Unlock()
	return p
}

// elect makes a broker the leader in a new epoch, and tells those given (everybody, without any).
func (s *stage) elect(index int32, leader model.BrokerID, isr []model.BrokerID, tell ...model.BrokerID) {
	s.t.Helper()
	s.mu.Lock()
	m, known := s.mu.state[index]
	if !known {
		m.LeaderEpoch, m.PartitionEpoch = -1, -1
		for id := range s.brokers {
			m.Replicas = append(m.Replicas, id)
		}
		slices.Sort(m.Replicas)
		img, _, err := s.mu.img.Apply(s.mu.img.Offset+1, []metadata.Record{&metadata.PartitionRecord{
			TopicID: topicID(), PartitionID: index, Replicas: metadata.IDs(m.Replicas), ISR: metadata.IDs(m.Replicas), Leader: int32(leader)}})
		if err != nil {
			s.t.Fatal(err)
		}
		s.mu.img = img
	}
	m.Leader, m.ISR = leader, isr
	m.LeaderEpoch++
	m.PartitionEpoch++
	s.mu.state[index] = m
	s.mu.Unlock()
	if len(tell) == 0 {
		tell = m.Replicas
	}
	s.tell(index, tell...)
}

// tell brings brokers the newest state of a partition.
func (s *stage) tell(index int32, ids ...model.BrokerID) {
	s.t.Helper()
	s.mu.Lock()
	m := s.mu.state[index]
	s.mu.Unlock()
	for _, id := range ids {
		b := s.brokers[id]
		p := b.open(index)
		if m.Leader == id {
			b.fetcher.Forget(idOf(index))
			p.BecomeLeader(&m)
		} else {
			p.BecomeFollower(&m)
			b.fetcher.Follow(p, m.Leader)
		}
	}
}

// ProposeISR implements replication.ISRProposer: every proposal of the leader is granted, by a goroutine that stands for the controller.
func (s *stage) ProposeISR(tp model.TopicIDPartition, c replication.ISRChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mu.state[tp.Partition]
	if c.LeaderEpoch != m.LeaderEpoch || c.PartitionEpoch != m.PartitionEpoch {
		return
	}
	m.ISR = nil
	for _, i := range c.ISR {
		m.ISR = append(m.ISR, i.ID)
	}
	m.PartitionEpoch++
	s.mu.state[tp.Partition] = m
	leader := s.brokers[m.Leader].part(tp.Partition)
	go leader.BecomeLeader(&m)
}

// value makes a batch of one record.
func value(v string) []byte {
	b := batch.NewBuilder(batch.BuildOptions{ProducerID: model.NoProducerID, ProducerEpoch: model.NoProducerEpoch, BaseSequence: -1})
	b.Add(batch.Record{Timestamp: 1, Value: []byte(v)})
	return bytes.Clone(b.Bytes())
}

// append writes n records to whom the test takes for the leader.
func (s *stage) append(index int32, to model.BrokerID, n int, what string) {
	s.t.Helper()
	for i := range n {
		_, err := s.brokers[to].part(index).Append(&replication.Append{
			Records: value(fmt.Sprint(what, i)), ProduceVersion: 9, Acks: 1, LeaderEpoch: model.NoLeaderEpoch,
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// acknowledged appends with acks=all and waits.
func (s *stage) acknowledged(index int32, to model.BrokerID, what string) time.Duration {
	s.t.Helper()
	begin := time.Now()
	s.promised(index, to, what)()
	return time.Since(begin)
}

// promised appends with acks=all and returns how to wait.
func (s *stage) promised(index int32, to model.BrokerID, what string) (wait func()) {
	s.t.Helper()
	done := make(chan error, 1)
	res, err := s.brokers[to].part(index).Append(&replication.Append{
		Records: value(what), ProduceVersion: 9, Acks: replication.AcksAll, LeaderEpoch: model.NoLeaderEpoch, Waiter: waiter(func(err error) { done <- err }),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.t.Helper()
		if !res.Wait {
			return
		}
		select {
		case err := <-done:
			if err != nil {
				s.t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			s.t.Fatalf("%q is not acknowledged", what)
		}
	}
}

// committed waits until a leader's high watermark is behind a number of records: what it has appended counts once it is synced.
func (s *stage) committed(index int32, leader model.BrokerID, end model.Offset) {
	s.t.Helper()
	eventually(s.t, "committed", func() bool { return s.brokers[leader].part(index).HighWatermark() >= end })
}

type waiter func(error)

func (w waiter) Wake(_ int, err error) { w(err) }

// eventually waits for something that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// alike waits until all brokers have the same log, byte for byte, and the same high watermark.
func (s *stage) alike(index int32) {
	s.t.Helper()
	s.mu.Lock()
	leader := s.mu.state[index].Leader
	s.mu.Unlock()
	want := s.content(index, leader)
	end := s.brokers[leader].log(index).End()
	for id, b := range s.brokers {
		eventually(s.t, fmt.Sprintf("broker %d has what the leader has (%d; it has %d)", id, end, b.log(index).End()), func() bool {
			return b.log(index).End() == end && b.part(index).HighWatermark() == end
		})
		if got := s.content(index, id); !bytes.Equal(got, want) {
			s.t.Fatalf("the log of broker %d differs from that of the leader %d", id, leader)
		}
	}
}

func (s *stage) content(index int32, id model.BrokerID) (out []byte) {
	s.t.Helper()
	log := s.brokers[id].log(index)
	for at := log.Start(); at < log.End(); {
		slice, err := log.Read(at, commitlog.ReadOptions{MaxBytes: 1 << 20, End: log.End(), MinOne: true})
		if err != nil {
			s.t.Fatal(err)
		}
		b, err := slice.Bytes(nil)
		slice.Release()
		if err != nil {
			s.t.Fatal(err)
		}
		one, h, _, err := batch.Next(b)
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, one...)
		at = h.NextOffset()
	}
	return out
}

// appendBatch writes one batch of n records to broker 1.
func appendBatch(t *testing.T, s *stage, n int) {
	t.Helper()
	b := batch.NewBuilder(batch.BuildOptions{ProducerID: model.NoProducerID, ProducerEpoch: model.NoProducerEpoch, BaseSequence: -1})
	for i := range n {
		b.Add(batch.Record{Timestamp: 1, Value: []byte{byte(i)}})
	}
	if _, err := s.brokers[1].part(0).Append(&replication.Append{Records: bytes.Clone(b.Bytes()), ProduceVersion: 9, Acks: 1, LeaderEpoch: model.NoLeaderEpoch}); err != nil {
		t.Fatal(err)
	}
}
