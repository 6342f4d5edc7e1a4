package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/klamm/klamm/internal/node"
	"github.com/klamm/klamm/internal/vfs"
)

// machine is a computer with a disk, a clock and an address. A process may run on it.
type machine struct {
	s      *Sim
	name   string
	id     int
	addr   netip.Addr
	offset atomic.Int64 // of its wall clock
	behind atomic.Int64 // what is added to that at the next start
	disk   *vfs.Mem
	// syncs is how long its disk takes to sync, at most.
	syncs atomic.Int64
	// suspect says that its disk has failed a sync, full that it has no room: then its process may end itself.
	suspect atomic.Bool
	// held says that nobody may start it yet, and wiped that replicas without another copy are gone.
	held, wiped atomic.Bool
	full        atomic.Int64

	mu   sync.Mutex
	proc *process // nil: none runs
	boot int      // processes so far
}

// process is one run of a node.
type process struct {
	m      *machine
	gate   *gate
	host   *Host
	faults *vfs.Faulty // what fails
	failed atomic.Bool // one of its syncs has failed
	cancel context.CancelFunc
	over   chan struct{} // closed when start and node have ended

	mu     sync.Mutex
	node   *node.Node
	killed bool
	ended  bool
	// stopping says that SIGTERM was sent.
	stopping bool
}

func (m *machine) flags() []string {
	set := []string{fmt.Sprintf("node.id=%d", m.id)} // so that it is the same broker with a new disk, too
	for _, k := range sortedKeys(m.s.opts.config) {
		set = append(set, k+"="+m.s.opts.config[k])
	}
	return set
}

// start runs a node. It is ready when node gives it; until then it may wait for others.
func (m *machine) start() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc != nil || m.held.Load() {
		return m.proc
	}
	m.boot++
	m.offset.Add(m.behind.Swap(0))
	m.s.net.Dark(m.addr, false)
	p := &process{m: m, gate: &gate{}, over: make(chan struct{})}
	p.host = m.s.net.Boot(m.addr, p.gate)
	p.faults = vfs.NewFaulty(m.disk)
	timed := vfs.NewFaulty(p.faults,
		vfs.Fault{Ops: vfs.OpAnySync, Before: func() { p.gate.wait(); m.takeTime() }},
		vfs.Fault{Ops: vfs.OpAny, Before: p.gate.wait})
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	m.proc = p
	f := node.Flags{
		Data: "/data", Listen: m.at(9092), NodeListen: m.at(9093), HTTPListen: m.at(9094), Join: strings.Join(m.s.join, ","), Set: m.flags(),
		Version: "sim", Stdout: io.Discard, Stderr: &nodeLog{p: p},
		World: node.World{Clock: wallClock{p.gate, &m.offset}, Disk: timed, Net: p.host, Random: m.s.entropy()},
	}
	m.s.trace("%s starts, boot %d", m.name, m.boot)
	go p.run(ctx, f)
	return p
}

// takeTime is what a sync costs.
func (m *machine) takeTime() {
	most := m.syncs.Load()
	time.Sleep(time.Duration(m.s.drawInt64(most/4, most)))
}

func (m *machine) at(port uint16) string { return netip.AddrPortFrom(m.addr, port).String() }

func (p *process) run(ctx context.Context, f node.Flags) {
	defer close(p.over)
	n, err := node.Start(ctx, f)
	if err != nil {
		if ctx.Err() == nil {
			p.m.s.died(p, fmt.Errorf("start: %w", err))
		}
		return
	}
	p.mu.Lock()
	p.node = n
	killed := p.killed
	p.mu.Unlock()
	if !killed {
		p.m.s.trace("%s is ready", p.m.name)
		p.m.s.sometimes("a node became ready")
	}
	select {
	case err := <-n.Failed():
		_ = n.Kill()
		p.m.s.died(p, err)
	case <-ctx.Done():
		if p.isKilled() {
			_ = n.Kill()
		}
	}
}

func (p *process) isKilled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}

// ready is the node once it serves, or nil.
func (m *machine) ready() *node.Node {
	m.mu.Lock()
	p := m.proc
	m.mu.Unlock()
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killed || p.ended {
		return nil
	}
	return p.node
}

// boots is how many processes it has had.
func (m *machine) boots() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boot
}

func (m *machine) running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proc != nil
}

// how a process ends.
type ending int

const (
	kill     ending = iota // kill -9: the page cache lives on
	powerCut               // the machine loses power: what was not synced may be gone
	wipe                   // and its disk is replaced by an empty one
)

func (e ending) String() string {
	return [...]string{"killed", "without power", "with another disk"}[e]
}

// end ends the process at once. What is left of it can reach nothing any more.
func (m *machine) end(how ending) {
	m.mu.Lock()
	p := m.proc
	m.proc = nil
	if p == nil && how == kill {
		m.mu.Unlock()
		return
	}
	if p != nil {
		p.mu.Lock()
		p.killed = true
		p.mu.Unlock()
		p.host.Leave(how == kill)
	}
	switch how {
	case kill:
		m.disk = m.disk.KillClone()
	case powerCut:
		m.disk = m.disk.CrashClone(m.s.child())
		m.s.net.Dark(m.addr, true)
	case wipe:
		m.disk = vfs.NewMem(m.s.draw())
		m.wiped.Store(true)
		m.s.net.Dark(m.addr, true)
	}
	m.mu.Unlock()
	if p == nil {
		return
	}
	p.gate.reopen()
	p.faults.Inject(vfs.Fault{Ops: vfs.OpAny, Err: syscall.EIO}) // a disk that the process cannot see any more
	p.cancel()
	m.s.zombies.Go(func() { <-p.over })
}

// stop is SIGTERM, and waits until the process has ended.
func (m *machine) stop() error {
	m.mu.Lock()
	p := m.proc
	m.mu.Unlock()
	if p == nil {
		return nil
	}
	p.mu.Lock()
	n, again := p.node, p.stopping
	p.stopping = true
	p.mu.Unlock()
	var err error
	if n != nil && !again {
		err = n.Stop()
	}
	p.cancel()
	<-p.over
	m.mu.Lock()
	if m.proc == p {
		m.proc = nil
		p.host.Leave(true)
		m.disk = m.disk.KillClone()
	}
	m.mu.Unlock()
	return err
}

// died takes note of a process that ended by itself.
func (s *Sim) died(p *process, err error) {
	m := p.m
	if p.isKilled() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc != p {
		return
	}
	s.trace("%s died: %v", m.name, err)
	if !s.excused(m, err) {
		s.fail("liveness", fmt.Errorf("%s ended by itself: %w", m.name, err))
	}
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	m.proc = nil
	p.host.Leave(true)
	m.disk = m.disk.KillClone()
}

// excused reports that a node may end itself: its disk has failed, or is full.
func (s *Sim) excused(m *machine, err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC) || m.suspect.Load() || m.full.Load() > 0
}

// nodeLog puts a node's log into the trace.
type nodeLog struct {
	p  *process
	mu sync.Mutex
}

func (l *nodeLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.p.isKilled() {
		l.p.m.s.nodeLogged(l.p.m, b)
	}
	return len(b), nil
}
