package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/moves"
	"github.com/klamm/klamm/internal/cli/moving"
)

func (a *app) brokerDrain() *cobra.Command {
	var f moveFlags
	var wait bool
	c := &cobra.Command{
		Use: "drain ID", Short: "move every replica of a broker to others", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeBrokers,
		Long: "Move every replica of a broker to others, and let it have no new ones. Drained again, a broker goes on where it was.\n\n" +
			"What nobody in sync is left of cannot be copied: it is named, and the exit code is 1.",
		RunE: func(c *cobra.Command, args []string) error {
			id, err := brokerID(args[0])
			if err != nil {
				return err
			}
			return a.withAdmin(func(adm *connect.Cluster) error { return a.drain(c.Context(), adm, id, wait, &f) })
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "return when the broker holds nothing any more")
	return f.register(c)
}

func (a *app) brokerDecommission() *cobra.Command {
	var f moveFlags
	c := &cobra.Command{
		Use: "decommission ID", Short: "drain a broker, wait, and take it out of the cluster when it has stopped", Args: cobra.ExactArgs(1),
		Long:              "Move every replica of a broker to others, wait until it holds nothing any more, and forget it. Stop its process when that is asked for.",
		ValidArgsFunction: a.completeBrokers,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := brokerID(args[0])
			if err != nil {
				return err
			}
			return a.withAdmin(func(adm *connect.Cluster) error {
				if err := a.drain(c.Context(), adm, id, true, &f); err != nil || f.dryRun {
					return err
				}
				return a.unregister(c.Context(), adm, id)
			})
		},
	}
	return f.register(c)
}

const (
	// lookAgain is the pause between two looks at something that takes its time.
	lookAgain = 500 * time.Millisecond
	// tellAgain is how long a command that waits says nothing when there is no news.
	tellAgain = 5 * time.Second
	// stuckFor is how long nothing must be able to get on before that is an error: a broker may be restarting.
	stuckFor = 10 * time.Second
)

// drain moves what a broker has to others. What cannot be moved holds up nothing else, and is an error at the end.
func (a *app) drain(ctx context.Context, adm *connect.Cluster, id int32, wait bool, f *moveFlags) error {
	now, err := partitions(ctx, adm, selection{})
	if err != nil {
		return err
	}
	brokers, err := takers(ctx, adm)
	if err != nil {
		return err
	}
	parts, stuck, err := drainable(now, id)
	if err != nil {
		return err
	}
	plan, err := moves.Drain(parts, brokers, id)
	if err != nil {
		return &fault{why: err, next: "add a broker, or lower the replication factor with klamm partition move", code: ExitError}
	}
	if slices.ContainsFunc(brokers, func(b moves.Broker) bool { return b.ID == id }) {
		// First, so that nothing new comes while the old goes. A broker that is gone gets nothing anyway.
		f.before = func() error {
			a.note("broker %d gets no new partitions until klamm broker recommission %d", id, id)
			return moving.Cordon(ctx, adm, id, true)
		}
	}
	if err := a.carryOut(ctx, adm, plan, f); err != nil || f.dryRun {
		return err
	}
	if len(plan) == 0 && f.before != nil {
		if err := f.before(); err != nil {
			return err
		}
	}
	switch {
	case wait:
		return a.awaitEmpty(ctx, adm, id)
	case len(stuck) > 0:
		return cannotMove(id, stuck)
	}
	return nil
}

// drainable are the partitions to plan with, so that those of a broker go elsewhere: without those that are going already, and those that cannot.
func drainable(now []partitionState, id int32) (parts []moves.Partition, stuck []partitionState, err error) {
	for i := range now {
		s := &now[i]
		switch {
		case !slices.Contains(s.Replicas, id):
		case slices.Contains(s.Removing, id):
			if s.obstacle(id) != "" {
				stuck = append(stuck, *s)
			}
			continue
		case len(s.Adding)+len(s.Removing) > 0: // a plan on top of another moves replicas twice
			return nil, nil, &fault{what: s.name() + " is on the move, and stays on this broker", next: "wait for klamm partition status to be empty, or klamm partition cancel " +
				fmt.Sprintf("%s:%d", s.Topic, s.Partition), code: ExitError}
		case s.obstacle(id) != "":
			stuck = append(stuck, *s)
			continue
		}
		parts = append(parts, s.place())
	}
	return parts, stuck, nil
}

// obstacle is why a partition cannot leave a broker as things are, "" when it can.
func (s *partitionState) obstacle(id int32) string {
	away := func(list []int32) (out []int32) {
		for _, b := range list {
			if slices.Contains(s.offline, b) {
				out = append(out, b)
			}
		}
		return out
	}
	if lost := away(s.ISR); s.Leader < 0 && len(lost) == len(s.ISR) {
		if len(lost) == 0 { // the last ones left it when they went (KIP-966)
			lost = away(s.Replicas)
		}
		if len(lost) == 0 {
			return "nobody leads it, and nothing in sync is left"
		}
		return fmt.Sprintf("nobody leads it while %s is away or has a failed directory", named(lost))
	}
	for _, b := range away(s.Adding) {
		if !slices.Contains(s.ISR, b) {
			return fmt.Sprintf("it goes to %s, which is away", named([]int32{b}))
		}
	}
	if len(s.Adding)+len(s.Removing) == 0 && s.planned {
		return fmt.Sprintf("nothing moves it; drain broker %d again", id)
	}
	return ""
}

func named(brokers []int32) string {
	return "broker " + strings.ReplaceAll(ids(brokers), ",", " or ")
}

// cannotMove names what stays on a broker.
func cannotMove(id int32, stuck []partitionState) error {
	errs := make([]error, 0, len(stuck))
	for i := range stuck {
		errs = append(errs, fmt.Errorf("%s: %s", stuck[i].name(), stuck[i].obstacle(id)))
	}
	return &fault{what: fmt.Sprintf("broker %d still has %s that cannot move", id, plural(len(stuck), "partition")), why: errors.Join(errs...),
		next: "bring the brokers back, or delete the topics; then drain again. klamm partition list --trouble shows more", code: ExitError}
}

// awaitEmpty waits until a broker has no replica any more, or what it has cannot move.
func (a *app) awaitEmpty(ctx context.Context, adm *connect.Cluster, id int32) error {
	var since time.Time // nothing could get on; zero while something can
	for tell := (&teller{out: a.env.Stderr}); ; {
		now, err := partitions(ctx, adm, selection{})
		if err != nil {
			return err
		}
		var left, stuck []partitionState
		for i := range now {
			if s := &now[i]; slices.Contains(s.Replicas, id) {
				s.planned = true
				left = append(left, *s)
				if s.obstacle(id) != "" {
					stuck = append(stuck, *s)
				}
			}
		}
		switch {
		case len(left) == 0:
			a.printf("broker %d holds nothing any more\n", id)
			return nil
		case len(stuck) < len(left):
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > stuckFor:
			return cannotMove(id, stuck)
		}
		tell.say(time.Now(), "%s", progressLine(id, left, stuck))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookAgain):
		}
	}
}

func progressLine(id int32, left, stuck []partitionState) string {
	const some = 3
	var names []string
	for i := range left[:min(len(left), some)] {
		names = append(names, left[i].name())
	}
	if len(left) > some {
		names = append(names, fmt.Sprintf("and %d more", len(left)-some))
	}
	line := fmt.Sprintf("broker %d still has %s: %s", id, plural(len(left), "partition"), strings.Join(names, ", "))
	if len(stuck) > 0 {
		line += fmt.Sprintf("; %d cannot move: %s: %s", len(stuck), stuck[0].name(), stuck[0].obstacle(id))
	}
	return line
}

// teller says what a command waits for: each change once, and now and then that it still waits.
type teller struct {
	out  io.Writer
	last string
	at   time.Time
}

func (t *teller) say(now time.Time, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if line == t.last && now.Sub(t.at) < tellAgain {
		return
	}
	t.last, t.at = line, now
	fmt.Fprintln(t.out, line)
}

// unregister forgets a broker once it has stopped: one that lives would come back at once.
func (a *app) unregister(ctx context.Context, adm *connect.Cluster, id int32) error {
	told := false
	for tell := (&teller{out: a.env.Stderr}); ; {
		list, err := adm.ListBrokers(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(list, func(b kadm.BrokerDetail) bool { return b.NodeID == id }) {
			break
		}
		if !told {
			a.printf("broker %d may be stopped now; waiting for that\n", id)
			a.flush()
			told = true
		} else {
			tell.say(time.Now(), "broker %d still runs", id)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookAgain):
		}
	}
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = id
	resp, err := req.RequestWith(ctx, adm.Raw)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("broker %d: %w", id, err)
	}
	a.printf("broker %d is forgotten\n", id)
	return nil
}
