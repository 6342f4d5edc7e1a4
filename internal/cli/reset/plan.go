package reset

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/internal/cli/connect"
)

// Kind says where offsets go.
type Kind int

// The kinds of reset Kafka's tool has.
const (
	ToEarliest Kind = iota + 1
	ToLatest
	ToCurrent // keep what is committed; the end where nothing is
	ToOffset
	ShiftBy
	ToTime
	ToGiven // explicit offsets per partition
)

// Spec is one reset.
type Spec struct {
	Kind   Kind
	Offset int64     // ToOffset: the offset; ShiftBy: the distance
	Time   time.Time // ToTime
	Given  map[Partition]int64
}

// Partition names a partition.
type Partition struct {
	Topic     string
	Partition int32
}

// Move is what happens to one partition.
type Move struct {
	Partition
	From int64 // committed before; -1 when nothing was
	To   int64
	// Empty: there is no record at or behind the asked time, so the end was taken.
	Empty bool
}

// NotCommittedError says that a shift has nothing to start from.
type NotCommittedError struct{ Partition }

// Error is the sentence of Kafka's tool.
func (e *NotCommittedError) Error() string {
	return fmt.Sprintf("Cannot shift offset for partition %s-%d since there is no current committed offset", e.Topic, e.Partition.Partition)
}

// Plan computes the moves of one group, ordered by topic and partition. Offsets that do not exist become the nearest that do.
func Plan(ctx context.Context, c *connect.Cluster, group string, partitions []Partition, spec Spec) ([]Move, error) {
	topics := topicsOf(partitions)
	if len(topics) == 0 {
		return nil, nil
	}
	starts, err := c.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, err
	}
	ends, err := c.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	committed, err := c.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	var timed kadm.ListedOffsets
	if spec.Kind == ToTime {
		if timed, err = c.ListOffsetsAfterMilli(ctx, spec.Time.UnixMilli(), topics...); err != nil {
			return nil, err
		}
	}
	moves := make([]Move, 0, len(partitions))
	for _, p := range partitions {
		at := position{from: -1, start: offset(starts, p), end: offset(ends, p), timed: -1}
		if o, ok := committed.Lookup(p.Topic, p.Partition); ok && o.Err == nil {
			at.from = o.At
		}
		if spec.Kind == ToTime {
			if o, ok := timed.Lookup(p.Topic, p.Partition); ok && o.Err == nil && o.Timestamp >= 0 {
				at.timed = o.Offset
			}
		}
		m, err := move(p, at, spec)
		if err != nil {
			return nil, err
		}
		moves = append(moves, m)
	}
	slices.SortFunc(moves, func(a, b Move) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition.Partition, b.Partition.Partition))
	})
	return moves, nil
}

// position is what is known of a partition before the move.
type position struct{ from, start, end, timed int64 }

func move(p Partition, at position, spec Spec) (Move, error) {
	m := Move{Partition: p, From: at.from}
	switch spec.Kind {
	case ToEarliest:
		m.To = at.start
	case ToLatest:
		m.To = at.end
	case ToCurrent:
		m.To = at.from
		if at.from < 0 {
			m.To = at.end
		}
	case ToOffset:
		m.To = within(spec.Offset, at)
	case ShiftBy:
		if at.from < 0 {
			return m, &NotCommittedError{p}
		}
		m.To = within(at.from+spec.Offset, at)
	case ToTime:
		m.To = at.timed
		if at.timed < 0 {
			m.To, m.Empty = at.end, true
		}
	case ToGiven:
		m.To = within(spec.Given[p], at)
	}
	return m, nil
}

func within(o int64, at position) int64 { return min(max(o, at.start), at.end) }

func offset(l kadm.ListedOffsets, p Partition) int64 {
	o, _ := l.Lookup(p.Topic, p.Partition)
	return o.Offset
}

func topicsOf(partitions []Partition) []string {
	var topics []string
	for _, p := range partitions {
		if !slices.Contains(topics, p.Topic) {
			topics = append(topics, p.Topic)
		}
	}
	return topics
}

// Commit writes the moves as the group's offsets.
func Commit(ctx context.Context, c *connect.Cluster, group string, moves []Move) error {
	var os kadm.Offsets
	for _, m := range moves {
		os.AddOffset(m.Topic, m.Partition.Partition, m.To, -1)
	}
	return c.CommitAllOffsets(ctx, group, os)
}
