package commitlog

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// TestCompactedLives runs compacted logs through random histories with idempotent producers, transactions, compaction, restarts, kills and
// power cuts between any two calls to the disk, of recovery and compaction, too. After each the log must hold what it should (S1, S2, S3, S10, S11,
// T9, P1): every record it has is one that was appended there, what was confirmed is there unless a later record with its key is,
// and who reads it from the start ends with the right value for every key. SEED replays one history, SEEDS sets how many.
func TestCompactedLives(t *testing.T) {
	for seed := range seeds(t, 40) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { runCompactedLife(t, seed) }) {
			t.Fatalf("SEED=%d go test ./internal/commitlog -run TestCompactedLives", seed)
		}
	}
}

// seeds yields n seeds that differ from run to run, or what SEED and SEEDS say.
func seeds(t *testing.T, n int) func(yield func(uint64) bool) {
	t.Helper()
	first := uint64(time.Now().UnixNano())
	number := func(name string, into *uint64) bool {
		s := os.Getenv(name)
		if s == "" {
			return false
		}
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		*into = v
		return true
	}
	count := uint64(n)
	if testing.Short() {
		count = min(count, 5)
	}
	number("SEEDS", &count)
	if number("SEED", &first) {
		count = 1
	}
	return func(yield func(uint64) bool) {
		for i := range count {
			if !yield(first + i) {
				return
			}
		}
	}
}

// entry is one record of the whole history.
type entry struct {
	key, value string // no value is a tombstone
	pid        model.ProducerID
	txn        int    // number of its transaction, 0 for none
	marker     string // "commit" or "abort" for a marker of that transaction
	batch      int    // number of its batch
}

// chronicle is what was done to a log, kept the simplest way. Offsets are dense in it: entry i has offset i.
type chronicle struct {
	entries   []entry
	start     model.Offset
	confirmed model.Offset // told durable
	cleaned   model.Offset // nothing at or behind was ever compacted
	lost      model.Offset // what lies before went with a power cut
	batches   int
	txns      int
	open      map[model.ProducerID]int // number of the open transaction
	sequence  map[model.ProducerID]int32
}

func (c *chronicle) end() model.Offset { return model.Offset(len(c.entries)) }

func (c *chronicle) clone() chronicle {
	d := *c
	d.entries = slices.Clip(c.entries)
	d.open, d.sequence = map[model.ProducerID]int{}, map[model.ProducerID]int32{}
	for k, v := range c.open {
		d.open[k] = v
	}
	for k, v := range c.sequence {
		d.sequence[k] = v
	}
	return d
}

// cut forgets what lies at or behind end.
func (c *chronicle) cut(end model.Offset) {
	c.entries = slices.Clip(c.entries[:end])
	c.confirmed, c.cleaned = min(c.confirmed, end), min(c.cleaned, end)
	c.open, c.sequence = map[model.ProducerID]int{}, map[model.ProducerID]int32{}
	for _, e := range c.entries {
		switch {
		case e.pid == 0:
		case e.marker != "":
			delete(c.open, e.pid)
		default:
			c.sequence[e.pid]++
			if e.txn > 0 {
				c.open[e.pid] = e.txn
			}
		}
	}
}

// outcome tells how every transaction ended before end.
func (c *chronicle) outcome(end model.Offset) map[int]string {
	ended := map[int]string{}
	for _, e := range c.entries[:end] {
		if e.marker != "" {
			ended[e.txn] = e.marker
		}
	}
	return ended
}

// values is what a reader of committed records knows in the end.
func (c *chronicle) values(start, end model.Offset) map[string]string {
	ended := c.outcome(end)
	known := map[string]string{}
	for i := start; i < end; i++ {
		e := c.entries[i]
		if e.marker == "" && (e.txn == 0 || ended[e.txn] == "commit") {
			learn(known, e.key, e.value)
		}
	}
	return known
}

func learn(known map[string]string, key, value string) {
	if value == "" {
		delete(known, key)
	} else {
		known[key] = value
	}
}

// adventure is one random history.
type adventure struct {
	*world
	mem   *vfs.Mem
	rng   *rand.Rand
	log   *Log
	now   chronicle
	told  []string
	trap  *trap
	count int // of values
}

// trap takes a crash clone at a random call to the disk.
type trap struct {
	mu    sync.Mutex
	clone *vfs.Mem
}

func (p *trap) sprung() *vfs.Mem {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clone
}

func runCompactedLife(t *testing.T, seed uint64) {
	a := &adventure{world: compacted(t), rng: rand.New(rand.NewPCG(seed, 17))}
	a.now = chronicle{open: map[model.ProducerID]int{}, sequence: map[model.ProducerID]int32{}}
	a.cfg.Segment.Bytes = 700 + a.rng.IntN(4000)
	a.cfg.Segment.IndexIntervalBytes = 1 + a.rng.IntN(500)
	a.cfg.Compaction.TombstoneRetention = time.Duration(a.rng.IntN(3)) * time.Hour
	a.opts.CleanerMemory = keyBytes * int64(1+a.rng.IntN(40))
	a.board(vfs.NewMem(seed))
	defer func() {
		if t.Failed() {
			t.Log(strings.Join(a.told, "; "))
			t.Log(list(t, a.mem, dataDir+"/t-0"))
		}
	}()
	for range 120 {
		before := a.now.clone()
		a.step()
		if clone := a.trap.sprung(); clone != nil {
			a.survive(clone, before)
		}
		if a.rng.IntN(3) == 0 {
			a.check()
		}
		if t.Failed() {
			return
		}
	}
}

func (a *adventure) tell(format string, args ...any) {
	a.told = append(a.told, fmt.Sprintf(format, args...))
}

// board goes on with another disk.
func (a *adventure) board(mem *vfs.Mem) {
	old := a.dir
	a.mem, a.dir, a.trap = mem, nil, nil
	a.fs = vfs.NewFaulty(mem)
	if old != nil {
		_ = old.Close(1)
	}
	a.log = a.open()
}

// arm sets a trap for one of the next calls that change the disk.
func (a *adventure) arm() {
	if a.trap != nil {
		return
	}
	p, mem, rng := &trap{}, a.mem, rand.New(rand.NewPCG(a.rng.Uint64(), 3))
	n := a.rng.IntN(60)
	a.tell("trap after %d calls", n)
	a.fs.(*vfs.Faulty).Inject(vfs.Fault{Ops: vfs.OpAnyWrite | vfs.OpAnySync | vfs.OpRemove, After: n, Times: 1, Before: func() {
		clone := mem.CrashClone(rng)
		p.mu.Lock()
		p.clone = clone
		p.mu.Unlock()
	}})
	a.trap = p
}

// survive goes on with what a power cut during the last step left: the log is as it was before the step, or after it, or less by
// what was not confirmed.
func (a *adventure) survive(clone *vfs.Mem, before chronicle) {
	a.tell("power cut in the middle of that")
	for a.rng.IntN(2) == 0 { // and again, during recovery
		a.fs = vfs.NewFaulty(clone)
		mem, rng := clone, rand.New(rand.NewPCG(a.rng.Uint64(), 5))
		var again *vfs.Mem
		var mu sync.Mutex
		a.fs.(*vfs.Faulty).Inject(vfs.Fault{
			Ops: vfs.OpAnyWrite | vfs.OpAnySync | vfs.OpRemove, After: a.rng.IntN(15), Times: 1, Before: func() {
				mu.Lock()
				defer mu.Unlock()
				again = mem.CrashClone(rng)
			},
		})
		old := a.dir
		a.dir = nil
		_ = old.Close(1)
		a.open()
		mu.Lock()
		if again != nil {
			a.tell("and during recovery")
			clone = again
		}
		mu.Unlock()
	}
	a.board(clone)
	after := a.now
	a.now = before
	if end := a.log.End(); end > before.end() || end == after.end() { // the step's appends or truncation got through
		a.now = after
	}
	a.now.start = before.start
	if a.log.Start() == after.start {
		a.now.start = after.start
	}
	a.now.cleaned = max(before.cleaned, after.cleaned)
	a.lose(min(before.confirmed, after.end()), max(before.end(), after.end()))
}

// lose takes the log's end for the truth, which lies between what was confirmed and what was written.
func (a *adventure) lose(confirmed, written model.Offset) {
	end := a.log.End()
	// The names of the first segments may be gone and that of a later one be left, as long as nothing was confirmed.
	if start := a.log.Start(); start > a.now.start && confirmed <= a.now.start {
		a.now.start, a.now.lost = start, start
	}
	if a.log.Start() != a.now.start {
		a.t.Errorf("starts at %d after a power cut, was %d", a.log.Start(), a.now.start)
	}
	if end < confirmed || end > written {
		a.t.Fatalf("ends at %d after a power cut, confirmed were %d, written %d", end, confirmed, written)
	}
	a.now.cut(min(end, a.now.end()))
	if a.now.end() != end {
		a.t.Fatalf("ends at %d after a power cut, at most %d were known", end, a.now.end())
	}
}

func (a *adventure) step() {
	switch p := a.rng.IntN(100); {
	case p < 46:
		a.append()
	case p < 54:
		a.tell("flush")
		end := a.now.end()
		if err := a.log.Flush(); err != nil {
			a.t.Fatal(err)
		}
		a.now.confirmed = end
	case p < 62:
		a.tell("checkpoint")
		a.checkpoint()
	case p < 67:
		a.tell("roll at %d", a.now.end())
		a.roll(a.log)
	case p < 75:
		a.cleanUp()
	case p < 78:
		to := a.now.start + model.Offset(a.rng.Int64N(int64(a.now.end()-a.now.start)+1))
		a.tell("delete records to %d", to)
		if err := a.log.DeleteRecords(to); err != nil {
			a.t.Fatal(err)
		}
		a.now.start = to
	case p < 81:
		a.truncate()
	case p < 85:
		a.tell("restart")
		if err := a.dir.Close(1); err != nil {
			a.t.Fatal(err)
		}
		a.dir = nil
		a.now.confirmed = a.now.end()
		if a.trap.sprung() == nil {
			a.log = a.open()
		} else {
			a.openDir()
		}
	case p < 88:
		a.tell("kill")
		a.board(a.mem.KillClone())
	case p < 91:
		a.tell("power cut")
		written := a.now.end()
		a.board(a.mem.CrashClone(a.rng))
		a.lose(a.now.confirmed, written)
	case p < 95:
		a.clock.Advance(time.Duration(a.rng.IntN(100)) * time.Minute)
	default:
		a.arm()
	}
}

// append appends a batch of a random kind.
func (a *adventure) append() {
	pid := model.ProducerID(a.rng.IntN(5)) // 1 and 2 are idempotent, 3 and 4 transactional
	o := batch.PlainBatch()
	o.Codec = batch.Codec(a.rng.IntN(5))
	e := entry{pid: pid, batch: a.now.batches}
	if pid > 0 {
		o = of(pid, 0, a.now.sequence[pid], pid >= 3)
	}
	if pid >= 3 {
		if open := a.now.open[pid]; open > 0 && a.rng.IntN(3) == 0 {
			commit := a.rng.IntN(2) == 0
			a.tell("%d: end of transaction %d, commit %v", a.now.end(), open, commit)
			mustAppend(a.t, a.log, endTxn(pid, 0, commit, 1))
			e.txn, e.marker = open, map[bool]string{true: "commit", false: "abort"}[commit]
			a.now.entries = append(a.now.entries, e)
			a.now.batches++
			delete(a.now.open, pid)
			return
		}
		if a.now.open[pid] == 0 {
			a.now.txns++
			a.now.open[pid] = a.now.txns
		}
		e.txn = a.now.open[pid]
	}
	var recs []string
	for range 1 + a.rng.IntN(4) {
		x := e
		x.key = fmt.Sprintf("k%d", a.rng.IntN(12))
		if a.rng.IntN(4) > 0 {
			a.count++
			x.value = fmt.Sprintf("%d%s", a.count, strings.Repeat(".", a.rng.IntN(60)))
			recs = append(recs, x.key+"="+x.value)
		} else {
			recs = append(recs, x.key)
		}
		a.now.entries = append(a.now.entries, x)
	}
	a.tell("%d: append %d of %d", a.now.end()-model.Offset(len(recs)), len(recs), pid)
	a.now.batches++
	if pid > 0 {
		a.now.sequence[pid] += int32(len(recs))
	}
	info := mustAppend(a.t, a.log, kvOf(o, recs...))
	if info.Last+1 != a.now.end() || info.Duplicate {
		a.t.Errorf("appended at %+v, want up to %d", info, a.now.end())
	}
}

// cleanUp compacts what can be.
func (a *adventure) cleanUp() {
	if err := a.log.Flush(); err != nil {
		a.t.Fatal(err)
	}
	a.now.confirmed = a.now.end()
	a.log.SetHighWatermark(a.log.End())
	a.checkpoint()
	a.now.cleaned = max(a.now.cleaned, a.log.segments.Load().active().base)
	a.tell("compact up to %d", a.now.cleaned)
	c := newCleaner(a.dir)
	c.quit = make(chan struct{})
	for range 10 {
		if !c.work() {
			break
		}
	}
}

// truncate cuts at a batch that no reader has seen.
func (a *adventure) truncate() {
	low := max(a.now.start, a.log.HighWatermark(), a.now.cleaned)
	if low >= a.now.end() {
		return
	}
	to := low + model.Offset(a.rng.Int64N(int64(a.now.end()-low)))
	for to > low && a.now.entries[to].batch == a.now.entries[to-1].batch {
		to--
	}
	if to > 0 && a.now.entries[to].batch == a.now.entries[to-1].batch {
		return
	}
	a.tell("truncate to %d", to)
	if err := a.log.TruncateTo(to); err != nil {
		a.t.Fatal(err)
	}
	a.now.cut(to)
}

// check compares the log with the chronicle.
func (a *adventure) check() {
	a.t.Helper()
	if a.log.Start() != a.now.start || a.log.End() != a.now.end() {
		a.t.Fatalf("log is %d-%d, want %d-%d", a.log.Start(), a.log.End(), a.now.start, a.now.end())
	}
	if n := a.saw(EventCorrupt); n > 0 {
		a.t.Fatalf("%d damages reported, none was made", n)
	}
	got := a.readThrough()
	for off := max(a.now.cleaned, a.now.start); off < a.now.end(); off++ {
		if !got.offsets[off] {
			a.t.Errorf("record %d is missing, compacted was up to %d", off, a.now.cleaned)
		}
	}
	if want := a.now.values(a.now.start, a.now.end()); fmt.Sprint(got.values) != fmt.Sprint(want) {
		a.t.Errorf("a reader ends with\n%v, want\n%v", got.values, want)
	}
	a.checkDuplicates()
}

// reading is what a consumer of committed records learns of a log.
type reading struct {
	offsets map[model.Offset]bool
	values  map[string]string
}

// readThrough reads the log as such a consumer does: aborted transactions are skipped by the list that goes with a fetch.
func (a *adventure) readThrough() reading {
	a.t.Helper()
	got := reading{offsets: map[model.Offset]bool{}, values: map[string]string{}}
	aborted, err := a.log.AbortedTransactions(a.now.start, a.now.end())
	if err != nil {
		a.t.Fatal(err)
	}
	ended := a.now.outcome(a.now.end())
	skipping := map[model.ProducerID]bool{}
	from := a.now.start
	for from < a.now.end() {
		s, err := a.log.Read(from, ReadOptions{MaxBytes: 1 + a.rng.IntN(3000), End: a.now.end(), MinOne: true})
		if err != nil {
			a.t.Fatalf("read at %d: %v", from, err)
		}
		b, err := s.Bytes(nil)
		s.Release()
		if err != nil || len(b) == 0 {
			a.t.Fatalf("read at %d: %d bytes, %v", from, len(b), err)
		}
		for len(b) > 0 {
			one, h, rest, err := batch.Next(b)
			if err != nil {
				break // cut by MaxBytes
			}
			if batch.VerifyCRC(one) != nil || h.NextOffset() <= from {
				a.t.Fatalf("batch %d-%d read at %d", h.BaseOffset, h.LastOffset(), from)
			}
			for len(aborted) > 0 && aborted[0].FirstOffset <= h.LastOffset() {
				skipping[aborted[0].ProducerID] = true
				aborted = aborted[1:]
			}
			for r, err := range batch.Records(one, batch.Limits{}) {
				if err != nil {
					a.t.Fatal(err)
				}
				if r.Offset >= a.now.start {
					a.learn(&got, &h, &r, ended, skipping)
				}
			}
			from, b = h.NextOffset(), rest
		}
	}
	return got
}

func (a *adventure) learn(got *reading, h *batch.Header, r *batch.Record, ended map[int]string, skipping map[model.ProducerID]bool) {
	a.t.Helper()
	want := a.now.entries[r.Offset]
	got.offsets[r.Offset] = true
	if h.Attributes.Control() {
		if want.marker == "" {
			a.t.Fatalf("a marker at %d", r.Offset)
		}
		delete(skipping, h.ProducerID)
		return
	}
	if want.key != string(r.Key) || want.value != string(r.Value) || (r.Value == nil) != (want.value == "") {
		a.t.Fatalf("record %d is %s=%s, want %+v", r.Offset, r.Key, r.Value, want)
	}
	skip := h.Attributes.Transactional() && skipping[h.ProducerID]
	switch {
	case want.txn > 0 && ended[want.txn] == "": // undecided: behind the last stable offset
	case skip != (want.txn > 0 && ended[want.txn] == "abort"):
		a.t.Errorf("record %d of transaction %d (%s): skipped is %v", r.Offset, want.txn, ended[want.txn], skip)
	case !skip:
		learn(got.values, want.key, want.value)
	}
}

// checkDuplicates looks whether the last batches of idempotent producers are known by their offsets.
func (a *adventure) checkDuplicates() {
	a.t.Helper()
	for pid := model.ProducerID(1); pid <= 2; pid++ {
		var firsts []model.Offset
		var sequences, counts []int32
		var sequence int32
		last := -1
		for off, e := range a.now.entries {
			if e.pid != pid {
				continue
			}
			if model.Offset(off) < a.now.lost {
				sequence++
				continue
			}
			if e.batch != last {
				firsts, sequences, counts = append(firsts, model.Offset(off)), append(sequences, sequence), append(counts, 0)
				last = e.batch
			}
			counts[len(counts)-1]++
			sequence++
		}
		for i := max(0, len(firsts)-remembered); i < len(firsts); i++ {
			recs := slices.Repeat([]string{"again=1"}, int(counts[i]))
			info, err := a.log.AppendLeader(kvOf(of(pid, 0, sequences[i], false), recs...), 1, AppendOptions{})
			if err != nil || !info.Duplicate || info.Base != firsts[i] {
				a.t.Fatalf("producer %d repeats sequence %d at %d: %+v, %v", pid, sequences[i], firsts[i], info, err)
			}
		}
	}
}
