package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The simulation runs on a Go runtime whose choices follow from the seed. The few lines that make it so are put into copies of the
// runtime's files when the simulation is built (go build -overlay); the Go installation is not touched, and nothing of it is kept here.

// edit replaces one piece of a file of the standard library. The piece must occur exactly once: when a new Go release has it otherwise, the
// build says so instead of running a simulation that cannot be repeated.
type edit struct{ file, old, new string }

var runtimeEdits = []edit{
	// Chance: select, the order of maps, of the scheduler and of timers that are due together. One generator for the goroutines of the
	// simulation, because which thread runs one is the kernel's choice; what the runtime draws for itself, when its threads meet over a lock, stays
	// apart: how often that is depends on real time.
	{"runtime/rand.go", "// randn is like rand() % n but faster.\n", `// simState is the state of every choice, zero while the process starts.
var simState uint64

//go:linkname simSeed
func simSeed(seed uint64) { simState, simBoot = seed|1<<63, 0 }

// simBoot is the state of what is drawn while the process starts: the seeds of maps that outlive that.
var simBoot uint64 = 1

//go:nosplit
func simBootNext() uint64 {
	simBoot += 0xa0761d6478bd642f
	hi, lo := math.Mul64(simBoot, simBoot^0xe7037ed1a0b428db)
	return hi ^ lo
}

//go:nosplit
func simNext() uint64 {
	simState += 0xa0761d6478bd642f
	hi, lo := math.Mul64(simState, simState^0xe7037ed1a0b428db)
	return hi ^ lo
}

// simThreads are more than a process needs that runs one goroutine at a time.
const simThreads = 24

// simIdle is a thread that waits to be needed.
func simIdle() {
	lock(&sched.lock)
	mput(getg().m)
	unlock(&sched.lock)
	mPark()
}

// simStartThreads returns once they all wait.
func simStartThreads() {
	for range simThreads {
		systemstack(func() { newm(simIdle, nil, -1) })
	}
	for n := int32(0); n != simThreads; {
		osyield()
		lock(&sched.lock)
		n = sched.nmidle
		unlock(&sched.lock)
	}
}

// simDraw is below n.
//
//go:nosplit
func simDraw(n uint32) uint32 {
	if simState != 0 && getg().bubble != nil {
		return uint32((uint64(uint32(simNext())) * uint64(n)) >> 32)
	}
	return cheaprandn(n)
}

// randn is like rand() % n but faster.
`},
	{"runtime/rand.go", "func rand() uint64 {\n", "func rand() uint64 {\n	if simState != 0 && getg().bubble != nil {\n		return simNext()\n	}\n	if simBoot != 0 {\n		return simBootNext()\n	}\n"},
	{"runtime/rand.go", "	mp.cheaprand = rand()\n", "	mp.cheaprand = uint64(mp.id + 1)\n"},
	{"runtime/select.go", "j := cheaprandn(uint32(norder + 1))", "j := simDraw(uint32(norder + 1))"},
	{"runtime/rand.go", "	globalRand.state.Init(*seed)\n	clear(seed[:])\n", `	clear(seed[:])
	copy(seed[:], "the simulation begins the same")
	globalRand.state.Init(*seed)
	clear(seed[:])
`},
	// Real time: no goroutine is interrupted for having run long, and a mutex does not look at the clock.
	{"runtime/proc.go", "func retake(now int64) uint32 {\n", "func retake(now int64) uint32 {\n	if true {\n		return 0\n	}\n"},
	// The runtime's own goroutines run when real time says so: they neither draw a number nor take the place of the next one to run.
	{"runtime/proc.go", "	if randomizeScheduler && next && randn(2) == 0 {\n", "	if next && simState != 0 && (gp.bubble == nil || simNext()&1 == 0) {\n"},
	// Nor do they count when it is time to look at the other queue first.
	{"runtime/proc.go", "	if pp.schedtick%61 == 0 && !sched.runq.empty() {\n", "	if simState == 0 && pp.schedtick%61 == 0 && !sched.runq.empty() {\n"},
	{"runtime/time.go", "			t.rand = cheaprand()\n", "			t.rand = uint32(simNext())\n"},
	{"internal/sync/mutex.go", "starvationThresholdNs = 1e6", "starvationThresholdNs = 1e18"},
	// Nothing is kept for the next time by chance: what a type assertion found.
	{"runtime/iface.go", "	if cheaprand()&1023 != 0 {\n		// Only bother updating the cache ~1 in 1000 times.\n		return tab\n",
		"	if simState != 0 || cheaprand()&1023 != 0 {\n		return tab\n"},
	{"runtime/iface.go", "	if cheaprand()&1023 != 0 {\n		// Only bother updating the cache ~1 in 1000 times.\n		// This", "	if simState != 0 || cheaprand()&1023 != 0 {\n		// This"},
	// Addresses: they are the order of a map whose keys are pointers. Threads take memory, and how many there are by themselves depends on real time.
	{"runtime/proc.go", "	if haveSysmon {\n		systemstack(func() {\n			newm(sysmon, nil, -1)\n", "	simStartThreads()\n	if haveSysmon {\n		systemstack(func() {\n			newm(sysmon, nil, -1)\n"},
	{"runtime/malloc.go", "randomizeHeapBase = goexperiment.RandomizedHeapBase64 &&", "randomizeHeapBase = false && goexperiment.RandomizedHeapBase64 &&"},
	// A goroutine that waits for a mutex waits for another that may be waiting for time: a disk that hangs, held under a log's lock.
	{"runtime/runtime2.go", "	waitReasonSynctestRun:           true,\n", `	waitReasonSynctestRun:           true,
	waitReasonSyncMutexLock:         true,
	waitReasonSyncRWMutexRLock:      true,
	waitReasonSyncRWMutexLock:       true,
`},
}

// writeOverlay makes the changed files in dir and returns the name of the file that go build -overlay takes.
func writeOverlay(dir string, edits []edit) (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(out)), "src")
	changed := map[string][]byte{}
	for _, e := range edits {
		text := changed[e.file]
		if text == nil {
			if text, err = os.ReadFile(filepath.Join(src, e.file)); err != nil {
				return "", err
			}
		}
		if n := bytes.Count(text, []byte(e.old)); n != 1 {
			return "", fmt.Errorf("this Go release's %s has %d places like %q, not one: the simulation's runtime edits need another look", e.file, n, e.old)
		}
		changed[e.file] = bytes.Replace(text, []byte(e.old), []byte(e.new), 1)
	}
	replace := map[string]string{}
	for file, text := range changed {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(to, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(src, file)] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, b, 0o600)
}
