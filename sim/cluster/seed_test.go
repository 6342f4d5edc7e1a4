package cluster

import (
	"bytes"
	crand "crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/sim/history"
)

var (
	seed    = flag.Uint64("seed", 0, "the seed to run")
	chaos   = flag.Duration("chaos", 30*time.Second, "how long faults happen, in simulated time")
	without = flag.String("without", "", "faults to leave out, comma-separated")
	packets = flag.Bool("packets", false, "trace every segment that is sent, to see where two runs part")
	profile = flag.String("profile", "", "where a CPU profile is written")
	result  = flag.String("result", "", "where the result is written, as JSON; the trace goes to the same name with .trace")
)

// TestSeed runs one seed. `go run ./sim` builds it on the runtime that repeats itself and runs it once for each seed.
func TestSeed(t *testing.T) {
	if *result == "" {
		t.Skip("run by `go run ./sim`, which builds it for a runtime that repeats itself")
	}
	// The collector would run when real time says so. Only a run that has gone astray comes near the limit; without it that would take the
	// machine's memory.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(4 << 30)
	runtime.MemProfileRate = 0
	time.Local = time.UTC
	seedRuntime(*seed)
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			t.Fatal(err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			t.Fatal(err)
		}
	}
	var trace bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		o := Options{Seed: *seed, Chaos: *chaos, Without: strings.FieldsFunc(*without, func(r rune) bool { return r == ',' })}
		o.Draw()
		s := New(o, &trace)
		crand.Reader = s.entropy()
		if *packets {
			s.net.heard = s.heard
		}
		err := s.Run()
		if err != nil && s.history != nil {
			var b bytes.Buffer
			if history.Write(&b, s.history()) == nil {
				write(t, *result+".history", b.Bytes())
			}
		}
		if left := leaked(); err == nil && left != "" {
			err = fmt.Errorf("leak: %s", left)
		}
		report(t, s.Result(err), trace.Bytes())
	})
}

// leaked is the stack of a goroutine of the cluster that goes on after every node has stopped.
func leaked() string {
	synctest.Wait()
	b := make([]byte, 16<<20)
	b = b[:runtime.Stack(b, true)]
	for g := range strings.SplitSeq(string(b), "\n\n") {
		if strings.Contains(g, "klamm/internal/") {
			return g
		}
	}
	return ""
}

// report writes down what a run came to and ends the process: a goroutine that a client library leaves behind would keep the bubble from
// being left, and is none of the cluster's.
func report(t *testing.T, r Result, trace []byte) {
	for what, n := range invariant.Reached() {
		r.Reached[what] += n
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	write(t, *result+".trace", trace)
	write(t, *result, b)
	pprof.StopCPUProfile()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Printf("seed %d hash %s: %d events, %.1f simulated seconds, %d MiB allocated; %s\n", r.Seed, r.Hash, r.Events, r.Seconds, m.TotalAlloc>>20, r.Failure)
	if r.Failure != "" {
		os.Exit(1)
	}
	os.Exit(0)
}

func write(t *testing.T, name string, b []byte) {
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
