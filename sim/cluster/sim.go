package cluster

import (
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/vfs"
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

	mu struct {
		sync.Mutex
		rng     *rand.Rand
		events  uint64
		hash    uint64
		reached map[string]uint64
		failure error
		failed  chan struct{}
	}
}

// Options is what a seed decides before anything runs.
type Options struct {
	Seed     uint64
	Machines int
	// Chaos is how long faults happen, in simulated time.
	Chaos  time.Duration
	config map[string]string
}

// New prepares a run. The trace goes to out.
func New(o Options, out io.Writer) *Sim {
	s := &Sim{opts: o, begin: time.Now(), out: out}
	s.mu.rng = rand.New(rand.NewPCG(o.Seed, 1))
	s.mu.reached, s.mu.failed = map[string]uint64{}, make(chan struct{})
	least := 50 * time.Microsecond
	s.net = NewNet(rand.New(rand.NewPCG(o.Seed, 2)), least, least+time.Duration(s.draw()%uint64(2*time.Millisecond)))
	for i := range o.Machines {
		m := &machine{s: s, name: fmt.Sprintf("n%d", i+1), addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), disk: vfs.NewMem(s.draw())}
		m.syncs.Store(int64(2 * time.Millisecond))
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

// rngFor is a generator of its own for a purpose.
func (s *Sim) rngFor(string, string) *rand.Rand { return rand.New(rand.NewPCG(s.draw(), 3)) }

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

// sometimes counts an interesting state.
func (s *Sim) sometimes(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.reached[what]++
}

// fail says that something is wrong; the first time ends the run.
func (s *Sim) fail(invariant string, err error) {
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

func (s *Sim) brokenDisk(*machine) bool { return false }

func sortedKeys[K interface{ ~string | ~int | ~int32 }, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
