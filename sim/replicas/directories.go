package replicas

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/cli/inspect"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// Node is a stopped node's disk.
type Node struct {
	Name string
	FS   vfs.FS
	Dirs []string
}

// Options bound a comparison.
type Options struct {
	// Skip leaves out topics, such as compacted ones, whose replicas are cleaned at different times; nil leaves out __consumer_offsets and
	// __transaction_state.
	Skip func(topic string) bool
	// HighWatermarks are those that are known from elsewhere. Of other partitions the lowest counts that a replica has in its checkpoint, which
	// a node that stops in order has written to the end, and one that was killed up to some seconds before.
	HighWatermarks map[model.TopicPartition]int64
	// Replicas is how many copies each partition must have; 0 when it does not matter.
	Replicas int
}

// Report is what a comparison came to.
type Report struct {
	Differences []string // one for each partition at most
	Partitions  int      // compared, with two replicas at least
	Bytes       int64    // of each replica, found the same
}

// Compare reads all partitions of stopped nodes and finds the first difference in each.
func Compare(nodes []Node, o Options) (Report, error) {
	if o.Skip == nil {
		o.Skip = func(topic string) bool { return strings.HasPrefix(topic, "__") }
	}
	var report Report
	copies := map[copyKey][]Reader{}
	for _, n := range nodes {
		for _, dir := range n.Dirs {
			if err := collect(copies, n, dir, o); err != nil {
				return report, fmt.Errorf("%s: %s: %w", n.Name, dir, err)
			}
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(copies), copyKey.compare) {
		readers := copies[k]
		if o.Replicas > 0 && len(readers) != o.Replicas {
			report.Differences = append(report.Differences, fmt.Sprintf("%s: %d replicas, not %d", k.tp, len(readers), o.Replicas))
		}
		if len(readers) < 2 {
			continue
		}
		report.Partitions++
		d, same, err := First(readers)
		report.Bytes += same
		if err != nil {
			// What cannot be read below the high watermark is a difference, too.
			report.Differences = append(report.Differences, fmt.Sprintf("%s: %v", k.tp, err))
		} else if d != nil {
			report.Differences = append(report.Differences, fmt.Sprintf("%s: %s", k.tp, d))
		}
	}
	return report, nil
}

// copyKey is a partition in one life of its topic.
type copyKey struct {
	tp model.TopicPartition
	id string
}

func (k copyKey) compare(other copyKey) int {
	if c := strings.Compare(k.tp.Topic, other.tp.Topic); c != 0 {
		return c
	}
	if c := int(k.tp.Partition) - int(other.tp.Partition); c != 0 {
		return c
	}
	return strings.Compare(k.id, other.id)
}

func collect(copies map[copyKey][]Reader, n Node, dir string, o Options) error {
	d, err := inspect.Open(n.FS, dir)
	if err != nil {
		return err
	}
	starts, err := checkpoint(n.FS, path.Join(dir, "log-start-offset-checkpoint"))
	if err != nil {
		return err
	}
	marks, err := checkpoint(n.FS, path.Join(dir, "replication-offset-checkpoint"))
	if err != nil {
		return err
	}
	for _, p := range d.Partitions {
		if o.Skip(p.TP.Topic) {
			continue
		}
		r := Reader{Name: n.Name, LogStart: int64(p.Segments[0].Base), HighWatermark: marks[p.TP], Batches: batches(n.FS, p)}
		if s, ok := starts[p.TP]; ok {
			r.LogStart = max(r.LogStart, s)
		}
		if hw, ok := o.HighWatermarks[p.TP]; ok {
			r.HighWatermark = hw
		}
		k := copyKey{p.TP, p.TopicID}
		copies[k] = append(copies[k], r)
	}
	return nil
}

// batches yields all batches of a partition. The walk ends with an error at what cannot be read.
func batches(fsys vfs.FS, p inspect.Partition) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for _, s := range p.Segments {
			for b, err := range inspect.Batches(fsys, s) {
				if err != nil {
					yield(Batch{}, fmt.Errorf("%s at %d: %w", s.Path, b.Position, err))
					return
				}
				if !yield(Batch{Base: int64(b.Header.BaseOffset), Last: int64(b.Header.LastOffset()), Bytes: b.Data}, nil) {
					return
				}
			}
		}
	}
}

// maxCheckpoint bounds what is read of a checkpoint file.
const maxCheckpoint = 64 << 20

// checkpoint reads one of Kafka's per-directory checkpoint files: two lines of head, then topic, partition and offset in each. There may be none.
func checkpoint(fsys vfs.FS, name string) (map[model.TopicPartition]int64, error) {
	text, err := vfs.ReadFile(fsys, name, maxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m := map[model.TopicPartition]int64{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		p, err1 := strconv.ParseInt(f[1], 10, 32)
		offset, err2 := strconv.ParseInt(f[2], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", name, line, err)
		}
		m[model.TopicPartition{Topic: f[0], Partition: int32(p)}] = offset
	}
	return m, nil
}
