package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/test/kafkaref"
)

// failoverLoad is an idempotent producer that gives watched partitions a record in turn, and remembers what was acknowledged.
type failoverLoad struct {
	cl      *kgo.Client
	topic   string
	watched int
	stop    chan struct{}
	done    sync.WaitGroup
	mu      sync.Mutex
	sent    int64
	acked   map[int64]place
	failed  error
	// since is when the last kill was; waiting are the partitions that have acknowledged nothing handed over since then.
	since   time.Time
	waiting map[int32]bool
	over    chan time.Duration
}

type place struct {
	partition int32
	offset    int64
}

// failoverRate is of all watched partitions together: each has a record every 50 ms, which is how much too large a measured time can be.
const (
	failoverRate    = 2000
	failoverWatched = 100
)

func (b *broker) startFailoverLoad(topic string) (*failoverLoad, error) {
	seeds := []string{}
	for _, n := range b.nodes {
		seeds = append(seeds, n.addr)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(50*time.Millisecond), kgo.ProducerLinger(0),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }), kgo.RecordRetries(1<<30), kgo.MaxBufferedRecords(1<<20))
	if err != nil {
		return nil, err
	}
	l := &failoverLoad{cl: cl, topic: topic, watched: failoverWatched, stop: make(chan struct{}), acked: map[int64]place{}, over: make(chan time.Duration, 1)}
	l.done.Go(l.run)
	return l, nil
}

func (l *failoverLoad) run() {
	begun := time.Now()
	for i := int64(0); ; i++ {
		time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / failoverRate)))
		select {
		case <-l.stop:
			return
		default:
		}
		at := time.Now()
		r := &kgo.Record{Topic: l.topic, Partition: int32(i % int64(l.watched)), Value: strconv.AppendInt(nil, i, 10)}
		l.mu.Lock()
		l.sent++
		l.mu.Unlock()
		l.cl.Produce(context.Background(), r, func(r *kgo.Record, err error) { l.answered(i, at, r, err) })
	}
}

func (l *failoverLoad) answered(i int64, at time.Time, r *kgo.Record, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = errors.Join(l.failed, err)
		return
	}
	l.acked[i] = place{r.Partition, r.Offset}
	if at.Before(l.since) || len(l.waiting) == 0 {
		return
	}
	if delete(l.waiting, r.Partition); len(l.waiting) == 0 {
		l.over <- time.Since(l.since)
	}
}

// killed begins the measurement of an outage.
func (l *failoverLoad) killed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since, l.waiting = time.Now(), map[int32]bool{}
	for p := range l.watched {
		l.waiting[int32(p)] = true
	}
}

// failover is B15: how long a producer gets no acknowledgement from some partition after the process that leads all of them was killed.
func (s *session) failover(c *klammCluster) ([]result, error) {
	const partitions = 1000
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := c.create(ctx, "led", c.ledBy(0, partitions), map[string]string{"min.insync.replicas": "2"}); err != nil {
		return nil, err
	}
	if err := c.awaitFullISR("led"); err != nil {
		return nil, err
	}
	l, err := c.startFailoverLoad("led")
	if err != nil {
		return nil, err
	}
	defer l.cl.Close()
	var took []float64
	for range s.times(20, 4) {
		time.Sleep(time.Second)
		leader, err := c.leaderOf("led")
		if err != nil {
			return nil, err
		}
		l.killed()
		if err := c.nodes[leader].stop(true); err != nil {
			return nil, err
		}
		select {
		case d := <-l.over:
			took = append(took, d.Seconds())
		case <-time.After(time.Minute):
			return nil, errors.New("no acknowledgement for a minute")
		}
		if err := c.restart(leader); err != nil {
			return nil, err
		}
		if err := c.awaitFullISR("led"); err != nil {
			return nil, err
		}
	}
	lost, err := l.finish(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(took)
	row := fmt.Sprintf("x3 kill -9 of the leader of %d partitions", partitions)
	return []result{
		limited(row, "p50", "s", 0.7, took...), limited(row, fmt.Sprintf("worst of %d", len(took)), "s", 1.5, slices.Max(took)), limited(row, "lost", "records", 0, float64(lost)),
	}, nil
}

// leaderOf is the index of the node that leads a topic's first partition.
func (c *klammCluster) leaderOf(topic string) (int, error) {
	addrs, err := c.leaders(topic)
	if err != nil {
		return 0, err
	}
	return slices.IndexFunc(c.nodes, func(n *node) bool { return n.addr == addrs[0] }), nil
}

// finish ends the load and counts acknowledged records that are not where they were said to be.
func (l *failoverLoad) finish(ctx context.Context) (lost int, err error) {
	close(l.stop)
	l.done.Wait()
	if err := l.cl.Flush(ctx); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return 0, l.failed
	}
	left := map[place]int64{}
	for i, at := range l.acked {
		left[at] = i
	}
	from := map[int32]kgo.Offset{}
	for p := range l.watched {
		from[int32(p)] = kgo.NewOffset().AtStart()
	}
	l.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: from})
	for quiet := 0; quiet < 3 && len(left) > 0; {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		got := l.cl.PollFetches(ctx)
		cancel()
		if got.NumRecords() == 0 {
			quiet++
			continue
		}
		quiet = 0
		got.EachRecord(func(r *kgo.Record) {
			at := place{r.Partition, r.Offset}
			if i, ok := left[at]; ok && string(r.Value) == strconv.FormatInt(i, 10) {
				delete(left, at)
			}
		})
	}
	return len(left), nil
}

// handover is B15 for a clean stop: how late a Java producer's records are acknowledged at most while leaders are restarted under it.
func (s *session) handover(c *klammCluster) ([]result, error) {
	const rate, seconds = 1000, 14
	topic, err := c.topic("handed", 12, map[string]string{"min.insync.replicas": "2"})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	properties := filepath.Join(c.dir, "producer.properties") // this tool alone does not retry by itself
	if err := os.WriteFile(properties, []byte("retries=2147483647\n"), 0o600); err != nil {
		return nil, err
	}
	cmd, err := kafkaref.Command(ctx, "verifiable-producer", "--command-config", properties, "--topic", topic, "--bootstrap-server", c.addr, "--max-messages", strconv.Itoa(rate*seconds),
		"--throughput", strconv.Itoa(rate), "--acks", "-1")
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	begun := make(chan struct{})
	late := make(chan []float64, 1)
	go func() { late <- lateness(bufio.NewScanner(out), rate, begun) }()
	<-begun
	time.Sleep(4 * time.Second)
	for i := range 3 {
		if err := c.nodes[i].stop(false); err != nil {
			return nil, err
		}
		if err := c.restart(i); err != nil {
			return nil, err
		}
		if err := c.awaitFullISR(topic); err != nil {
			return nil, err
		}
	}
	delays := <-late
	if err := cmd.Wait(); err != nil {
		return nil, err
	}
	if len(delays) != rate*seconds {
		return nil, fmt.Errorf("%d of %d records were acknowledged", len(delays), rate*seconds)
	}
	return []result{limited("x3 SIGTERM of leaders, Java producer", "longest pause", "ms", 200, slices.Max(delays[2*rate:]))}, nil
}

// lateness is by how many milliseconds each acknowledgement came later than the steady rate, in the order of the records.
func lateness(in *bufio.Scanner, rate int, begun chan struct{}) []float64 {
	at := map[int]float64{}
	for in.Scan() {
		var line struct {
			Name      string `json:"name"`
			Timestamp int64  `json:"timestamp"`
			Value     string `json:"value"`
		}
		if json.Unmarshal(in.Bytes(), &line) != nil || line.Name != "producer_send_success" {
			continue
		}
		if len(at) == 0 {
			close(begun)
		}
		if i, err := strconv.Atoi(line.Value); err == nil {
			at[i] = float64(line.Timestamp) - float64(i)*1000/float64(rate)
		}
	}
	if len(at) == 0 {
		close(begun)
		return nil
	}
	var first float64
	out := make([]float64, len(at))
	for i := range out {
		if t := at[i]; i == 0 || t < first {
			first = t
		}
	}
	for i := range out {
		out[i] = at[i] - first
	}
	return out
}
