package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/reset"
)

// startPoint is where reading begins in every partition.
type startPoint struct {
	kind startKind
	n    int64 // atOffset: the offset; beforeEnd: how many records; atTime: ms
}

type startKind int

const (
	atEnd startKind = iota
	atBeginning
	atOffset
	beforeEnd
	atTime
)

// start reads --offset and --from-beginning.
func (f consumeFlags) start() (startPoint, error) {
	switch s := f.offset; {
	case f.fromBeginning || s == "beginning" || s == "earliest":
		return startPoint{kind: atBeginning}, nil
	case s == "" || s == "end" || s == "latest":
		return startPoint{}, nil
	case strings.HasPrefix(s, "@"):
		ms, err := parseMoment(s[1:])
		if err != nil {
			return startPoint{}, usage("--offset %s: expected @ and ms, a time as YYYY-MM-DDThh:mm:ssZ, or a duration back from now", s)
		}
		return startPoint{atTime, ms}, nil
	default:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return startPoint{}, usage("--offset %s: expected beginning, end, N, -N or @time", s)
		}
		if n < 0 {
			return startPoint{beforeEnd, -n}, nil
		}
		return startPoint{atOffset, n}, nil
	}
}

// parseMoment reads ms since 1970, a duration back from now, or a date and time.
func parseMoment(s string) (int64, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return ms, nil
	}
	if d, err := reset.ParseDuration(s); err == nil {
		return time.Now().Add(-d).UnixMilli(), nil
	}
	t, err := reset.ParseTime(s)
	return t.UnixMilli(), err
}

// offset is the point as the client takes it where the partitions are not known beforehand.
func (p startPoint) offset() kgo.Offset {
	o := kgo.NewOffset()
	switch p.kind {
	case atBeginning:
		return o.AtStart()
	case atOffset:
		return o.At(p.n)
	case beforeEnd:
		return o.AtEnd().Relative(-p.n)
	case atTime:
		return o.AfterMilli(p.n)
	}
	return o.AtEnd()
}

// ranges are the bounds of topics, and the offsets of a time where one was asked for.
type ranges struct {
	starts, ends, timed kadm.ListedOffsets
}

func listRanges(ctx context.Context, adm *connect.Cluster, topics []string, p startPoint) (r ranges, err error) {
	// An error of one partition is one of all: without its bounds it would seem to hold nothing.
	if r.starts, err = adm.ListStartOffsets(ctx, topics...); err == nil {
		err = r.starts.Error()
	}
	if err != nil {
		return r, err
	}
	if r.ends, err = adm.ListEndOffsets(ctx, topics...); err == nil {
		err = r.ends.Error()
	}
	if err == nil && p.kind == atTime {
		if r.timed, err = adm.ListOffsetsAfterMilli(ctx, p.n, topics...); err == nil {
			err = r.timed.Error()
		}
	}
	return r, err
}

// exact is the first offset to read of a partition, and its end.
func (p startPoint) exact(r ranges, topic string, partition int32) (first, end int64) {
	s, _ := r.starts.Lookup(topic, partition)
	e, _ := r.ends.Lookup(topic, partition)
	first = e.Offset
	switch p.kind {
	case atBeginning:
		first = s.Offset
	case atOffset:
		first = p.n
	case beforeEnd:
		first = e.Offset - p.n
	case atTime:
		if t, ok := r.timed.Lookup(topic, partition); ok && t.Offset >= 0 {
			first = t.Offset
		}
	}
	return min(max(first, s.Offset), e.Offset), e.Offset
}
