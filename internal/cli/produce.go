package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// produceFlags say how input becomes records.
type produceFlags struct {
	input, keySep, delimiter string
	key, value               string
	headers                  []string
	partition                int32
	compression, acks        string
	nullEmpty, keepPartition bool
	dryRun                   bool
}

func (a *app) produceCommand() *cobra.Command {
	var p produceFlags
	c := &cobra.Command{
		Use: "produce TOPIC [FILE...]", Short: "write records, one per line of standard input or files", Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeTopics,
		Example: "  echo 'alice:first order' | klamm produce orders -K :\n  klamm produce orders --key alice --value 'second order' -H source=shell\n" +
			"  klamm consume orders --from-beginning --exit -o json | klamm produce copy --input json",
		RunE: func(c *cobra.Command, args []string) error { return a.produce(c, args[0], args[1:], p) },
	}
	f := c.Flags()
	f.StringVarP(&p.input, "input", "i", "lines", "lines: a record for each; json: what consume -o json prints")
	f.StringVarP(&p.keySep, "key-separator", "K", "", "text between key and value; lines without it have no key")
	f.StringVarP(&p.delimiter, "delimiter", "D", `\n`, "text between records")
	f.StringVarP(&p.key, "key", "k", "", "key of all records")
	f.StringVarP(&p.value, "value", "m", "", "write this one value instead of reading input")
	f.StringArrayVarP(&p.headers, "header", "H", nil, "key=value for all records; may be repeated")
	f.Int32VarP(&p.partition, "partition", "p", -1, "partition for all records; -1 by key, or spread")
	f.StringVarP(&p.compression, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	f.StringVarP(&p.acks, "acks", "a", "all", "all, 1 or 0")
	f.BoolVarP(&p.nullEmpty, "null", "Z", false, "empty keys and values are null; a null value is a tombstone")
	f.BoolVar(&p.keepPartition, "keep-partition", false, "with --input json: into the partitions the lines name")
	f.BoolVar(&p.dryRun, "dry-run", false, "read the input and say what would be written")
	return c
}

func (a *app) produce(c *cobra.Command, topic string, files []string, p produceFlags) error {
	read, err := p.reader(c.Flags().Changed("key"), topic)
	if err != nil {
		return err
	}
	s, err := a.settings()
	if err != nil {
		return err
	}
	if _, ok := s.Properties["compression.type"]; !ok || c.Flags().Changed("compression") {
		s.Properties["compression.type"] = p.compression
	}
	if _, ok := s.Properties["acks"]; !ok || c.Flags().Changed("acks") {
		s.Properties["acks"] = p.acks
	}
	delivery := &delivery{}
	send := func(*kgo.Record) { delivery.asked++ }
	if !p.dryRun {
		opts := []kgo.Opt{kgo.RecordPartitioner(namedPartition{kgo.StickyKeyPartitioner(nil)}), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(8),
			kgo.AllowIdempotentProduceCancellation()}
		cl, err := s.Client(opts...)
		if err != nil {
			return err
		}
		defer cl.Close()
		if err := cl.Ping(c.Context()); err != nil {
			return err // the producer would try for ever
		}
		ctx, cancel := context.WithCancelCause(c.Context())
		defer cancel(nil)
		go delivery.watch(ctx, cancel, a.flags.timeout)
		send = func(r *kgo.Record) {
			delivery.begin()
			cl.Produce(ctx, r, delivery.done)
		}
		delivery.flush = func(context.Context) error {
			err := cl.Flush(ctx)
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
	switch {
	case c.Flags().Changed("value"):
		r, err := read([]byte(p.value))
		if err != nil {
			return err
		}
		send(r)
	default:
		if err := a.feed(c.Context(), files, p.delimiter, read, send); err != nil {
			return errors.Join(err, delivery.wait(c.Context()))
		}
	}
	if p.dryRun {
		a.printf("would write %s to %s\n", plural(delivery.asked, "record"), topic)
		return nil
	}
	if err := delivery.wait(c.Context()); err != nil {
		return err
	}
	a.note("%s written to %s", plural(delivery.asked, "record"), topic)
	return nil
}

// namedPartition takes the partition a record names, and where it names none the one Java's producer would take.
type namedPartition struct{ byKey kgo.Partitioner }

// ForTopic makes the partitioner of one topic.
func (n namedPartition) ForTopic(topic string) kgo.TopicPartitioner {
	return namedTopicPartition{n.byKey.ForTopic(topic)}
}

type namedTopicPartition struct{ kgo.TopicPartitioner }

// RequiresConsistency keeps a named partition named while its leader is away.
func (n namedTopicPartition) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || n.TopicPartitioner.RequiresConsistency(r)
}

// Partition may answer a partition that does not exist: the client then fails the record.
func (n namedTopicPartition) Partition(r *kgo.Record, count int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return n.TopicPartitioner.Partition(r, count)
}

// OnNewBatch lets records without a key move on to another partition.
func (n namedTopicPartition) OnNewBatch() {
	if p, ok := n.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		p.OnNewBatch()
	}
}

// delivery counts what was acknowledged.
type delivery struct {
	mu     sync.Mutex
	asked  int
	ended  int // acknowledged or failed
	failed int
	first  error
	flush  func(context.Context) error
}

func (d *delivery) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
}

// watch gives up when records wait and none of them has ended for so long. The client's own limit counts from a record's timestamp, which
// a user may have set to any time.
func (d *delivery) watch(ctx context.Context, giveUp context.CancelCauseFunc, limit time.Duration) {
	tick := time.NewTicker(limit / 20)
	defer tick.Stop()
	since, ended := time.Now(), -1
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			d.mu.Lock()
			if d.ended != ended || d.asked == d.ended {
				since, ended = now, d.ended
			}
			d.mu.Unlock()
			if now.Sub(since) > limit {
				giveUp(fmt.Errorf("no record was acknowledged for %s: %w", limit, context.DeadlineExceeded))
			}
		}
	}
}

func (d *delivery) done(_ *kgo.Record, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended++
	if err == nil {
		return
	}
	d.failed++
	if d.first == nil {
		d.first = err
	}
}

func (d *delivery) wait(ctx context.Context) error {
	if d.flush == nil {
		return nil
	}
	err := d.flush(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return err
	case d.failed > 0 && d.failed == d.asked:
		return d.first
	case d.failed > 0:
		return &fault{what: fmt.Sprintf("%d of %s were not written", d.failed, plural(d.asked, "record")), why: d.first, code: ExitPartial}
	}
	return err
}

// reader turns one piece of input into a record.
func (p produceFlags) reader(hasKey bool, topic string) (func([]byte) (*kgo.Record, error), error) {
	var headers []kgo.RecordHeader
	for _, h := range p.headers {
		k, v, ok := strings.Cut(h, "=")
		if !ok {
			return nil, usage("--header %s: expected key=value", h)
		}
		headers = append(headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	sep, err := unescape(p.keySep)
	if err != nil {
		return nil, usage("--key-separator: %v", err)
	}
	switch p.input {
	case "json":
		return func(b []byte) (*kgo.Record, error) {
			r, err := parseRecord(b)
			if err != nil {
				return nil, err
			}
			r.Topic = topic
			if !p.keepPartition {
				r.Partition = p.partition
			}
			r.Headers = append(r.Headers, headers...)
			return r, nil
		}, nil
	case "lines":
		return func(b []byte) (*kgo.Record, error) {
			r := &kgo.Record{Topic: topic, Partition: p.partition, Headers: headers, Value: bytes.Clone(b)}
			if r.Value == nil {
				r.Value = []byte{}
			}
			if key, value, ok := bytes.Cut(r.Value, []byte(sep)); ok && sep != "" {
				r.Key, r.Value = key, value
			}
			if hasKey {
				r.Key = []byte(p.key)
			}
			if p.nullEmpty {
				r.Key, r.Value = nilIfEmpty(r.Key), nilIfEmpty(r.Value)
			}
			return r, nil
		}, nil
	}
	return nil, usage("--input %s: expected lines or json", p.input)
}

func nilIfEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// feed reads files, or standard input where there are none, piece by piece.
func (a *app) feed(ctx context.Context, files []string, delimiter string, read func([]byte) (*kgo.Record, error), send func(*kgo.Record)) error {
	d, err := unescape(delimiter)
	if err != nil || d == "" {
		return usage("--delimiter: must be some text")
	}
	if len(files) == 0 {
		if terminal(a.env.Stdin) {
			a.note("reading records from the terminal, one per line; end with Ctrl-D")
		}
		return feedOne(ctx, "standard input", a.in, d, piece{read, send})
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = feedOne(ctx, name, f, d, piece{read, send})
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type piece struct {
	read func([]byte) (*kgo.Record, error)
	send func(*kgo.Record)
}

func feedOne(ctx context.Context, name string, in io.Reader, delimiter string, p piece) error {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 64<<10), 1<<30)
	s.Split(splitBy([]byte(delimiter)))
	for n := 1; s.Scan(); n++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r, err := p.read(s.Bytes())
		if err != nil {
			return &fault{what: fmt.Sprintf("%s, record %d", name, n), why: err, code: ExitError}
		}
		p.send(r)
	}
	return s.Err()
}

// splitBy cuts at a delimiter; the last piece needs none behind it.
func splitBy(delimiter []byte) bufio.SplitFunc {
	return func(data []byte, end bool) (int, []byte, error) {
		if i := bytes.Index(data, delimiter); i >= 0 {
			return i + len(delimiter), data[:i], nil
		}
		if end && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	}
}
