package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLog is a metadata log that commits when the test says so, or at once.
type fakeLog struct {
	mu      sync.Mutex
	img     *metadata.Image
	held    []heldBatch
	hold    bool
	fail    error
	batches int
	lead    func(int32)
	resign  func()
	arrived chan struct{}
}

type heldBatch struct {
	records []metadata.Record
	done    func(model.Offset, error)
}

func newFakeLog(t *testing.T) *fakeLog {
	img, _, err := metadata.Empty("cluster").Apply(1, metadata.BootstrapRecords())
	if err != nil {
		t.Fatal(err)
	}
	return &fakeLog{img: img, arrived: make(chan struct{}, 1000)}
}

func (l *fakeLog) Append(records []metadata.Record, done func(model.Offset, error)) {
	l.mu.Lock()
	l.batches++
	l.held = append(l.held, heldBatch{records, done})
	hold := l.hold
	l.mu.Unlock()
	l.arrived <- struct{}{}
	if !hold {
		l.release()
	}
}

// release ends everything held: committed, or failed with fail.
func (l *fakeLog) release() {
	l.mu.Lock()
	held, fail := l.held, l.fail
	l.held = nil
	for _, b := range held {
		if fail == nil {
			next, _, err := l.img.Apply(l.img.Offset+1, b.records)
			if err != nil {
				panic(err)
			}
			l.img = next
		}
	}
	at := l.img.Offset
	l.mu.Unlock()
	for _, b := range held {
		b.done(at, fail)
	}
}

func (l *fakeLog) set(hold bool, fail error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold, l.fail = hold, fail
}

func (l *fakeLog) Image() *metadata.Image {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.img
}

func (l *fakeLog) Watch(lead func(int32), resign func()) { l.lead, l.resign = lead, resign }

// Follows finds every member well.
func (l *fakeLog) Follows(model.UUID) (answers, caught bool) { return true, true }

func startController(t *testing.T, l *fakeLog, c clock.Clock, change ...func(*Options)) *Controller {
	t.Helper()
	static, _, err := config.Load(config.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Me: 1, Log: l, Clock: c, Logger: slog.New(slog.DiscardHandler), Random: rand.NewChaCha8([32]byte{2}),
		Resolver: config.NewResolver(static, 1),
	}
	for _, f := range change {
		f(&o)
	}
	ctrl := New(o)
	t.Cleanup(ctrl.Close)
	return ctrl
}

func registration(id model.BrokerID, incarnation byte) Registration {
	r := Registration{ClusterID: "cluster", ID: id, Incarnation: model.UUID{byte(id), incarnation}, PreviousEpoch: -1, Dirs: []model.UUID{{1, byte(id)}}}
	for _, f := range metadata.SupportedFeatures() {
		r.Features = append(r.Features, metadata.FeatureRange{Name: f.Name, Min: f.Min, Max: f.Max})
	}
	return r
}

func mustRegister(t *testing.T, c *Controller, id model.BrokerID) model.BrokerEpoch {
	t.Helper()
	epoch, err := c.RegisterBroker(t.Context(), registration(id, 1))
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

func oneTopic(name string) CreateTopics {
	return CreateTopics{Topics: []CreateTopic{{Name: name, Partitions: 1, ReplicationFactor: 1}}}
}

func TestOperationsBeforeTheFirstElectionWait(t *testing.T) {
	l := newFakeLog(t)
	c := startController(t, l, clock.Real())
	got := make(chan error, 1)
	go func() {
		_, err := c.RegisterBroker(t.Context(), registration(1, 1))
		got <- err
	}()
	l.lead(3)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if a := l.Image().ActiveController(); a.ID != 1 || a.Epoch != 3 {
		t.Fatalf("active controller %+v", a)
	}
}

func TestDecisionsSeeThoseInFlight(t *testing.T) {
	l := newFakeLog(t)
	c := startController(t, l, clock.Real())
	l.lead(1)
	mustRegister(t, c, 1)
	l.set(true, nil)
	drain(l)
	type answer struct {
		code model.ErrorCode
		err  error
	}
	answers := make(chan answer, 2)
	ask := func() {
		r, err := c.CreateTopics(t.Context(), oneTopic("t"))
		if err != nil {
			answers <- answer{err: err}
			return
		}
		answers <- answer{code: r[0].Code}
	}
	go ask()
	<-l.arrived // the first is in flight
	go ask()
	// A third operation proves that the second was decided: it is behind it in the queue.
	go func() { _, _ = c.CreateTopics(t.Context(), oneTopic("u")) }()
	<-l.arrived
	select {
	case a := <-answers:
		t.Fatalf("answered %v before anything was committed", a)
	default:
	}
	l.set(false, nil)
	l.release()
	codes := map[model.ErrorCode]int{}
	for range 2 {
		a := <-answers
		if a.err != nil {
			t.Fatal(a.err)
		}
		codes[a.code]++
	}
	if codes[model.None] != 1 || codes[model.TopicAlreadyExists] != 1 {
		t.Fatalf("answers %v", codes)
	}
}

func drain(l *fakeLog) {
	for {
		select {
		case <-l.arrived:
		default:
			return
		}
	}
}

func TestFailedAppendForgetsWhatItDecided(t *testing.T) {
	l := newFakeLog(t)
	c := startController(t, l, clock.Real())
	l.lead(1)
	mustRegister(t, c, 1)
	l.set(false, errors.New("disk full"))
	// Nor may it tell: clients were answered with the success that did not come, and the failure behind it.
	if r, err := c.CreateTopics(t.Context(), oneTopic("t")); err == nil || !strings.Contains(err.Error(), "disk full") || r != nil {
		t.Fatalf("failed append: %v %v", r, err)
	}
	l.set(false, nil)
	r, err := c.CreateTopics(t.Context(), oneTopic("t"))
	if err != nil || !r[0].OK() {
		t.Fatalf("the topic that failed is still there: %v %v", r, err)
	}
}

func TestResignedControllerRefuses(t *testing.T) {
	l := newFakeLog(t)
	c := startController(t, l, clock.Real())
	l.lead(1)
	mustRegister(t, c, 1)
	l.resign()
	if _, err := c.CreateTopics(t.Context(), oneTopic("t")); !errors.Is(err, model.NotController) {
		t.Fatalf("after resigning: %v", err)
	}
	l.lead(2)
	if r, err := c.CreateTopics(t.Context(), oneTopic("t")); err != nil || !r[0].OK() {
		t.Fatalf("after being elected again: %v %v", r, err)
	}
}

func TestImpatientCallersGetTheirContextsError(t *testing.T) {
	l := newFakeLog(t)
	c := startController(t, l, clock.Real())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.CreateTopics(ctx, oneTopic("t")); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestClosedControllerAnswers(t *testing.T) {
	l := newFakeLog(t)
	c := startController(t, l, clock.Real())
	l.lead(1)
	c.Close()
	if _, err := c.CreateTopics(t.Context(), oneTopic("t")); !errors.Is(err, model.NotController) {
		t.Fatal(err)
	}
}

func TestSilentBrokerIsFencedAndReturns(t *testing.T) {
	l := newFakeLog(t)
	manual := clock.NewManual(time.Unix(1000, 0))
	c := startController(t, l, manual)
	l.lead(1)
	mustRegister(t, c, 1)
	epoch := mustRegister(t, c, 2)
	if _, err := c.RegisterBroker(t.Context(), registration(2, 2)); !errors.Is(err, model.DuplicateBrokerRegistration) {
		t.Fatalf("a second process: %v", err)
	}
	if again, err := c.RegisterBroker(t.Context(), registration(2, 1)); err != nil || again != epoch {
		t.Fatalf("the same process again: %d, %v", again, err)
	}
	manual.Advance(8 * time.Second)
	if _, err := c.Heartbeat(t.Context(), Heartbeat{ID: 2, Epoch: epoch, Offset: l.Image().Offset}); err != nil {
		t.Fatal(err)
	}
	manual.Advance(8 * time.Second)
	settle(t, c)
	if l.Image().Broker(2).Fenced {
		t.Fatal("fenced although it sent a heartbeat")
	}
	manual.Advance(2 * time.Second)
	settle(t, c)
	if !l.Image().Broker(2).Fenced || l.Image().Broker(1).Fenced {
		t.Fatal("the silent broker is not fenced, or the controller's own is")
	}
	if _, err := c.Heartbeat(t.Context(), Heartbeat{ID: 2, Epoch: epoch - 1}); !errors.Is(err, model.StaleBrokerEpoch) {
		t.Fatalf("heartbeat of an old epoch: %v", err)
	}
	r, err := c.Heartbeat(t.Context(), Heartbeat{ID: 2, Epoch: epoch, Offset: l.Image().Offset})
	if err != nil || r.Fenced || l.Image().Broker(2).Fenced {
		t.Fatalf("not let in again: %+v, %v", r, err)
	}
}

// settle waits until the loop has done everything that was asked before.
func settle(t *testing.T, c *Controller) {
	t.Helper()
	for range 2 { // a timer's work may queue a decision
		if _, err := c.UnregisterBroker(t.Context(), 99); err != nil {
			t.Fatal(err)
		}
	}
}

func TestP3ProducerIDsAreNeverGivenTwice(t *testing.T) {
	l := newFakeLog(t)
	c := startController(t, l, clock.Real())
	l.lead(1)
	epoch := mustRegister(t, c, 1)
	seen := map[model.ProducerID]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 4 { // four processes of the broker's life, each leaving a block half used
		ids := NewProducerIDs(func(ctx context.Context) (ProducerIDBlock, error) { return c.AllocateProducerIDs(ctx, 1, epoch) })
		for range 3 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range 700 {
					id, err := ids.Next(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if seen[id] {
						t.Errorf("producer id %d given twice", id)
					}
					seen[id] = true
					mu.Unlock()
				}
			}()
		}
	}
	wg.Wait()
	if next := l.Image().NextProducerID(); next != 12*producerIDBlock {
		t.Errorf("next producer id %d", next)
	}
	if _, err := c.AllocateProducerIDs(t.Context(), 1, epoch+1); !errors.Is(err, model.StaleBrokerEpoch) {
		t.Errorf("another epoch: %v", err)
	}
}

// TestRandomHistoriesKeepThePartitionInvariants lets brokers come and go, crash and be reassigned to at random. Replay checks the invariants of
// every partition; beyond them, a partition that had a member of ISR or ELR alive must have a leader.
func TestRandomHistoriesKeepThePartitionInvariants(t *testing.T) {
	for range 200 {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 4))
		s := newScript(t)
		var out strings.Builder
		run := func(format string, args ...any) {
			line := fmt.Sprintf(format, args...)
			fmt.Fprintf(&out, "> %s\n", line)
			s.command(&out, line)
		}
		run("cluster brokers=1,2,3,4 racks=a,a,b,")
		run("create t partitions=3 rf=3")
		run("set topic t min.insync.replicas:%d", 1+rng.IntN(3))
		for range 60 {
			id := 1 + rng.IntN(4)
			b := s.img.Broker(model.BrokerID(id))
			p := rng.IntN(3)
			part := &s.img.Topic("t").Partitions[p]
			switch rng.IntN(8) {
			case 0, 1:
				if !b.Fenced {
					run("crash %d", id)
				}
			case 2, 3:
				if b.Fenced {
					run("register %d fenced %s", id, []string{"", "unclean"}[rng.IntN(2)])
					run("heartbeat %d", id)
				}
			case 4:
				run("heartbeat %d shutdown", id)
			case 5: // a replica that lives has caught up
				if part.Leader == model.NoBroker || b.Fenced || !strings.Contains(fmt.Sprint(part.Replicas), fmt.Sprint(id)) {
					continue
				}
				isr := union(part.ISR, []model.BrokerID{model.BrokerID(id)})
				run("state t-%d isr=%s elr=none", p, list(isr))
			case 6:
				ids := []int{1, 2, 3, 4}
				rng.Shuffle(4, func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				run("reassign t-%d %s", p, strings.Trim(strings.ReplaceAll(fmt.Sprint(ids[:1+rng.IntN(3)]), " ", ","), "[]"))
			case 7:
				run("elect %s t-%d", []string{"preferred", "unclean"}[rng.IntN(2)], p)
			}
			e := s.electorate()
			for i := range s.img.Topic("t").Partitions {
				p := &s.img.Topic("t").Partitions[i]
				if _, ok := e.first(p.Replicas, union(p.ISR, p.ELR)); ok && p.Leader == model.NoBroker {
					run("describe t")
					t.Fatalf("seed %d: t-%d has a candidate and no leader\n%s", seed, i, out.String())
				}
			}
		}
	}
}

// TestOperationsBeforeAnothersElectionAreRefused: they wait for a first election, and it was somebody else's.
func TestOperationsBeforeAnothersElectionAreRefused(t *testing.T) {
	l := newFakeLog(t)
	c := startController(t, l, clock.Real())
	got := make(chan error, 1)
	go func() {
		_, err := c.RegisterBroker(t.Context(), registration(1, 1))
		got <- err
	}()
	l.resign()
	if err := <-got; !errors.Is(err, model.NotController) {
		t.Errorf("%v", err)
	}
}
