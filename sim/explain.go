package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klamm/klamm/sim/cluster"
)

// kindOf is what was violated, without the particulars that change when less happens.
func kindOf(failure string) string {
	kind, _, _ := strings.Cut(failure, ":")
	return kind
}

// maxTries bounds the search for a smaller failure.
const maxTries = 24

// explain looks for the least that fails in the same way, shows it, and says how to see it again.
func (r *runner) explain(ctx context.Context, first cluster.Result) {
	c := r.o.circumstances()
	kind := kindOf(first.Failure)
	name := fmt.Sprintf("seed-%d", first.Seed)
	tries := 0
	fails := func(c circumstances) bool {
		if tries++; tries > maxTries {
			return false
		}
		return kindOf(r.seed(ctx, first.Seed, c, name+"-less").Failure) == kind
	}
	for d := c.chaos / 2; d >= time.Second; d /= 2 {
		if less := (circumstances{c.chaos - d, c.without}); fails(less) {
			c = less
		}
	}
	for _, f := range cluster.FaultNames() {
		if less := (circumstances{c.chaos, append(slices.Clone(c.without), f)}); fails(less) {
			c = less
		}
	}
	res := r.seed(ctx, first.Seed, c, name)
	fmt.Printf("\nthe smallest run found that fails like seed %d (%s):\n", first.Seed, kind)
	r.show(name)
	fmt.Printf("%s\nagain: %s\n", res.Failure, r.o.command(first.Seed, c))
}

// shown is how much of a trace is shown.
const shown = 60

// show prints the end of a trace that matters: what was done, what became of partitions, what nodes warned of.
func (r *runner) show(name string) {
	file := filepath.Join(r.o.out, name+".trace")
	b, err := os.ReadFile(file)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			fmt.Println(err)
		}
		return
	}
	var lines []string
	for line := range bytes.Lines(b) {
		if !bytes.Contains(line, []byte(`"level":"INFO"`)) {
			lines = append(lines, string(line[:min(len(line), 300)]))
		}
	}
	fmt.Print(strings.Join(lines[max(0, len(lines)-shown):], ""))
	fmt.Println("whole trace:", file)
}
