package reset

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/internal/cli/connect"
)

// ParseTopics reads "topic" and "topic:0,1" into the partitions they name.
func ParseTopics(ctx context.Context, c *connect.Cluster, args []string) ([]Partition, error) {
	var out []Partition
	var whole []string
	for _, arg := range args {
		topic, list, ok := strings.Cut(arg, ":")
		if !ok {
			whole = append(whole, topic)
			continue
		}
		for s := range strings.SplitSeq(list, ",") {
			n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
			if err != nil || n < 0 {
				return nil, fmt.Errorf("%s: %q is not a partition", arg, s)
			}
			out = append(out, Partition{topic, int32(n)})
		}
	}
	if len(whole) == 0 {
		return out, nil
	}
	topics, err := c.ListTopicsWithInternal(ctx, whole...)
	if err != nil {
		return nil, err
	}
	for _, name := range whole {
		t, ok := topics[name]
		if !ok {
			return nil, fmt.Errorf("topic %s: %w", name, kerr.UnknownTopicOrPartition)
		}
		if t.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", name, t.Err)
		}
		for _, p := range t.Partitions.Sorted() {
			out = append(out, Partition{name, p.Partition})
		}
	}
	return out, nil
}

// Committed are the partitions a group has offsets for.
func Committed(ctx context.Context, c *connect.Cluster, group string) ([]Partition, error) {
	offsets, err := c.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	var out []Partition
	for _, o := range offsets.Sorted() {
		out = append(out, Partition{o.Topic, o.Partition})
	}
	return out, nil
}

// ParseCSV reads lines of topic,partition,offset, or with a group before them; it returns offsets by group, "" where none stands there.
func ParseCSV(r io.Reader) (map[string]map[Partition]int64, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = -1
	in.TrimLeadingSpace = true
	out := map[string]map[Partition]int64{}
	for {
		f, err := in.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		group := ""
		if len(f) == 4 {
			group, f = f[0], f[1:]
		}
		if len(f) != 3 {
			line, _ := in.FieldPos(0)
			return nil, fmt.Errorf("line %d: expected [group,]topic,partition,offset", line)
		}
		partition, err1 := strconv.ParseInt(strings.TrimSpace(f[1]), 10, 32)
		offset, err2 := strconv.ParseInt(strings.TrimSpace(f[2]), 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		if out[group] == nil {
			out[group] = map[Partition]int64{}
		}
		out[group][Partition{f[0], int32(partition)}] = offset
	}
}

// ParseTime reads the date-times Kafka's tool takes: YYYY-MM-DDThh:mm:ss[.sss][Z|+hh[:]mm]; without a zone it is UTC, as there.
func ParseTime(s string) (time.Time, error) {
	if !strings.Contains(s, "T") {
		return time.Time{}, errors.New("Error parsing timestamp. It does not contain a 'T' according to ISO8601 format")
	}
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("Unparseable date: %q", s)
}

// ParseDuration reads an ISO 8601 duration of days and less, such as P1DT2H3M4.5S, or Go's form, 26h3m.
func ParseDuration(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	bad := fmt.Errorf("%q is not a duration; expected PnDTnHnMnS, such as PT1H30M", s)
	rest, negative := strings.CutPrefix(strings.ToUpper(s), "-")
	rest, ok := strings.CutPrefix(rest, "P")
	if !ok || rest == "" {
		return 0, bad
	}
	date, clock, hasTime := strings.Cut(rest, "T")
	total, err := sum(date, map[byte]time.Duration{'D': 24 * time.Hour})
	if err != nil {
		return 0, bad
	}
	if hasTime {
		t, err := sum(clock, map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second})
		if err != nil || clock == "" {
			return 0, bad
		}
		total += t
	}
	if negative {
		total = -total
	}
	return total, nil
}

func sum(s string, units map[byte]time.Duration) (time.Duration, error) {
	var total time.Duration
	for s != "" {
		i := strings.IndexFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' })
		if i <= 0 || units[s[i]] == 0 {
			return 0, errors.New("no such unit")
		}
		n, err := strconv.ParseFloat(s[:i], 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(n * float64(units[s[i]]))
		s = s[i+1:]
	}
	return total, nil
}
