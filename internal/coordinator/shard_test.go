package coordinator

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tally is a machine that keeps numbers under names.
type tally struct {
	values map[string]int
	loaded bool
	alarm  time.Time
	rang   int
	waits  []chan error // parked, not tied to a record
}

func (m *tally) Replay(key, value []byte) error {
	if value == nil {
		delete(m.values, string(key))
		return nil
	}
	n, err := strconv.Atoi(string(value))
	if err != nil {
		return err
	}
	m.values[string(key)] = n
	return nil
}

func (m *tally) Loaded(time.Time)        { m.loaded = true }
func (m *tally) Next() (time.Time, bool) { return m.alarm, !m.alarm.IsZero() }
func (m *tally) Tick(time.Time) Step     { m.alarm = time.Time{}; m.rang++; return Step{} }
func (m *tally) Abandon(err error) {
	for _, w := range m.waits {
		w <- err
	}
}

// answer is a reply on a channel.
type answer struct{ to chan error }

func (a answer) Deliver(err error) { a.to <- err }

// ask is an event made of a function.
type ask struct {
	step  func(m *tally, now time.Time) Step
	alone bool
	done  chan error
}

func (a *ask) Step(m *tally, now time.Time) Step { return a.step(m, now) }
func (a *ask) Independent() bool                 { return !a.alone }
func (a *ask) Refuse(err error)                  { a.done <- err }

type bench struct {
	t     *testing.T
	clock *clock.Manual
	log   *memLog
	shard *Shard[*tally]
	last  *tally // the machine made last
	bytes int
}

func newBench(t *testing.T, log *memLog) *bench {
	b := &bench{t: t, clock: clock.NewManual(time.Unix(1000, 0)), log: log, bytes: 1 << 20}
	b.shard = Start(Options[*tally]{
		Log: log, Epoch: 3, Clock: b.clock, Logger: slog.New(slog.DiscardHandler), Loads: make(chan struct{}, 1),
		BatchBytes: func() int { return b.bytes },
		New: func() *tally {
			b.last = &tally{values: map[string]int{}}
			return b.last
		},
	})
	t.Cleanup(func() {
		b.shard.Stop()
		<-b.shard.Ended()
	})
	return b
}

// set asks for a value to be written; the answer comes on the channel.
func (b *bench) set(name string, value int) chan error {
	done := make(chan error, 1)
	b.shard.Submit(&ask{done: done, step: func(*tally, time.Time) Step {
		return Step{Records: []Record{{Key: []byte(name), Value: []byte(strconv.Itoa(value))}}, Replies: []Reply{answer{to: done}}}
	}})
	return done
}

// get reads a value, or -1.
func (b *bench) get(name string) (int, error) {
	done, value := make(chan error, 1), -1
	b.shard.Submit(&ask{done: done, alone: true, step: func(m *tally, _ time.Time) Step {
		if v, ok := m.values[name]; ok {
			value = v
		}
		return Step{Replies: []Reply{answer{to: done}}}
	}})
	err := <-done
	return value, err
}

func (b *bench) want(name string, value int) {
	b.t.Helper()
	if got, err := b.get(name); err != nil || got != value {
		b.t.Fatalf("%s is %d, %v; want %d", name, got, err, value)
	}
}

func (b *bench) wantErr(done chan error, want error) {
	b.t.Helper()
	if err := <-done; !errors.Is(err, want) {
		b.t.Fatalf("got %v, want %v", err, want)
	}
}

// open reports that nothing has come yet, after everything submitted before has been stepped.
func (b *bench) open(done chan error) {
	b.t.Helper()
	b.sync()
	select {
	case err := <-done:
		b.t.Fatalf("answered %v too early", err)
	default:
	}
}

// sync waits until the shard has stepped everything submitted before.
func (b *bench) sync() {
	stepped := make(chan error, 1)
	b.shard.Submit(&ask{done: stepped, alone: true, step: func(*tally, time.Time) Step {
		return Step{Now: []Reply{answer{to: stepped}}}
	}})
	<-stepped
}

func TestShardReplaysWhatItAppended(t *testing.T) {
	log := &memLog{}
	b := newBench(t, log)
	b.wantErr(b.set("a", 1), nil)
	b.wantErr(b.set("a", 2), nil)
	b.want("a", 2)

	again := newBench(t, log)
	again.want("a", 2)
	if !again.last.loaded {
		t.Fatal("Loaded was not called")
	}
}

func TestRepliesWaitForTheCommit(t *testing.T) {
	log := &memLog{}
	log.mu.manual = true
	b := newBench(t, log)
	first := b.set("a", 1)
	b.open(first)
	second := b.set("a", 2)
	b.open(second)
	read := make(chan int, 1)
	go func() { v, _ := b.get("a"); read <- v }()
	b.sync()
	log.land(1, nil)
	b.wantErr(first, nil)
	b.open(second)
	select {
	case v := <-read:
		t.Fatalf("a read saw %d before it was committed", v)
	default:
	}
	log.land(1, nil)
	b.wantErr(second, nil)
	if v := <-read; v != 2 {
		t.Fatalf("read %d", v)
	}
}

func TestIndependentEventsShareABatch(t *testing.T) {
	log := &memLog{}
	b := newBench(t, log)
	b.sync()
	gate, entered := make(chan error), make(chan error, 1)
	b.shard.Submit(&ask{alone: true, step: func(*tally, time.Time) Step {
		entered <- nil
		<-gate
		return Step{}
	}})
	<-entered
	var all []chan error
	for i := range 100 {
		all = append(all, b.set(fmt.Sprint("k", i), i))
	}
	close(gate)
	for _, done := range all {
		b.wantErr(done, nil)
	}
	if n := log.count(); n != 1 {
		t.Fatalf("100 commits took %d batches, want 1", n)
	}
	b.want("k99", 99)
}

func TestBundleObeysTheBatchLimit(t *testing.T) {
	log := &memLog{}
	b := newBench(t, log)
	b.bytes = 10 * (recordOverhead + 3)
	b.sync()
	gate, entered := make(chan error), make(chan error, 1)
	b.shard.Submit(&ask{alone: true, step: func(*tally, time.Time) Step {
		entered <- nil
		<-gate
		return Step{}
	}})
	<-entered
	var all []chan error
	for i := range 30 {
		all = append(all, b.set(fmt.Sprintf("%02d", i), 1))
	}
	close(gate)
	for _, done := range all {
		b.wantErr(done, nil)
	}
	if n := log.count(); n != 3 {
		t.Fatalf("got %d batches, want 3", n)
	}
}

func TestDivisibleStepTakesSeveralBatches(t *testing.T) {
	log := &memLog{}
	b := newBench(t, log)
	b.bytes = 5 * (recordOverhead + 3)
	done := make(chan error, 1)
	b.shard.Submit(&ask{done: done, alone: true, step: func(*tally, time.Time) Step {
		st := Step{Divisible: true, Replies: []Reply{answer{to: done}}}
		for i := range 12 {
			st.Records = append(st.Records, Record{Key: fmt.Appendf(nil, "%02d", i), Value: []byte("7")})
		}
		return st
	}})
	b.wantErr(done, nil)
	if n := log.count(); n != 3 {
		t.Fatalf("got %d batches, want 3", n)
	}
	b.want("11", 7)
}

func TestFailedAppendChangesNothing(t *testing.T) {
	log := &memLog{}
	b := newBench(t, log)
	b.wantErr(b.set("a", 1), nil)
	log.set(func() { log.mu.refuse = errDisk })
	b.wantErr(b.set("a", 2), errDisk)
	told := make(chan error, 1)
	b.shard.Submit(&ask{step: func(*tally, time.Time) Step {
		return Step{Records: []Record{{Key: []byte("a"), Value: []byte("3")}}, Then: func(err error) []Reply {
			told <- err
			return nil
		}}
	}})
	b.wantErr(told, errDisk)
	log.set(func() { log.mu.refuse = nil })
	b.want("a", 1)
	b.wantErr(b.set("a", 4), nil)
	b.want("a", 4)
}

// TestFailedCommitLoadsAgain: what was replayed may not be what the log ends up with, so the shard asks the log.
func TestFailedCommitLoadsAgain(t *testing.T) {
	log := &memLog{}
	b := newBench(t, log)
	b.wantErr(b.set("a", 1), nil)
	log.set(func() { log.mu.manual = true })
	first := b.set("a", 2)
	b.open(first)
	parked := make(chan error, 1)
	b.shard.Submit(&ask{done: parked, alone: true, step: func(m *tally, _ time.Time) Step {
		m.waits = append(m.waits, parked)
		return Step{}
	}})
	second := b.set("a", 3)
	b.open(second)
	old := b.last
	// The partition drops what was not committed.
	log.set(func() {
		log.mu.batches, log.mu.end, log.mu.manual = log.mu.batches[:1], 1, false
	})
	log.land(1, errDisk)
	b.wantErr(first, errDisk)
	b.wantErr(second, errDisk)
	b.wantErr(parked, model.CoordinatorNotAvailable)
	b.want("a", 1)
	if b.last == old {
		t.Fatal("the machine was not replaced")
	}
	log.land(1, nil) // a word about the second that comes late says nothing any more
	b.want("a", 1)
}

// TestNoAnswerFromAFailedCommit: a step may be under way, with what it read from an append, when that append fails to commit. Its answer
// must not slip out because nothing is in flight any more.
func TestNoAnswerFromAFailedCommit(t *testing.T) {
	log := &memLog{}
	log.mu.manual = true
	b := newBench(t, log)
	flying := b.set("a", 1)
	b.open(flying)
	done := make(chan error, 1)
	b.shard.Submit(&ask{done: done, alone: true, step: func(m *tally, _ time.Time) Step {
		if m.values["a"] != 1 {
			t.Error("the append was not replayed")
		}
		log.land(1, errDisk)
		return Step{Replies: []Reply{answer{to: done}}}
	}})
	b.wantErr(flying, errDisk)
	b.wantErr(done, model.CoordinatorNotAvailable)
}

func TestStopAnswersEverything(t *testing.T) {
	log := &memLog{}
	log.mu.manual = true
	b := newBench(t, log)
	flying := b.set("a", 1)
	parked := make(chan error, 1)
	b.shard.Submit(&ask{done: parked, alone: true, step: func(m *tally, _ time.Time) Step {
		m.waits = append(m.waits, parked)
		return Step{}
	}})
	b.sync()
	b.shard.Stop()
	b.wantErr(flying, model.NotCoordinator)
	b.wantErr(parked, model.NotCoordinator)
	<-b.shard.Ended()
	b.wantErr(b.set("a", 2), model.NotCoordinator)
	log.land(1, nil) // late news of a shard that is over
}

func TestLoadWaitsForTheHighWatermark(t *testing.T) {
	log := &memLog{}
	first := newBench(t, log)
	first.wantErr(first.set("a", 1), nil)
	log.set(func() { log.mu.high = 0 })
	b := newBench(t, log)
	select {
	case <-b.shard.Ready():
		t.Fatal("serves from records that are not committed")
	default:
	}
	for range 10 {
		b.clock.Advance(settleCheck)
	}
	log.set(func() { log.mu.high = 1 })
	waitReady(b)
	b.want("a", 1)
}

// waitReady moves the clock until the shard serves. The shard's goroutine arms its timer when it gets to it.
func waitReady(b *bench) {
	for {
		select {
		case <-b.shard.Ready():
			return
		case <-time.After(time.Millisecond):
			b.clock.Advance(retryLoad)
		}
	}
}

func TestLoadIsTriedAgain(t *testing.T) {
	log := &memLog{}
	first := newBench(t, log)
	first.wantErr(first.set("a", 1), nil)
	log.set(func() { log.mu.unread = errDisk })
	b := newBench(t, log)
	b.clock.Advance(retryLoad)
	log.set(func() { log.mu.unread = nil })
	waitReady(b)
	b.want("a", 1)
}

// TestLoadSkipsGaps: compaction leaves holes between batches, within them, and at the end.
func TestLoadSkipsGaps(t *testing.T) {
	log := &memLog{}
	b := newBench(t, log)
	for i := range 6 {
		b.wantErr(b.set(fmt.Sprint("k", i), i), nil)
	}
	log.set(func() {
		log.mu.batches = append(append([][]byte{}, log.mu.batches[1:3]...), log.mu.batches[4])
		log.mu.start = 0
	})
	again := newBench(t, log)
	for i, want := range []int{-1, 1, 2, -1, 4, -1} {
		again.want(fmt.Sprint("k", i), want)
	}
	again.wantErr(again.set("k5", 9), nil)
	again.want("k5", 9)
}

func TestStopDuringLoad(t *testing.T) {
	log := &memLog{}
	first := newBench(t, log)
	first.wantErr(first.set("a", 1), nil)
	log.set(func() { log.mu.unread = errDisk })
	b := newBench(t, log)
	queued := b.set("a", 2)
	b.shard.Stop()
	b.wantErr(queued, model.NotCoordinator)
	<-b.shard.Ready()
	<-b.shard.Ended()
}

func TestTicksComeWhenDue(t *testing.T) {
	b := newBench(t, &memLog{})
	b.sync()
	armed := make(chan error, 1)
	b.shard.Submit(&ask{step: func(m *tally, now time.Time) Step {
		m.alarm = now.Add(time.Minute)
		return Step{Now: []Reply{answer{to: armed}}}
	}})
	<-armed
	b.sync()
	b.sync() // the timer is armed when the goroutine is through with the first
	b.clock.Advance(59 * time.Second)
	if n := b.rang(); n != 0 {
		t.Fatal("ticked early")
	}
	b.clock.Advance(time.Second)
	b.sync() // the goroutine ticks after the events it found
	if n := b.rang(); n != 1 {
		t.Fatalf("ticked %d times", n)
	}
}

func (b *bench) rang() int {
	n, done := 0, make(chan error, 1)
	b.shard.Submit(&ask{alone: true, step: func(m *tally, _ time.Time) Step {
		n = m.rang
		return Step{Now: []Reply{answer{to: done}}}
	}})
	<-done
	return n
}
