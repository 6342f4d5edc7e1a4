package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klamm/klamm/sim/cluster"
)

// runner runs seeds in processes of their own: a run depends on nothing that happened before it, and a panic ends only itself.
type runner struct {
	binary string
	o      *options
}

// circumstances are what the command line may take from a seed.
type circumstances struct {
	chaos   time.Duration
	without []string
}

func (o *options) circumstances() circumstances {
	return circumstances{o.chaos, strings.FieldsFunc(o.without, func(r rune) bool { return r == ',' })}
}

// seedTime is how long a seed may take; one that simulates two minutes takes a few seconds of a processor that others want, too.
const seedTime = time.Minute

// seed runs one seed. A process that ended without a result has failed too.
func (r *runner) seed(ctx context.Context, seed uint64, c circumstances, name string) cluster.Result {
	ctx, cancel := context.WithTimeout(ctx, seedTime)
	defer cancel()
	file := filepath.Join(r.o.out, name)
	said, runErr := r.child(ctx, file, "-seed", fmt.Sprint(seed), "-chaos", c.chaos.String(), "-without", strings.Join(c.without, ","))
	b, err := os.ReadFile(file)
	var res cluster.Result
	if err == nil {
		err = json.Unmarshal(b, &res)
	}
	if err != nil {
		res = cluster.Result{Seed: seed, Failure: crashed(said, errors.Join(ctx.Err(), runErr))}
		_ = os.WriteFile(file+".trace", said, 0o600) // shown if it is there
	}
	if res.Failure == "" {
		for _, suffix := range []string{"", ".trace", ".history"} {
			_ = os.Remove(file + suffix)
		}
	}
	return res
}

// noResult begins the failure of a seed whose process neither came to an end nor said why.
const noResult = "the process ended without a result"

// child runs the simulation and keeps what it writes in file, and next to it. The words a process is started with take memory in it, and so move what
// comes later: it hears nothing of where it is, and no word that is not the seed's.
func (r *runner) child(ctx context.Context, file string, args ...string) (said []byte, err error) {
	dir, err := os.MkdirTemp(r.o.out, "seed-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cmd := exec.CommandContext(ctx, r.binary)
	cmd.Args = append([]string{"sim", "-test.run", "^TestSeed$", "-test.timeout", "0", "-result", "result"}, args...)
	cmd.Env, cmd.Dir = []string{"GOMAXPROCS=1", "SIM_BUG=" + r.o.bug}, dir
	said, err = cmd.CombinedOutput()
	for _, suffix := range []string{"", ".trace", ".history"} {
		if moved := os.Rename(filepath.Join(dir, "result"+suffix), file+suffix); moved != nil && !errors.Is(moved, fs.ErrNotExist) {
			err = errors.Join(err, moved)
		}
	}
	return said, err
}

// crashed is what a process that panicked said.
func crashed(said []byte, err error) string {
	for line := range bytes.Lines(said) {
		if bytes.HasPrefix(line, []byte("panic:")) || bytes.HasPrefix(line, []byte("fatal error:")) {
			return strings.TrimSpace(string(line))
		}
	}
	return fmt.Sprintf("%s: %v", noResult, err)
}

// each runs seeds several at a time and gives their results, in any order, until give says that it is enough.
func (r *runner) each(ctx context.Context, c circumstances, give func(cluster.Result) bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seeds := make(chan uint64)
	go func() {
		defer close(seeds)
		for s := r.o.from; s < r.o.from+r.o.seeds; s++ {
			select {
			case seeds <- s:
			case <-ctx.Done():
				return
			}
		}
	}()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range r.o.procs {
		wg.Go(func() {
			for s := range seeds {
				res := r.seed(ctx, s, c, fmt.Sprintf("seed-%d", s))
				if ctx.Err() != nil {
					return
				}
				mu.Lock()
				if !give(res) {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// all runs every seed and says what they came to.
func (r *runner) all(ctx context.Context) error {
	began := time.Now()
	reached := map[string]uint64{}
	var failed []cluster.Result
	var simulated float64
	done := 0
	r.each(ctx, r.o.circumstances(), func(res cluster.Result) bool {
		done++
		simulated += res.Seconds
		for what, n := range res.Reached {
			reached[what] += n
		}
		if res.Failure != "" {
			failed = append(failed, res)
			fmt.Printf("seed %d: %s\n", res.Seed, res.Failure)
		}
		return true
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	fmt.Printf("\n%d seeds, %.0f simulated seconds in %.0f s: %.1f to 1 on %d processes\n", done, simulated, took, simulated/took, r.o.procs)
	for _, what := range slices.Sorted(maps.Keys(reached)) {
		fmt.Printf("  %10d  %s\n", reached[what], what)
	}
	if len(failed) > 0 {
		slices.SortFunc(failed, func(a, b cluster.Result) int { return cmp.Compare(a.Seed, b.Seed) })
		r.explain(ctx, failed[0])
		return fmt.Errorf("%d of %d %w", len(failed), done, errFailed)
	}
	return enough(reached, done)
}

// again runs one seed twice and shows what happened.
func (r *runner) again(ctx context.Context, seed uint64) error {
	c := r.o.circumstances()
	first := r.seed(ctx, seed, c, fmt.Sprintf("seed-%d-a", seed))
	second := r.seed(ctx, seed, c, fmt.Sprintf("seed-%d", seed))
	fmt.Printf("seed %d: %d events, %.1f simulated seconds, hash %s and again %s\n", seed, second.Events, second.Seconds, first.Hash, second.Hash)
	if first.Hash != second.Hash {
		return errors.New("the two runs were not the same: the simulation does not repeat itself")
	}
	if second.Failure == "" {
		fmt.Println("nothing was violated")
		return nil
	}
	r.show(fmt.Sprintf("seed-%d", seed))
	fmt.Println(second.Failure)
	return errFailed
}
