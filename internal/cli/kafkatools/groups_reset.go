package kafkatools

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/reset"
)

// resetOffsets plans, prints, and with --execute commits.
func (t *tool) resetOffsets(ctx context.Context, c *connect.Cluster) error {
	names, err := t.named(ctx, c)
	if err != nil {
		return err
	}
	spec, given, err := t.resetSpec()
	if err != nil {
		return err
	}
	plans := map[string][]reset.Move{}
	described, err := c.DescribeGroups(ctx, names...)
	if err != nil {
		return err
	}
	for _, name := range names {
		if state := described[name].State; state != "Empty" && state != "Dead" && state != "" {
			t.printf("\nError: Assignments can only be reset if the group '%s' is inactive, but the current state is %s.\n", name, state)
			continue
		}
		moves, err := t.planGroup(ctx, c, name, spec, given)
		if err != nil {
			return err
		}
		plans[name] = moves
		for _, m := range moves {
			if m.Empty {
				t.printf("\nWarn: Partition %d from topic %s is empty. Falling back to latest known offset.\n", m.Partition.Partition, m.Topic)
			}
		}
		if t.opt.has("execute") {
			if err := reset.Commit(ctx, c, name, moves); err != nil {
				return err
			}
		}
	}
	order := hashOrder(names, 0)
	if t.opt.has("export") {
		t.exportCSV(order, plans)
	} else {
		t.printPlan(order, plans)
	}
	return nil
}

func (t *tool) planGroup(ctx context.Context, c *connect.Cluster, name string, spec reset.Spec, given map[string]map[reset.Partition]int64) ([]reset.Move, error) {
	var partitions []reset.Partition
	var err error
	switch {
	case spec.Kind == reset.ToGiven:
		spec.Given = given[name]
		if spec.Given == nil {
			spec.Given = given[""]
		}
		for p := range spec.Given {
			partitions = append(partitions, p)
		}
	case t.opt.has("all-topics"):
		partitions, err = reset.Committed(ctx, c, name)
	default:
		partitions, err = reset.ParseTopics(ctx, c, t.opt.values("topic"))
	}
	if err != nil {
		return nil, err
	}
	return reset.Plan(ctx, c, name, partitions, spec)
}

// resetSpec reads the scenario.
func (t *tool) resetSpec() (spec reset.Spec, given map[string]map[reset.Partition]int64, err error) {
	o := t.opt
	switch {
	case o.has("to-earliest"):
		spec.Kind = reset.ToEarliest
	case o.has("to-latest"):
		spec.Kind = reset.ToLatest
	case o.has("to-current"):
		spec.Kind = reset.ToCurrent
	case o.has("to-offset"):
		spec.Kind, spec.Offset = reset.ToOffset, o.int("to-offset")
	case o.has("shift-by"):
		spec.Kind, spec.Offset = reset.ShiftBy, o.int("shift-by")
	case o.has("to-datetime"):
		spec.Kind = reset.ToTime
		if spec.Time, err = reset.ParseTime(o.value("to-datetime")); err != nil {
			err = fmt.Errorf("java.text.ParseException: %w", err)
		}
	case o.has("by-duration"):
		var d time.Duration
		if d, err = reset.ParseDuration(o.value("by-duration")); err != nil {
			err = errors.New("Text cannot be parsed to a Duration")
		}
		spec.Kind, spec.Time = reset.ToTime, time.Now().Add(-d)
	case o.has("from-file"):
		spec.Kind = reset.ToGiven
		file, openErr := os.Open(o.value("from-file"))
		if openErr != nil {
			return spec, nil, openErr
		}
		defer file.Close()
		given, err = reset.ParseCSV(file)
	}
	return spec, given, err
}

func (t *tool) exportCSV(order []string, plans map[string][]reset.Move) {
	for _, name := range order {
		for _, m := range plans[name] {
			if len(order) > 1 || t.opt.has("all-groups") {
				t.printf("%s,", name)
			}
			t.printf("%s,%d,%d\n", m.Topic, m.Partition.Partition, m.To)
		}
	}
	t.printf("\n")
}

func (t *tool) printPlan(order []string, plans map[string][]reset.Move) {
	groupWidth, topicWidth := 15, 15
	for name, moves := range plans {
		for _, m := range moves {
			groupWidth, topicWidth = max(groupWidth, len(name)), max(topicWidth, len(m.Topic))
		}
	}
	t.printf("\n%-*s %-*s %-10s %s\n", groupWidth, "GROUP", topicWidth, "TOPIC", "PARTITION", "NEW-OFFSET")
	for _, name := range order {
		for _, m := range plans[name] {
			t.printf("%-*s %-*s %-10d %d\n", groupWidth, name, topicWidth, m.Topic, m.Partition.Partition, m.To)
		}
	}
}
