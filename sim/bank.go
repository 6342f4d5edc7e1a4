package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/klamm/klamm/sim/bugs"
	"github.com/klamm/klamm/sim/cluster"
)

// bank has every defect of the bug bank looked for, and says how many seeds each took. The short form takes those that few seeds find.
func (r *runner) bank(ctx context.Context) error {
	began := time.Now()
	var missed, open []string
	looked := 0
	fmt.Printf("%-28s %6s  %s\n", "defect", "seeds", "found by")
	for _, d := range bugs.All() {
		if r.o.quick && !d.Quick() {
			continue
		}
		looked++
		found, ran := r.hunt(ctx, string(d.Name))
		if err := ctx.Err(); err != nil {
			return err
		}
		if found == nil {
			if d.Seeds > 0 {
				missed = append(missed, string(d.Name))
			} else {
				open = append(open, string(d.Name)) // it never was found
			}
			fmt.Printf("%-28s %6d  NOT FOUND; it breaks %s\n", d.Name, ran, d.Rule)
			continue
		}
		what, _, _ := strings.Cut(found.Failure, "\n")
		fmt.Printf("%-28s %6d  %.120s\n", d.Name, ran, what)
	}
	fmt.Printf("\n%d of %d defects found in %.0f s\n", looked-len(missed)-len(open), looked, time.Since(began).Seconds())
	if len(open) > 0 {
		fmt.Printf("never found so far: %s\n", strings.Join(open, ", "))
	}
	if len(missed) > 0 {
		return fmt.Errorf("not found in %d seeds: %s", r.o.seeds, strings.Join(missed, ", "))
	}
	return nil
}

// hunt runs seeds with a defect until one finds it: one that fails with the defect and not without. What is wrong anyway is no find, nor is a cluster
// that stands still, or goes round in circles: every defect of the bank makes one do what it must not do.
func (r *runner) hunt(ctx context.Context, bug string) (found *cluster.Result, ran int) {
	r.o.bug = bug
	whole := *r.o
	whole.bug = ""
	without := &runner{binary: r.binary, o: &whole}
	c := r.o.circumstances()
	r.each(ctx, c, func(res cluster.Result) bool {
		ran++
		wrong := res.Failure != "" && !strings.HasPrefix(res.Failure, "liveness") && !strings.HasPrefix(res.Failure, noResult)
		if wrong && found == nil && without.seed(ctx, res.Seed, c, fmt.Sprintf("without-%d", res.Seed)).Failure == "" {
			found = &res
		}
		return found == nil
	})
	return found, ran
}

// look hunts for one defect.
func (r *runner) look(ctx context.Context, bug string) error {
	began := time.Now()
	found, ran := r.hunt(ctx, bug)
	if found == nil {
		return errors.Join(ctx.Err(), fmt.Errorf("%s was not found in %d seeds", bug, ran))
	}
	fmt.Printf("%s: found by seed %d after %d seeds, %.0f s: %s\n", bug, found.Seed, ran, time.Since(began).Seconds(), found.Failure)
	fmt.Printf("see it again: %s\n", r.o.command(found.Seed, r.o.circumstances()))
	return nil
}
