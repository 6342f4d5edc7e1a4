package group

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPartitionFor holds to what Java computed: abs(hashCode) modulo the partitions.
func TestPartitionFor(t *testing.T) {
	for group, want := range map[string]int32{
		"": 0, "g1": 42, "g2": 43, "console-consumer-123": 47, "a.b-c_d": 20,
		"my-group":           12, // a negative hash
		"polygenelubricants": 0,  // the smallest int, which has no absolute value
		"grüße":              23, // not ASCII
		"\U0001F600":         49, // two UTF-16 units
	} {
		if got := PartitionFor(group, 50); got != want {
			t.Errorf("%q goes to %d, want %d", group, got, want)
		}
	}
}

type house struct {
	*Service
	t     testing.TB
	clock *clock.Manual
	logs  map[int32]*memLog
	cfg   Config
}

// newHouse is a service that coordinates all of n partitions.
func newHouse(t testing.TB, n int32) *house {
	h := &house{t: t, clock: clock.NewManual(time.Unix(1000, 0)), logs: map[int32]*memLog{}, cfg: DefaultConfig()}
	h.Service = New(Options{
		Clock: h.clock, Logger: slog.New(slog.DiscardHandler), Config: func() Config { return h.cfg }, Partitions: func() int32 { return n }, Rand: new(counter),
	})
	for p := range n {
		h.logs[p] = &memLog{}
		h.Elected(p, 1, h.logs[p])
	}
	t.Cleanup(h.Close)
	return h
}

func (h *house) commit(group string, offset int64) model.ErrorCode {
	q := commitOf(map[string]string{"group": group}, []string{fmt.Sprintf("t-0=%d", offset)})
	return h.CommitOffsets(context.Background(), 9, q).Topics[0].Partitions[0].ErrorCode
}

func (h *house) fetch(group string) (int64, model.ErrorCode) {
	g := h.FetchOffsets(context.Background(), fetchOf(map[string]string{"group": group}, []string{"t-0"}))
	if g.ErrorCode != model.None {
		return 0, g.ErrorCode
	}
	return g.Topics[0].Partitions[0].CommittedOffset, model.None
}

func (h *house) wantOffset(group string, want int64, code model.ErrorCode) {
	h.t.Helper()
	if got, c := h.fetch(group); got != want || c != code {
		h.t.Fatalf("offset of %s is %d, %v; want %d, %v", group, got, c, want, code)
	}
}

func TestGroupsMoveBetweenShards(t *testing.T) {
	h := newHouse(t, 4)
	groups := []string{"a", "b", "c", "d", "e", "f"}
	for i, g := range groups {
		if code := h.commit(g, int64(i)); code != model.None {
			t.Fatal(code)
		}
	}
	list := h.List(context.Background(), &wire.ListGroupsRequest{})
	if len(list.Groups) != len(groups) || list.Groups[0].GroupID != "a" || list.Groups[5].GroupID != "f" {
		t.Fatalf("list is %+v", list.Groups)
	}
	p := PartitionFor("a", 4)
	h.Resigned(p, 0) // of an older epoch: nothing happens
	h.wantOffset("a", 0, model.None)
	h.Resigned(p, 1)
	h.wantOffset("a", 0, model.NotCoordinator)
	if code := h.commit("a", 9); code != model.NotCoordinator {
		t.Fatal(code)
	}
	h.Elected(p, 1, h.logs[p]) // too late, it was resigned
	h.wantOffset("a", 0, model.NotCoordinator)
	h.Elected(p, 2, h.logs[p])
	h.wantOffset("a", 0, model.None)
	if code := h.commit("a", 9); code != model.None {
		t.Fatal(code)
	}
	h.wantOffset("a", 9, model.None)
}

// TestDeletedTopicStartsOver: the topic of groups itself can be deleted and made again, with leader epochs from the beginning.
func TestDeletedTopicStartsOver(t *testing.T) {
	h := newHouse(t, 1)
	if code := h.commit("a", 1); code != model.None {
		t.Fatal(code)
	}
	h.Deleted(0)
	h.wantOffset("a", 0, model.NotCoordinator)
	h.Elected(0, 0, &memLog{})
	h.wantOffset("a", -1, model.None)
}

func TestRequestsWaitForALoad(t *testing.T) {
	h := newHouse(t, 1)
	if code := h.commit("a", 7); code != model.None {
		t.Fatal(code)
	}
	log := h.logs[0]
	log.gate = make(chan struct{})
	h.Elected(0, 2, log)
	if got := h.Heartbeat(context.Background(), late(h, &wire.HeartbeatRequest{GroupID: "a", MemberID: "m"})); got != model.None {
		t.Fatalf("a heartbeat during the load: %v", got)
	}
	late(h, 0)
	h.wantOffset("a", 0, model.CoordinatorLoadInProgress)
	late(h, 0)
	if l := h.List(context.Background(), &wire.ListGroupsRequest{}); l.ErrorCode != model.CoordinatorLoadInProgress {
		t.Fatal(l.ErrorCode)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.wantOffset("a", 7, model.None)
	}()
	close(log.gate)
	<-done
}

// late lets the time that a request waits for a load pass as soon as the request has begun to wait.
func late[T any](h *house, v T) T {
	before, waiting := h.clock.Next()
	go func() {
		for {
			if at, ok := h.clock.Next(); ok && (!waiting || at.Before(before)) {
				h.clock.Advance(h.cfg.LoadWait)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return v
}

// TestNoTopicYet: a node that has not heard of the topic of groups waits a little for it, for whoever sent the client here has.
func TestNoTopicYet(t *testing.T) {
	h := &house{t: t, clock: clock.NewManual(time.Unix(0, 0)), cfg: DefaultConfig()}
	var partitions atomic.Int32
	h.Service = New(Options{Clock: h.clock, Logger: slog.New(slog.DiscardHandler), Config: DefaultConfig, Partitions: partitions.Load, Rand: new(counter)})
	s := h.Service
	defer s.Close()
	late(h, 0)
	if code := s.Ready(context.Background(), "g"); code != model.CoordinatorNotAvailable {
		t.Fatal(code)
	}
	// One request may name thousands of groups: they do not wait one after the other.
	for range 10_000 {
		if code := s.Ready(context.Background(), "another"); code != model.CoordinatorNotAvailable {
			t.Fatal(code)
		}
	}
	h.clock.Advance(h.cfg.LoadWait)
	answer := make(chan model.ErrorCode)
	go func() { answer <- s.Ready(context.Background(), "g") }()
	partitions.Store(1)
	s.Elected(0, 0, &memLog{})
	if code := <-answer; code != model.None {
		t.Fatal(code)
	}
	s.Resigned(0, 1)
	if code := s.Ready(context.Background(), "g"); code != model.NotCoordinator {
		t.Fatal(code)
	}
	partitions.Store(0)
	if l := s.List(context.Background(), &wire.ListGroupsRequest{}); l.ErrorCode != model.None || len(l.Groups) != 0 {
		t.Fatalf("%+v", l)
	}
}

// TestCommitTimeout: a commit that the topic does not take in time sends its client to look for the coordinator again (offsets.commit.timeout.ms). It
// may be taken all the same.
func TestCommitTimeout(t *testing.T) {
	h := newHouse(t, 1)
	h.logs[0].slow = true
	go func() {
		for !h.logs[0].pending() {
			runtime.Gosched()
		}
		h.clock.Advance(h.cfg.CommitTimeout)
	}()
	if code := h.commit("a", 7); code != model.CoordinatorNotAvailable {
		t.Fatal(code)
	}
	h.logs[0].commit()
	h.wantOffset("a", 7, model.None)
}

func TestGroupIDs(t *testing.T) {
	h := newHouse(t, 1)
	ctx := context.Background()
	if r := h.Join(ctx, Client{}, 9, &wire.JoinGroupRequest{}); r.ErrorCode != model.InvalidGroupID {
		t.Error(r.ErrorCode)
	}
	if r := h.Sync(ctx, &wire.SyncGroupRequest{}); r.ErrorCode != model.InvalidGroupID {
		t.Error(r.ErrorCode)
	}
	if code := h.Heartbeat(ctx, &wire.HeartbeatRequest{}); code != model.InvalidGroupID {
		t.Error(code)
	}
	if r := h.Leave(ctx, 3, &wire.LeaveGroupRequest{}); r.ErrorCode != model.InvalidGroupID {
		t.Error(r.ErrorCode)
	}
	// Offsets without a group name are as old as groups themselves, and allowed.
	if code := h.commit("", 3); code != model.None {
		t.Error(code)
	}
	h.wantOffset("", 3, model.None)
}

// TestCloseAnswersEverybody: nobody waits for ever for a rebalance of a coordinator that is gone.
func TestCloseAnswersEverybody(t *testing.T) {
	h := newHouse(t, 1)
	q, version := joinOf(map[string]string{"group": "g", "version": "3"})
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if r := h.Join(context.Background(), Client{ID: "c"}, version, q); r.ErrorCode != model.NotCoordinator {
				t.Errorf("join: %v", r.ErrorCode)
			}
		})
	}
	for len(h.Describe(context.Background(), "g").Members) < 5 {
		time.Sleep(time.Millisecond)
	}
	h.Close()
	wg.Wait()
	h.Close()
}

func TestContextEndsAWait(t *testing.T) {
	h := newHouse(t, 1)
	q, version := joinOf(map[string]string{"group": "g", "version": "3"})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for len(h.Describe(context.Background(), "g").Members) < 1 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if r := h.Join(ctx, Client{ID: "c"}, version, q); r.ErrorCode != model.CoordinatorNotAvailable {
		t.Fatal(r.ErrorCode)
	}
}

// TestRebalanceThroughTheService runs two members through a rebalance with blocking calls, as the api room does.
func TestRebalanceThroughTheService(t *testing.T) {
	h := newHouse(t, 3)
	ctx := context.Background()
	q, version := joinOf(map[string]string{"group": "g", "version": "3"})
	joined := make(chan *wire.JoinGroupResponse, 2)
	for range 2 {
		go func() { joined <- h.Join(ctx, Client{ID: "c"}, version, q) }()
	}
	for len(h.Describe(ctx, "g").Members) < 2 {
		time.Sleep(time.Millisecond)
	}
	var first, second *wire.JoinGroupResponse
	for first == nil || second == nil {
		h.clock.Advance(time.Second)
		select {
		case r := <-joined:
			if first == nil {
				first = r
			} else {
				second = r
			}
		case <-time.After(time.Millisecond):
		}
	}
	leader, follower := first, second
	if len(leader.Members) == 0 {
		leader, follower = second, first
	}
	if leader.ErrorCode != model.None || len(leader.Members) != 2 || follower.GenerationID != leader.GenerationID {
		t.Fatalf("leader %+v follower %+v", leader, follower)
	}
	shared := make(chan *wire.SyncGroupResponse, 1)
	go func() {
		shared <- h.Sync(ctx, &wire.SyncGroupRequest{GroupID: "g", GenerationID: 1, MemberID: follower.MemberID})
	}()
	r := h.Sync(ctx, &wire.SyncGroupRequest{GroupID: "g", GenerationID: 1, MemberID: leader.MemberID, Assignments: []wire.SyncGroupRequestAssignment{
		{MemberID: leader.MemberID, Assignment: []byte("L")}, {MemberID: follower.MemberID, Assignment: []byte("F")},
	}})
	if string(r.Assignment) != "L" {
		t.Fatalf("leader: %+v", r)
	}
	if r := <-shared; string(r.Assignment) != "F" {
		t.Fatalf("follower: %+v", r)
	}
	old := h.Leave(ctx, 1, &wire.LeaveGroupRequest{GroupID: "g", MemberID: follower.MemberID})
	if old.ErrorCode != model.None || len(old.Members) != 0 {
		t.Fatalf("leave v1: %+v", old)
	}
	if res := h.Delete(ctx, []string{"g", "none"}); res[0].ErrorCode != model.NonEmptyGroup || res[1].ErrorCode != model.GroupIDNotFound {
		t.Fatalf("%+v", res)
	}
}

// TestOffsetsUnderLeaderChanges (G1): many clients commit and read while the log commits late, refuses appends, and loses its uncommitted
// tail to new leaders. What was acknowledged stays, and what was read once was committed: each client's view only grows.
func TestOffsetsUnderLeaderChanges(t *testing.T) {
	h := newHouse(t, 1)
	h.Resigned(0, 2)
	log := &memLog{slow: true}
	h.Elected(0, 3, log)
	stop := make(chan struct{})
	var clients, chaos sync.WaitGroup
	var acked atomic.Int64
	running := func() bool {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	// grows reads the group and complains when it has gone back.
	grows := func(group string, seen int64) int64 {
		got, code := h.fetch(group)
		if code == model.None && got < seen {
			t.Errorf("%s is at %d after %d", group, got, seen)
		}
		return max(got, seen)
	}
	for i := range 8 {
		group := fmt.Sprint("g", i)
		clients.Go(func() {
			seen := int64(-1)
			for next := int64(0); running(); next++ {
				if h.commit(group, next) == model.None {
					acked.Add(1)
					seen = next
				}
				seen = grows(group, seen)
			}
		})
		clients.Go(func() {
			for seen := int64(-1); running(); {
				seen = grows(group, seen)
			}
		})
	}
	chaos.Go(func() {
		rng := rand.New(rand.NewPCG(7, 7))
		for epoch := model.LeaderEpoch(4); epoch < 60; {
			for range rng.IntN(20) {
				log.commit()
				time.Sleep(50 * time.Microsecond)
				h.clock.Advance(10 * time.Millisecond) // of shards that wait for the high watermark
			}
			log.mu.Lock()
			log.mu.refuse = nil
			if rng.IntN(3) == 0 {
				log.mu.refuse = model.KafkaStorageError
			}
			log.mu.Unlock()
			if rng.IntN(3) == 0 {
				log.truncate(epoch + 1)
				h.Resigned(0, epoch)
				h.Elected(0, epoch+1, log)
				epoch += 2
			}
		}
		close(stop)
		done := h.idle(&clients)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				log.commit()
				h.clock.Advance(10 * time.Millisecond)
			}
		}
	})
	chaos.Wait()
	if acked.Load() < 100 {
		t.Errorf("only %d commits were acknowledged: the test tests nothing", acked.Load())
	}
}

// idle is closed when wg is done.
func (h *house) idle(wg *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	return done
}

func BenchmarkCommitOffsets(b *testing.B) {
	for _, parts := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("partitions=%d", parts), func(b *testing.B) {
			h := newHouse(b, 1)
			var tps []string
			for p := range parts {
				tps = append(tps, fmt.Sprintf("topic-%d=12345@3", p))
			}
			q := commitOf(map[string]string{"group": "a-group-of-ordinary-length"}, tps)
			b.ReportAllocs()
			for b.Loop() {
				h.CommitOffsets(context.Background(), 9, q)
				h.logs[0].mu.batches = h.logs[0].mu.batches[:0]
			}
		})
	}
}

func BenchmarkCommitOffsetsParallel(b *testing.B) {
	h := newHouse(b, 1)
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		q := commitOf(map[string]string{"group": "a-group-of-ordinary-length"}, []string{"topic-0=12345@3"})
		for pb.Next() {
			h.CommitOffsets(context.Background(), 9, q)
		}
	})
	b.ReportMetric(float64(b.N)/float64(len(h.logs[0].mu.batches)), "commits/batch")
}

func BenchmarkHeartbeat(b *testing.B) {
	h := newHouse(b, 1)
	q := &wire.HeartbeatRequest{GroupID: "g", MemberID: "nobody"}
	b.ReportAllocs()
	for b.Loop() {
		h.Heartbeat(context.Background(), q)
	}
}
