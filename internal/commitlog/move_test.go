package commitlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// move is a partition that goes to and fro between two directories of one disk.
type move struct {
	t      *testing.T
	rng    *rand.Rand
	mem    *vfs.Mem
	faulty *vfs.Faulty
	cfg    Config
	dirs   [2]*Dir
	at     int // directory of the log
	log    *Log
	future *Log // in the other
	epoch  model.LeaderEpoch
	count  int
	told   []string
	ids    counter

	mu    sync.Mutex
	clone *vfs.Mem
	armed bool

	records   []string // by offset
	begins    map[model.Offset]bool
	start     model.Offset
	confirmed model.Offset
}

func (m *move) options() LogOptions {
	return LogOptions{TP: testTP(), TopicID: testID(), Config: m.cfg}
}

func (m *move) tell(format string, args ...any) {
	m.told = append(m.told, fmt.Sprintf(format, args...))
}

func (m *move) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// board opens both directories on a disk and finds the log in one of them.
func (m *move) board(mem *vfs.Mem) {
	m.t.Helper()
	m.end()
	m.mem, m.faulty = mem, vfs.NewFaulty(mem)
	m.clone, m.armed = nil, false
	w := newWorld(m.t)
	w.fs = m.faulty
	for i := range m.dirs {
		o := w.opts
		o.Path = fmt.Sprintf("/disk%d", i)
		env := w.env()
		env.Random = &m.ids
		d, err := OpenDir(env, o)
		m.must(err)
		m.dirs[i] = d
	}
	m.settle()
}

func (m *move) end() {
	for i, d := range m.dirs {
		if d != nil {
			_ = d.Close(1)
			m.dirs[i] = nil
		}
	}
	m.log, m.future = nil, nil
}

// settle opens what is there. A log in both directories is whole in both: either will do.
func (m *move) settle() {
	m.t.Helper()
	var logs [2]*Log
	for i, d := range m.dirs {
		if len(d.Found()) == 0 {
			continue
		}
		l, err := d.Open(m.options())
		m.must(err)
		logs[i] = l
	}
	switch {
	case logs[0] != nil && logs[1] != nil:
		m.tell("the log is in both directories")
		m.at = m.rng.IntN(2)
		if a, b := logs[0].End(), logs[1].End(); min(a, b) < m.confirmed {
			m.t.Fatalf("logs end at %d and %d, confirmed were %d", a, b, m.confirmed)
		}
		m.must(m.dirs[1-m.at].Leave(logs[1-m.at]))
	case logs[1] != nil:
		m.at = 1
	default:
		m.at = 0
	}
	if m.log = logs[m.at]; m.log == nil {
		l, err := m.dirs[m.at].Open(m.options())
		m.must(err)
		m.log = l
	}
	if len(m.dirs[1-m.at].Futures()) > 0 {
		m.begin()
	}
}

func (m *move) begin() {
	m.t.Helper()
	l, err := m.dirs[1-m.at].OpenFuture(m.options())
	m.must(err)
	m.future = l
}

func (m *move) append() {
	n := 1 + m.rng.IntN(3)
	for i := range n {
		m.begins[m.log.End()+model.Offset(i)] = i == 0
	}
	b := batch.NewBuilder(batch.PlainBatch())
	for range n {
		v := fmt.Sprintf("value %d %s", m.count, strings.Repeat("x", m.rng.IntN(100)))
		m.count++
		b.Add(batch.Record{Timestamp: epochTime().UnixMilli(), Value: []byte(v)})
		m.records = append(m.records, v)
	}
	_, err := m.log.AppendLeader(b.Bytes(), m.epoch, AppendOptions{})
	m.must(err)
}

// swap ends a move as the owner of the log does.
func (m *move) swap() {
	for {
		n, err := m.future.CopyFrom(m.log, 1<<20)
		m.must(err)
		if n == 0 {
			break
		}
	}
	if m.future.End() != m.log.End() {
		m.t.Fatalf("the copy ends at %d, the log at %d", m.future.End(), m.log.End())
	}
	next, err := m.dirs[1-m.at].Promote(m.future, m.options())
	m.must(err)
	m.must(m.dirs[m.at].Leave(m.log))
	m.at, m.log, m.future = 1-m.at, next, nil
	m.confirmed = next.DurableEnd()
}

func (m *move) step() {
	switch p := m.rng.IntN(100); {
	case p < 45:
		m.tell("append at %d", m.log.End())
		m.append()
	case p < 55:
		m.tell("flush")
		m.must(m.log.Flush())
		m.confirmed = m.log.End()
	case p < 60:
		m.tell("checkpoint")
		for _, d := range m.dirs {
			d.keeper.checkpoint()
		}
	case p < 65:
		to := m.confirmed + model.Offset(m.rng.IntN(int(m.log.End()-m.confirmed)+1))
		for to < m.log.End() && !m.begins[to] {
			to++ // a cut goes to the beginning of a batch, which may lie before what is confirmed
		}
		m.tell("truncate to %d", to)
		m.must(m.log.TruncateTo(to))
		m.records = m.records[:m.log.End()]
		m.confirmed = min(m.confirmed, m.log.End())
		m.epoch++
	case p < 68:
		to := m.start + model.Offset(m.rng.IntN(int(m.log.End()-m.start)+1))
		m.tell("delete records to %d", to)
		m.must(m.log.DeleteRecords(to))
		m.start, m.confirmed = to, max(m.confirmed, to)
	case p < 72 && m.future != nil:
		m.tell("give up")
		m.must(m.dirs[1-m.at].Leave(m.future))
		m.future = nil
	case p < 78:
		m.tell("close and open")
		for _, d := range m.dirs {
			m.must(d.Close(3))
		}
		m.confirmed = model.Offset(len(m.records))
		m.dirs = [2]*Dir{}
		m.board(m.mem)
	case m.future == nil:
		m.tell("begin to move from directory %d", m.at)
		m.begin()
	case p < 92:
		n, err := m.future.CopyFrom(m.log, 1+m.rng.IntN(700))
		m.must(err)
		m.tell("copy %d bytes up to %d", n, m.future.End())
	default:
		m.tell("swap")
		m.swap()
	}
}

func (m *move) check() {
	m.t.Helper()
	if m.log.Start() != m.start || m.log.End() != model.Offset(len(m.records)) {
		m.t.Fatalf("log is %d-%d, want %d-%d", m.log.Start(), m.log.End(), m.start, len(m.records))
	}
	for from := m.start; from < m.log.End(); {
		s, err := m.log.Read(from, ReadOptions{MaxBytes: 1 << 20, End: m.log.End(), MinOne: true})
		m.must(err)
		b, err := s.Bytes(nil)
		s.Release()
		m.must(err)
		for len(b) > 0 {
			one, h, rest, err := batch.Next(b)
			if err != nil {
				break
			}
			for rec, err := range batch.Records(one, batch.Limits{}) {
				m.must(err)
				if rec.Offset >= m.start && string(rec.Value) != m.records[rec.Offset] {
					m.t.Fatalf("record %d is %q, want %q", rec.Offset, rec.Value, m.records[rec.Offset])
				}
			}
			from, b = h.NextOffset(), rest
		}
	}
}

// arm takes what a power cut before one of the next calls to the disk would leave.
func (m *move) arm() {
	mem, rng := m.mem, rand.New(rand.NewPCG(m.rng.Uint64(), 3))
	m.faulty.Inject(vfs.Fault{Ops: vfs.OpAnyWrite | vfs.OpAnySync | vfs.OpRemove, After: m.rng.IntN(40), Times: 1, Before: func() {
		clone := mem.CrashClone(rng)
		m.mu.Lock()
		m.clone = clone
		m.mu.Unlock()
	}})
	m.armed = true
}

func (m *move) sprung() *vfs.Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clone
}

// survive goes on with what a power cut in the last step left: everything confirmed before it is there, and nothing that was not written.
func (m *move) survive(clone *vfs.Mem, before []string, start, confirmed model.Offset) {
	m.t.Helper()
	m.tell("power cut in the middle of that")
	after, afterStart := m.records, m.start
	m.confirmed = min(confirmed, model.Offset(len(after)))
	m.board(clone)
	m.records = before
	if end := m.log.End(); end > model.Offset(len(before)) || end == model.Offset(len(after)) {
		m.records = after
	}
	m.start = start
	switch s := m.log.Start(); {
	case s == afterStart:
		m.start = afterStart
	case s > start && m.confirmed <= start:
		m.start = s
	}
	m.confirmed = max(m.confirmed, m.start)
	if end := m.log.End(); end < m.confirmed || end > model.Offset(len(m.records)) {
		m.t.Fatalf("ends at %d after a power cut, confirmed were %d of %d", end, m.confirmed, len(m.records))
	}
	m.records = m.records[:m.log.End()]
	m.epoch++
}

// TestLivesOfAMovingLog moves a log to and fro between two directories while it is appended to, cut at both ends, closed and opened, with power
// cuts between any two calls to the disk, those of recovery included: nothing confirmed is lost, and no old copy ever comes back (S2). SEED replays
// one history, SEEDS sets how many.
func TestLivesOfAMovingLog(t *testing.T) {
	for seed := range seeds(t, 150) {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &move{t: t, begins: map[model.Offset]bool{}, rng: rand.New(rand.NewPCG(seed, 29)), cfg: DefaultConfig()}
			m.cfg.Segment.Bytes, m.cfg.Segment.IndexIntervalBytes = 500+m.rng.IntN(1500), 1+m.rng.IntN(300)
			defer func() {
				m.end()
				if t.Failed() {
					t.Log(strings.Join(m.told, "; "))
				}
			}()
			m.board(vfs.NewMem(seed))
			for range 150 {
				before, start, confirmed := append([]string(nil), m.records...), m.start, m.confirmed
				m.step()
				if clone := m.sprung(); clone != nil {
					m.survive(clone, before, start, confirmed)
				}
				m.check()
				if !m.armed && m.rng.IntN(8) == 0 {
					m.arm()
				}
			}
		})
		if !ok {
			t.Fatalf("SEED=%d go test ./internal/commitlog -run TestLivesOfAMovingLog", seed)
		}
	}
}

// TestDeletedLogMayBeAwaited: a sync that began before its log was deleted finds the directory under another name; that is no failing disk.
func TestDeletedLogMayBeAwaited(t *testing.T) {
	w := newWorld(t)
	l := w.open()
	mustAppend(t, l, plain(1))
	var targets syncTargets
	if _, ok := l.beginSync(&targets, dataDir); !ok || len(targets.dirs) < 2 {
		t.Fatalf("%+v", targets)
	}
	if err := w.dir.Delete(l); err != nil {
		t.Fatal(err)
	}
	if err := w.dir.syncEach(&targets); err != nil {
		t.Fatal(err)
	}
}

// TestFutureNamesThatDoNotFit are refused as Kafka refuses them.
func TestFutureNamesThatDoNotFit(t *testing.T) {
	w := newWorld(t)
	d := w.openDir()
	tp := model.TopicPartition{Topic: strings.Repeat("t", 249), Partition: 0}
	if _, err := d.OpenFuture(LogOptions{TP: tp, TopicID: testID(), Config: w.cfg}); !errors.Is(err, ErrNameTooLong) {
		t.Fatal(err)
	}
	if _, err := d.Open(LogOptions{TP: tp, TopicID: testID(), Config: w.cfg}); err != nil {
		t.Fatalf("the partition itself: %v", err)
	}
}

// TestCheckpointsOfADeletedLogDoNotCutItsSuccessor: after a restart nobody remembers the deleted log, but the files on disk still speak of it.
func TestCheckpointsOfADeletedLogDoNotCutItsSuccessor(t *testing.T) {
	w := newWorld(t)
	l := w.open()
	for range 5 {
		mustAppend(t, l, plain(1))
	}
	if err := l.DeleteRecords(5); err != nil {
		t.Fatal(err)
	}
	w.checkpoint()
	if err := w.dir.Leave(l); err != nil {
		t.Fatal(err)
	}
	l = w.kill()
	for range 10 {
		mustAppend(t, l, plain(1))
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	if l = w.kill(); l.Start() != 0 || l.End() != 10 {
		t.Fatalf("the log is %d-%d", l.Start(), l.End())
	}
}
