package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// options are the command line.
type options struct {
	from, seeds uint64
	seed        uint64
	chaos       time.Duration
	without     string
	bug         string
	bugs, quick bool
	procs       int
	out         string
}

func main() {
	var o options
	flag.Uint64Var(&o.from, "from", 1, "the first seed")
	flag.Uint64Var(&o.seeds, "seeds", 100, "how many seeds to run")
	flag.Uint64Var(&o.seed, "seed", 0, "run this seed alone, twice, and show its trace")
	flag.DurationVar(&o.chaos, "chaos", 30*time.Second, "how long faults happen in a seed, in simulated time")
	flag.StringVar(&o.without, "without", "", "faults to leave out, comma-separated")
	flag.StringVar(&o.bug, "bug", "", "run with this defect of the bug bank, until it is found")
	flag.BoolVar(&o.bugs, "bugs", false, "look for every defect of the bug bank in -seeds seeds")
	flag.BoolVar(&o.quick, "quick", false, "with -bugs: only those that a few seeds find")
	flag.IntVar(&o.procs, "procs", runtime.NumCPU(), "seeds at the same time")
	flag.StringVar(&o.out, "out", "", "where traces are kept; a temporary directory when empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		stop()
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context) error {
	if o.out == "" {
		dir, err := os.MkdirTemp("", "klamm-sim-")
		if err != nil {
			return err
		}
		o.out = dir
	} else if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	out, err := filepath.Abs(o.out) // seeds run elsewhere
	if err != nil {
		return err
	}
	o.out = out
	tags := []string{"simruntime", "invariants"}
	if o.bug != "" || o.bugs {
		tags = append(tags, "bugs")
	}
	began := time.Now()
	binary, err := build(ctx, o.out, tags)
	if err != nil {
		return err
	}
	fmt.Printf("built in %.0f s; results in %s\n", time.Since(began).Seconds(), o.out)
	r := &runner{binary: binary, o: o}
	switch {
	case o.seed != 0:
		return r.again(ctx, o.seed)
	case o.bug != "":
		return r.look(ctx, o.bug)
	case o.bugs:
		return r.bank(ctx)
	}
	return r.all(ctx)
}

// command is how a person runs a seed again.
func (o *options) command(seed uint64, c circumstances) string {
	words := []string{"go run ./sim", fmt.Sprintf("-seed %d", seed)}
	if c.chaos != 30*time.Second {
		words = append(words, "-chaos "+c.chaos.String())
	}
	if len(c.without) > 0 {
		words = append(words, "-without "+strings.Join(c.without, ","))
	}
	if o.bug != "" {
		words = append(words, "-bug "+o.bug)
	}
	return strings.Join(words, " ")
}

var errFailed = errors.New("seeds failed")
