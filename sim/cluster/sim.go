package cluster

import (
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/vfs"
	"github.com/klamm/klamm/sim/history"
	"github.com/klamm/klamm/sim/workload"
)

// Sim is one run: a cluster, its clients and what happens to them, from one seed.
type Sim struct {
	opts     Options
	begin    time.Time
	net      *Net
	machines []*machine
	join     []string
	zombies  sync.WaitGroup // processes that were killed and have not noticed yet
	out      io.Writer
	clients  int
	history  func() history.History // nil before the work begins
	ended    bool

	mu struct {
		sync.Mutex
		rng      *rand.Rand
		events   uint64
		hash     uint64
		reached  map[string]uint64
		failures int
		failure  error
		failed   chan struct{}
	}
}

// Options is what a seed decides before anything runs, and what the command line takes from it.
type Options struct {
	Seed uint64
	// Chaos is how long faults happen, in simulated time.
	Chaos time.Duration
	// Without are faults to leave out.
	Without []string

	Machines   int
	Partitions int32
	config     map[string]string // of every node
	topic      map[string]string // of the workload's topic
	load       workload.Load
	// pageCache says that the topic does not wait for disks. What was acknowledged survives as long as one replica that has it keeps its memory: then
	// only one machine, the lossy one, ever ends without having stopped.
	pageCache bool
}

// Draw fills in what the seed decides. Times are short, so that a minute holds many of their ends; sizes are small, so that their edges are met.
func (o *Options) Draw() {
	rng := rand.New(rand.NewPCG(o.Seed, 5))
	pick := func(values ...string) string { return values[rng.IntN(len(values))] }
	if o.Machines == 0 {
		o.Machines = []int{3, 3, 3, 4, 5}[rng.IntN(5)]
	}
	o.Partitions = int32(1 + rng.IntN(6))
	session := 1000 + rng.IntN(5)*1000
	o.config = map[string]string{
		"klamm.log.level": "info", "offsets.topic.num.partitions": pick("1", "3"), "group.initial.rebalance.delay.ms": "0",
		"default.replication.factor": "3", "min.insync.replicas": "2", "offsets.topic.replication.factor": "3",
		"broker.session.timeout.ms": strconv.Itoa(session), "broker.heartbeat.interval.ms": strconv.Itoa(session / 4),
		"replica.lag.time.max.ms": strconv.Itoa(500 + rng.IntN(10)*500), "replica.fetch.wait.max.ms": pick("50", "500"),
		"klamm.log.sync.interval.ms": pick("50", "1000"), "leader.imbalance.check.interval.seconds": pick("2", "300"),
		"klamm.controllers": pick("1", "3", "3", "5"), "log.retention.check.interval.ms": pick("1000", "300000"),
	}
	o.topic = map[string]string{"min.insync.replicas": pick("2", "2", "2", "1"), "segment.ms": pick("1000", "5000", "604800000"), "index.interval.bytes": pick("0", "100", "4096")}
	// From a generator of its own, so that it changes nothing about other seeds.
	if o.pageCache = rand.New(rand.NewPCG(o.Seed, 7)).IntN(6) == 0; o.pageCache {
		o.topic["log.durability"], o.topic["min.insync.replicas"] = "page-cache", "2"
	}
	o.load = workload.Load{Producers: 1 + rng.IntN(4), Consumers: 1 + rng.IntN(2), Groups: rng.IntN(3), Members: 1 + rng.IntN(3), Probers: rng.IntN(2), Admins: rng.IntN(2), Bookmarks: 1}
}

// lagTime is how long a follower may be behind before it is put out of the ISR.
func (s *Sim) lagTime() time.Duration {
	ms, _ := strconv.Atoi(s.opts.config["replica.lag.time.max.ms"])
	return time.Duration(ms) * time.Millisecond
}

// usualSync is the longest sync of a healthy disk.
const usualSync = 2 * time.Millisecond

// New prepares a run. The trace goes to out.
func New(o Options, out io.Writer) *Sim {
	s := &Sim{opts: o, begin: time.Now(), out: out}
	s.mu.rng = rand.New(rand.NewPCG(o.Seed, 1))
	s.mu.reached, s.mu.failed = map[string]uint64{}, make(chan struct{})
	least := 50 * time.Microsecond
	s.net = NewNet(rand.New(rand.NewPCG(o.Seed, 2)), least, least+time.Duration(s.draw()%uint64(2*time.Millisecond)))
	for i := range o.Machines {
		m := &machine{s: s, name: fmt.Sprintf("n%d", i+1), id: i + 1, addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), disk: vfs.NewMem(s.draw())}
		m.syncs.Store(int64(usualSync))
		s.machines = append(s.machines, m)
		s.join = append(s.join, m.at(9093))
	}
	return s
}

// draw is a random number of the run's own.
func (s *Sim) draw() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.rng.Uint64()
}

func (s *Sim) drawInt64(from, to int64) int64 {
	if to <= from {
		return from
	}
	return from + int64(s.draw()%uint64(to-from))
}

// child is a generator of its own.
func (s *Sim) child() *rand.Rand { return rand.New(rand.NewPCG(s.draw(), 3)) }

// entropy is where a process gets its random bytes.
func (s *Sim) entropy() io.Reader {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(s.draw())
	}
	return &lockedReader{r: rand.NewChaCha8(seed)}
}

type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}

// trace notes what happened. The hash of all notes tells whether two runs were the same.
func (s *Sim) trace(format string, args ...any) {
	line := fmt.Sprintf("%12.6f "+format+"\n", append([]any{time.Since(s.begin).Seconds()}, args...)...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteLocked(line)
}

func (s *Sim) noteLocked(line string) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", s.mu.hash, line)
	s.mu.hash = h.Sum64()
	s.mu.events++
	if s.out != nil {
		_, _ = io.WriteString(s.out, line)
	}
}

func (s *Sim) nodeLogged(m *machine, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteLocked(fmt.Sprintf("%12.6f %s %s", time.Since(s.begin).Seconds(), m.name, b))
}

// heard traces a segment.
func (s *Sim) heard(from, to netip.Addr, g segment) {
	sum := fnv.New32a()
	_, _ = sum.Write(g.b)
	s.trace("segment %v to %v: %d bytes, %08x, %v, %x", from, to, len(g.b), sum.Sum32(), g.err, g.b[:min(len(g.b), 16)])
}

// sometimes counts an interesting state.
func (s *Sim) sometimes(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.reached[what]++
}

// fail says that something is wrong; the first time ends the run.
func (s *Sim) fail(invariant string, err error) {
	s.mu.Lock()
	s.mu.failures++
	again := s.mu.failures > 5
	s.mu.Unlock()
	if again {
		return
	}
	s.trace("VIOLATION %s: %v", invariant, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.failure == nil {
		s.mu.failure = fmt.Errorf("%s: %w", invariant, err)
		close(s.mu.failed)
	}
}

func (s *Sim) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.failure
}

// failed is closed by the first failure.
func (s *Sim) failed() <-chan struct{} { return s.mu.failed }

// Result is what a run came to.
type Result struct {
	Seed    uint64
	Hash    string
	Events  uint64
	Seconds float64 // simulated
	Reached map[string]uint64
	Failure string
}

// Result tells how the run went.
func (s *Sim) Result(err error) Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Result{Seed: s.opts.Seed, Hash: fmt.Sprintf("%016x", s.mu.hash), Events: s.mu.events, Seconds: time.Since(s.begin).Seconds(), Reached: maps.Clone(s.mu.reached)}
	if err != nil {
		r.Failure = err.Error()
	}
	return r
}

func sortedKeys[K interface{ ~string | ~int | ~int32 }, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
