package cli

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/perf"
)

// benchFlags describe a load.
type benchFlags struct {
	topic       string
	records     int64
	size        int
	rate        float64
	warmup      int64
	acks        string
	compression string
	batch       string
	linger      time.Duration
}

func (a *app) benchCommand() *cobra.Command {
	return noun("bench", "load a broker and measure", a.benchProduce(), a.benchConsume(), a.benchEndToEnd())
}

// latencyJSON are quantiles in ms.
type latencyJSON struct {
	Mean float64 `json:"mean_ms"`
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P95  float64 `json:"p95_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

func quantiles(l *perf.Latencies) latencyJSON {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return latencyJSON{ms(l.Mean()), ms(l.Quantile(0.5)), ms(l.Quantile(0.9)), ms(l.Quantile(0.95)), ms(l.Quantile(0.99)), ms(l.Quantile(0.999)), ms(l.Max())}
}

func (q latencyJSON) text() string {
	return fmt.Sprintf("latency ms   mean %.3f   p50 %.3f   p90 %.3f   p95 %.3f   p99 %.3f   p99.9 %.3f   max %.3f\n", q.Mean, q.P50, q.P90, q.P95, q.P99, q.P999, q.Max)
}

type loadJSON struct {
	Records    int64        `json:"records"`
	Failed     int64        `json:"failed"`
	Bytes      int64        `json:"bytes"`
	Seconds    float64      `json:"seconds"`
	PerSecond  float64      `json:"records_per_second"`
	MBPerSec   float64      `json:"mib_per_second"`
	Latency    *latencyJSON `json:"latency,omitempty"`
	FirstError string       `json:"first_error,omitempty"`
}

func loadOf(records, bytes int64, elapsed time.Duration) loadJSON {
	s := max(elapsed.Seconds(), 1e-9)
	return loadJSON{Records: records, Bytes: bytes, Seconds: s, PerSecond: float64(records) / s, MBPerSec: float64(bytes) / s / (1 << 20)}
}

func (f *benchFlags) register(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVarP(&f.topic, "topic", "t", "klamm-bench", "the topic; it is created with the broker's defaults where it is missing")
	fl.IntVarP(&f.size, "size", "s", 1024, "bytes of a record's value")
	fl.Float64VarP(&f.rate, "rate", "r", 0, "records per second; 0 for as many as possible")
	fl.StringVarP(&f.acks, "acks", "a", "all", "all, 1 or 0")
	fl.StringVarP(&f.compression, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	fl.StringVar(&f.batch, "batch", "65536", "the largest batch in bytes")
	fl.DurationVar(&f.linger, "linger", time.Millisecond, "how long a batch waits for more records")
}

// producer makes the client of a load.
func (a *app) benchProducer(c *cobra.Command, f benchFlags, extra ...kgo.Opt) (*kgo.Client, error) {
	s, err := a.settings()
	if err != nil {
		return nil, err
	}
	for k, v := range map[string]string{"acks": f.acks, "compression.type": f.compression, "batch.size": f.batch, "linger.ms": strconv.FormatInt(f.linger.Milliseconds(), 10)} {
		if _, ok := s.Properties[k]; !ok {
			s.Properties[k] = v
		}
	}
	if err := a.withAdmin(func(adm *connect.Cluster) error { return ensureTopic(c.Context(), adm, f.topic) }); err != nil {
		return nil, err
	}
	return s.Client(append(extra, kgo.MaxBufferedRecords(1<<20), kgo.MaxBufferedBytes(64<<20), kgo.UnknownTopicRetries(10))...)
}

func ensureTopic(ctx context.Context, adm *connect.Cluster, topic string) error {
	r, err := adm.CreateTopic(ctx, -1, -1, nil, topic)
	if err != nil && r.Err == nil {
		return err
	}
	if r.Err != nil && r.Err != kerr.TopicAlreadyExists { //nolint:errorlint // kadm returns the code itself
		return withMessage(r.Err, r.ErrMessage)
	}
	return nil
}

func (a *app) benchProduce() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use: "produce", Short: "write records as fast as they are taken, or at a rate", Args: cobra.NoArgs,
		Example: "  klamm bench produce -n 1000000 --size 1024\n  klamm bench produce --rate 1000 -n 30000 --acks all -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.benchProducer(c, f)
			if err != nil {
				return err
			}
			defer cl.Close()
			progress := a.progress()
			all, steady := perf.Produce(c.Context(), perf.ProduceOptions{Client: cl, Topic: f.topic, Records: f.records, Payload: payload(f.size), Rate: f.rate, Warmup: f.warmup,
				Every: time.Second, Window: func(w perf.Window) { progress(w.Line()) }})
			progress("")
			shown := all
			if f.warmup > 0 {
				shown = steady
			}
			load := loadOf(shown.Records, shown.Bytes, shown.Elapsed)
			load.Latency = new(quantiles(shown.Latency))
			load.Failed = all.Failed
			if all.FirstError != nil {
				load.FirstError = all.FirstError.Error()
			}
			if err := a.show(load, shown.Line("")+"\n"+load.Latency.text(), nil, ""); err != nil {
				return err
			}
			if all.Failed > 0 {
				return &fault{what: fmt.Sprintf("%d of %d records were not written", all.Failed, all.Failed+all.Records), why: all.FirstError, code: ExitPartial}
			}
			return c.Context().Err()
		},
	}
	f.register(c)
	c.Flags().Int64VarP(&f.records, "records", "n", 100_000, "records to write")
	c.Flags().Int64Var(&f.warmup, "warmup", 0, "first records that do not count")
	return c
}

// payload makes values that do not compress to nothing, without spending the load's time on random numbers: windows of one random text.
func payload(size int) func(int64) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, size+4096)
	for i := range text {
		text[i] = byte('A' + rng.IntN(26))
	}
	return func(i int64) []byte { return text[i*97%4096:][:size] }
}

// progress shows one line that is written over, on a terminal only.
func (a *app) progress() func(string) {
	if !terminal(a.env.Stderr) {
		return func(string) {}
	}
	return func(line string) { fmt.Fprintf(a.env.Stderr, "\r\x1b[K%s", line) }
}

func (a *app) benchConsume() *cobra.Command {
	var topic, group string
	var records int64
	var idle time.Duration
	c := &cobra.Command{
		Use: "consume", Short: "read records as fast as they are given", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.settings()
			if err != nil {
				return err
			}
			opts := []kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(1 << 20), kgo.FetchMaxBytes(16 << 20)}
			if group != "" {
				opts = append(opts, kgo.ConsumerGroup(group), kgo.DisableAutoCommit())
			}
			progress := a.progress()
			result, err := perf.Consume(c.Context(), perf.ConsumeOptions{
				Open:    func(more ...kgo.Opt) (*kgo.Client, error) { return s.Client(append(opts, more...)...) },
				Records: records, Idle: idle, Group: group != "", Every: time.Second,
				Progress: func(_, all perf.Consumed) { progress(plural(int(all.Records), "record") + " read") },
			})
			progress("")
			if err != nil {
				return err
			}
			load := loadOf(result.Records, result.Bytes, result.Ended.Sub(result.Begun))
			text := perf.ConsumeHeader + "\n" + result.Line() + "\n"
			if err := a.show(load, text, nil, ""); err != nil {
				return err
			}
			if result.TimedOut {
				return &fault{what: fmt.Sprintf("%d of %d records came, then none for %s", result.Records, records, idle), code: ExitPartial}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVarP(&topic, "topic", "t", "klamm-bench", "the topic")
	f.StringVarP(&group, "group", "g", "", "read as a member of this group")
	f.Int64VarP(&records, "records", "n", 100_000, "records to read")
	f.DurationVar(&idle, "idle", 5*time.Second, "give up when nothing comes for so long")
	return c
}

func (a *app) benchEndToEnd() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use: "e2e", Short: "time from producing a record to consuming it", Args: cobra.NoArgs,
		Example: "  klamm bench e2e --rate 1000 -n 10000",
		RunE: func(c *cobra.Command, _ []string) error {
			if f.size < 8 {
				return usage("--size: at least 8 bytes are needed for the time of sending")
			}
			latencies, failed, err := a.endToEnd(c, f)
			if err != nil {
				return err
			}
			q := quantiles(latencies)
			text := fmt.Sprintf("%d records end to end\n%s", latencies.Count(), q.text())
			if err := a.show(struct {
				Records int64       `json:"records"`
				Lost    int64       `json:"lost"`
				Latency latencyJSON `json:"latency"`
			}{latencies.Count(), failed, q}, strings.TrimRight(text, "\n")+"\n", nil, ""); err != nil {
				return err
			}
			if failed > 0 {
				return &fault{what: fmt.Sprintf("%d records did not come back", failed), code: ExitPartial}
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().Int64VarP(&f.records, "records", "n", 10_000, "records to send")
	c.Flags().Lookup("rate").DefValue = "1000"
	f.rate = 1000
	f.linger = 0
	c.Flags().Lookup("linger").DefValue = "0s"
	return c
}

// endToEnd reads what it writes, from the end the topic had before.
func (a *app) endToEnd(c *cobra.Command, f benchFlags) (*perf.Latencies, int64, error) {
	cl, err := a.benchProducer(c, f, kgo.ConsumeTopics(f.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), kgo.FetchMaxWait(time.Second))
	if err != nil {
		return nil, 0, err
	}
	defer cl.Close()
	// The first record is waited for, so that reading has begun before anything is measured.
	latencies := &perf.Latencies{}
	in := &arrivals{client: cl, run: rand.Uint64(), records: f.records, latencies: latencies, ready: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- in.receive(c.Context()) }()
	begin := payload(f.size)
	for waiting := true; waiting; {
		if err := cl.ProduceSync(c.Context(), &kgo.Record{Topic: f.topic, Key: runKey(in.run), Value: begin(0)}).FirstErr(); err != nil {
			return nil, 0, err
		}
		select {
		case <-in.ready:
			waiting = false
		case <-time.After(100 * time.Millisecond):
		case err := <-done:
			return latencies, 0, err
		}
	}
	value := payload(f.size)
	produced, _ := perf.Produce(c.Context(), perf.ProduceOptions{Client: cl, Topic: f.topic, Records: f.records, Rate: f.rate, Payload: func(i int64) []byte {
		b := make([]byte, f.size)
		copy(b, value(i))
		binary.BigEndian.PutUint64(b, uint64(time.Now().UnixNano()))
		return b
	}})
	if produced.FirstError != nil {
		return latencies, produced.Failed, produced.FirstError
	}
	select {
	case err = <-done:
	case <-time.After(5 * time.Second):
	}
	return latencies, f.records - latencies.Count(), err
}

// runKey marks the records that only announce a run.
func runKey(run uint64) []byte { return binary.BigEndian.AppendUint64(nil, run) }

// arrivals is the reading half of an end-to-end run.
type arrivals struct {
	client    *kgo.Client
	run       uint64 // tells this run's announcement from those of earlier ones
	records   int64
	latencies *perf.Latencies
	ready     chan struct{} // closed when the announcement has come
}

func (in *arrivals) receive(ctx context.Context) error {
	announced := false
	for in.latencies.Count() < in.records {
		fetches := in.client.PollFetches(ctx)
		now := time.Now()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fetches.Err0(); err != nil {
			return err
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			switch {
			case len(r.Key) == 8:
				if !announced && binary.BigEndian.Uint64(r.Key) == in.run {
					announced = true
					close(in.ready)
				}
			case announced && len(r.Value) >= 8:
				in.latencies.Record(now.Sub(time.Unix(0, int64(binary.BigEndian.Uint64(r.Value)))))
			}
		}
	}
	return nil
}
