package commitlog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// mirror is what a log must say, kept the simplest way.
type mirror struct {
	batches   [][]byte // all ever appended and not truncated, with their offsets
	start     model.Offset
	end       model.Offset
	confirmed model.Offset // told durable
	nextSeq   map[model.ProducerID]int32
}

func (m *mirror) add(b []byte, info AppendInfo) {
	m.batches = append(m.batches, bytes.Clone(b))
	m.end = info.Last + 1
}

// cut drops what lies at or behind end.
func (m *mirror) cut(end model.Offset) {
	for len(m.batches) > 0 {
		h, _ := batch.ParseHeader(m.batches[len(m.batches)-1])
		if h.NextOffset() <= end {
			break
		}
		m.batches = m.batches[:len(m.batches)-1]
	}
	m.end = end
	m.confirmed = min(m.confirmed, end)
	m.nextSeq = map[model.ProducerID]int32{}
	for _, b := range m.batches {
		if h, _ := batch.ParseHeader(b); h.ProducerID > 0 {
			m.nextSeq[h.ProducerID] = h.LastSequence() + 1
		}
	}
}

// life is one random history of a log.
type life struct {
	*world
	rng *rand.Rand
	m   mirror
	l   *Log
	ops []string
}

// TestRandomLives runs logs through random appends, commits, checkpoints, deletions, truncations, restarts, kills and power cuts, and compares
// them with a mirror (S1, S2, P1, L1). SEED replays one, SEEDS sets how many.
func TestRandomLives(t *testing.T) {
	first, n := uint64(time.Now().UnixNano()), 60
	if s := os.Getenv("SEEDS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	if s := os.Getenv("SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		n = 1
	}
	if testing.Short() {
		n = min(n, 10)
	}
	for i := range n {
		seed := first + uint64(i)
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { runLife(t, seed) }) {
			t.Fatalf("SEED=%d go test ./internal/commitlog -run TestRandomLives", seed)
		}
	}
}

func runLife(t *testing.T, seed uint64) {
	w := newWorld(t)
	rng := rand.New(rand.NewPCG(seed, 7))
	w.fs = vfs.NewMem(seed)
	w.cfg.Segment.Bytes = 2500 + rng.IntN(8000)
	w.cfg.Segment.IndexIntervalBytes = 1 + rng.IntN(600)
	w.cfg.Retention.DeleteDelay = time.Duration(rng.IntN(2)) * time.Minute
	w.opts.walked = int64(1 + rng.IntN(2)*scanFar)
	x := &life{world: w, rng: rng, m: mirror{nextSeq: map[model.ProducerID]int32{}}}
	x.l = w.open()
	defer func() {
		if t.Failed() {
			t.Log(x.ops)
			t.Log(list(t, x.fs, dataDir+"/t-0"))
		}
	}()
	for range 150 {
		x.step()
		x.check()
		if t.Failed() {
			return
		}
	}
}

func (x *life) did(format string, args ...any) {
	x.ops = append(x.ops, "\n"+fmt.Sprintf(format, args...))
	if os.Getenv("DBG") != "" {
		x.ops = append(x.ops, fmt.Sprint(list(x.t, x.fs, dataDir+"/t-0")))
	}
}

func (x *life) step() {
	switch p := x.rng.IntN(100); {
	case p < 45:
		x.append()
	case p < 55:
		x.did("flush")
		if err := x.l.Flush(); err != nil {
			x.t.Fatal(err)
		}
		x.m.confirmed = x.m.end
	case p < 65:
		x.did("checkpoint")
		x.checkpoint()
	case p < 70:
		if x.m.end > x.m.start {
			to := x.m.start + model.Offset(x.rng.Int64N(int64(x.m.end-x.m.start)+1))
			x.did("delete records to %d", to)
			if err := x.l.DeleteRecords(to); err != nil {
				x.t.Fatal(err)
			}
			x.m.start = to
			x.m.confirmed = max(x.m.confirmed, to)
		}
	case p < 73:
		x.truncate()
	case p < 78:
		x.did("reads")
		for range 5 {
			x.read()
		}
	case p < 84:
		x.did("restart")
		x.l = x.restart()
		x.m.confirmed = x.m.end
	case p < 90:
		x.did("kill")
		x.l = x.kill()
	case p < 95:
		x.did("wait")
		x.clock.Advance(time.Duration(x.rng.IntN(90)) * time.Second)
	default:
		x.did("crash")
		x.l = x.crash(x.rng)
		for _, e := range x.events {
			x.ops = append(x.ops, fmt.Sprintf("\n    event %v %+v", e.Kind, e))
		}
		if x.l.End() < x.m.confirmed {
			x.t.Errorf("ends at %d after a crash, confirmed were %d", x.l.End(), x.m.confirmed)
		}
		if x.l.End() < x.m.end {
			x.m.cut(x.l.End())
		}
		if x.l.End() > x.m.end { // the start was durable while the records before it were not
			x.t.Errorf("ends at %d after a crash, %d were appended", x.l.End(), x.m.end)
		}
	}
}

func (x *life) append() {
	n := 1 + x.rng.IntN(6)
	s := spec{n: n, size: 1 + x.rng.IntN(300), ts: epochTime().UnixMilli() + x.rng.Int64N(1000)}
	if x.rng.IntN(3) > 0 {
		s.pid = model.ProducerID(1 + x.rng.IntN(3))
		s.seq = x.m.nextSeq[s.pid]
	}
	b := s.build()
	epoch := model.LeaderEpoch(len(x.ops) / 20)
	info, err := x.l.AppendLeader(b, epoch, AppendOptions{})
	if err != nil {
		x.t.Fatalf("append: %v", err)
	}
	x.did("append %d at %d pid %d seq %d", n, info.Base, s.pid, s.seq)
	if info.Duplicate || info.Base != x.m.end {
		x.t.Errorf("appended at %+v, end was %d", info, x.m.end)
	}
	if s.pid > 0 {
		x.m.nextSeq[s.pid] = s.seq + int32(n)
	}
	x.m.add(b, info)
	if x.rng.IntN(4) == 0 {
		x.l.SetHighWatermark(x.l.End())
	}
}

func (x *life) truncate() {
	if x.m.end <= x.m.start {
		return
	}
	to := x.m.start + model.Offset(x.rng.Int64N(int64(x.m.end-x.m.start)+1))
	for _, b := range x.m.batches {
		if h, _ := batch.ParseHeader(b); h.BaseOffset < to && h.NextOffset() > to {
			to = h.BaseOffset
		}
	}
	if to < x.m.start {
		return
	}
	x.did("truncate to %d", to)
	if err := x.l.TruncateTo(to); err != nil {
		x.t.Fatal(err)
	}
	x.m.cut(to)
}

// read reads at a random offset with random limits.
func (x *life) read() {
	if x.m.end == x.m.start {
		return
	}
	from := x.m.start + model.Offset(x.rng.Int64N(int64(x.m.end-x.m.start)))
	o := ReadOptions{MaxBytes: x.rng.IntN(3000), End: x.m.end, MinOne: x.rng.IntN(2) == 0}
	var first, stop int
	for i, b := range x.m.batches {
		h, _ := batch.ParseHeader(b)
		if h.LastOffset() < from {
			first = i + 1
		}
	}
	if x.rng.IntN(2) == 0 { // up to some batch's end
		stop = first + x.rng.IntN(len(x.m.batches)-first+1)
		if stop < len(x.m.batches) {
			h, _ := batch.ParseHeader(x.m.batches[stop])
			o.End = h.BaseOffset
		}
	} else {
		stop = len(x.m.batches)
	}
	s, err := x.l.Read(from, o)
	if err != nil {
		x.t.Errorf("read at %d %+v: %v", from, o, err)
		return
	}
	defer s.Release()
	got, err := s.Bytes(nil)
	if err != nil {
		x.t.Error(err)
	}
	want := bytes.Join(x.m.batches[first:max(stop, first)], nil)
	if from >= o.End {
		want = nil
	}
	switch {
	case !bytes.HasPrefix(want, got):
		x.t.Errorf("read at %d %+v: %d bytes are not the batches from %d on", from, o, len(got), first)
	case len(want) > 0 && o.MinOne && len(got) < len(x.m.batches[first]):
		x.t.Errorf("read at %d %+v: %d bytes, less than one batch", from, o, len(got))
	case len(got) > o.MaxBytes && (!o.MinOne || len(got) != len(x.m.batches[first])):
		x.t.Errorf("read at %d %+v: %d bytes", from, o, len(got))
	}
}

// check compares the log with its mirror.
func (x *life) check() {
	if x.l.Start() != x.m.start || x.l.End() != x.m.end {
		x.t.Errorf("log is %d-%d, want %d-%d", x.l.Start(), x.l.End(), x.m.start, x.m.end)
		return
	}
	if d := x.l.DurableEnd(); d > x.m.end {
		x.t.Errorf("durable up to %d of %d", d, x.m.end)
	}
	var got []byte
	for from := x.m.start; from < x.m.end; {
		s, err := x.l.Read(from, ReadOptions{MaxBytes: 1 << 20, End: x.m.end, MinOne: true})
		if err != nil {
			x.t.Errorf("read at %d: %v", from, err)
			return
		}
		b, err := s.Bytes(nil)
		s.Release()
		if err != nil || len(b) == 0 {
			x.t.Errorf("read at %d: %d bytes, %v", from, len(b), err)
			return
		}
		got = append(got, b...)
		for len(b) > 0 {
			_, h, rest, _ := batch.Next(b)
			from, b = h.NextOffset(), rest
		}
	}
	var want []byte
	last := map[model.ProducerID][]batch.Header{}
	for _, b := range x.m.batches {
		h, _ := batch.ParseHeader(b)
		if h.NextOffset() > x.m.start {
			want = append(want, b...)
		}
		if h.ProducerID > 0 {
			last[h.ProducerID] = append(last[h.ProducerID], h)
		}
	}
	if !bytes.Equal(got, want) {
		x.t.Errorf("read %d bytes, want %d", len(got), len(want))
	}
	if x.rng.IntN(4) == 0 {
		x.checkProducers(last)
	}
}

// checkProducers looks whether each of a producer's last five batches is known as a duplicate, at its offset.
func (x *life) checkProducers(last map[model.ProducerID][]batch.Header) {
	if _, err := x.l.Producers(); err != nil {
		x.t.Error(err)
	}
	for pid, headers := range last {
		for _, h := range headers[max(0, len(headers)-remembered):] {
			b := spec{n: int(h.Count), size: 1, pid: pid, seq: h.BaseSequence, ts: 5}.build()
			info, err := x.l.AppendLeader(b, 0, AppendOptions{})
			if err != nil || !info.Duplicate || info.Base != h.BaseOffset || info.Last != h.LastOffset() {
				x.t.Errorf("producer %d repeats %d at %d: %+v %v", pid, h.BaseSequence, h.BaseOffset, info, err)
			}
		}
	}
}
