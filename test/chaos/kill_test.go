package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/test/process"
)

// ack is one acknowledged record.
type ack struct {
	partition int32
	offset    int64
	value     string
}

// TestKillNineUnderLoad kills the broker again and again while idempotent producers write with acks=all. In the end every acknowledged
// record stands at the offset it was acknowledged at, no value stands twice, and each producer's order holds in each partition
// (invariants L5, R1, P1, S1).
func TestKillNineUnderLoad(t *testing.T) {
	kills := 100
	if v := os.Getenv("CHAOS_KILLS"); v != "" {
		var err error
		if kills, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		kills = 10
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d kills", seed, kills)
	rng := rand.New(rand.NewPCG(seed, 1))

	dir := t.TempDir()
	node := process.Start(t, dir, "")
	addr := node.Kafka
	const topic, partitions = "killed", 4
	makeTopic(t, addr, topic, partitions)

	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	load := startProducers(ctx, t, addr, topic, 3)
	var slowest time.Duration
	for i := range kills {
		load.awaitProgress(ctx, t, 50)
		// A random moment within the next group commits, so that kills land in appends, fsyncs and answers alike.
		pause := time.NewTimer(time.Duration(rng.IntN(20_000)) * time.Microsecond)
		<-pause.C
		node.Kill()
		var err error
		if node, err = process.TryStart(process.Binary(t), dir, addr); err != nil {
			t.Fatalf("restart after kill %d: %v", i+1, err)
		}
		slowest = max(slowest, node.Ready)
	}
	defer node.Kill()
	load.awaitProgress(ctx, t, 50)
	acks, sent := load.stop(t)
	t.Logf("%d acknowledged of %d sent over %d kills, slowest restart %s", len(acks), sent, kills, slowest)
	if slowest > 2*time.Second {
		t.Errorf("a restart took %s, want under 2 s", slowest)
	}
	checkLog(ctx, t, addr, topic, acks)
}

func makeTopic(t *testing.T, addr, topic string, partitions int32) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addr, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
}

// load is a set of producers that never stop while the broker comes and goes.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     struct {
		sync.Mutex
		acks []ack
		sent int
		errs []error
		more chan struct{} // closed and replaced at each acknowledgement
	}
}

func startProducers(ctx context.Context, t *testing.T, addr, topic string, producers int) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel}
	l.mu.more = make(chan struct{})
	for p := range producers {
		cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addr, ",")...), kgo.DefaultProduceTopic(topic), kgo.RequiredAcks(kgo.AllISRAcks()),
			kgo.RecordDeliveryTimeout(time.Minute), kgo.ProducerLinger(time.Millisecond), kgo.MaxBufferedRecords(200), kgo.MetadataMinAge(50*time.Millisecond),
			kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.RecordRetries(1<<30))
		if err != nil {
			t.Fatal(err)
		}
		l.wg.Go(func() {
			defer cl.Close()
			l.produce(ctx, cl, p)
		})
	}
	return l
}

// produce writes "producer-sequence" values until ctx ends, then waits for what is still in flight.
func (l *load) produce(ctx context.Context, cl *kgo.Client, producer int) {
	for i := 0; ctx.Err() == nil; i++ {
		rec := &kgo.Record{Value: fmt.Appendf(nil, "%d-%08d", producer, i), Key: []byte(strconv.Itoa(i % 16))}
		l.mu.Lock()
		l.mu.sent++
		l.mu.Unlock()
		cl.Produce(context.Background(), rec, func(r *kgo.Record, err error) { l.acked(r, err) })
	}
	flush, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := cl.Flush(flush); err != nil {
		l.acked(nil, err)
	}
}

func (l *load) acked(r *kgo.Record, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.mu.errs = append(l.mu.errs, err)
		return
	}
	l.mu.acks = append(l.mu.acks, ack{r.Partition, r.Offset, string(r.Value)})
	close(l.mu.more)
	l.mu.more = make(chan struct{})
}

// awaitProgress returns after n more acknowledgements.
func (l *load) awaitProgress(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	l.mu.Lock()
	want := len(l.mu.acks) + n
	l.mu.Unlock()
	for {
		l.mu.Lock()
		have, more, errs := len(l.mu.acks), l.mu.more, l.mu.errs
		l.mu.Unlock()
		if len(errs) > 0 {
			t.Fatalf("producer: %v", errors.Join(errs...))
		}
		if have >= want {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatalf("no progress: %d acknowledged, waiting for %d", have, want)
		}
	}
}

func (l *load) stop(t *testing.T) ([]ack, int) {
	t.Helper()
	l.cancel()
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mu.errs) > 0 {
		t.Errorf("producer: %v", errors.Join(l.mu.errs...))
	}
	return l.mu.acks, l.mu.sent
}

// checkLog reads the whole topic and holds it against the acknowledgements.
func checkLog(ctx context.Context, t *testing.T, addr, topic string, acks []ack) {
	t.Helper()
	type place struct {
		partition int32
		offset    int64
	}
	at := map[place]string{}
	where := map[string]place{}
	last := map[string]string{} // producer/partition -> last value: values of one producer sort in sending order
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addr, ",")...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	if err := ends.Error(); err != nil || len(acks) == 0 {
		t.Fatalf("%d acknowledgements to look for, ends: %v", len(acks), err)
	}
	var left int64
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	for left > 0 {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatalf("reading back with %d records to go: %v", left, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			left--
			v, pl := string(r.Value), place{r.Partition, r.Offset}
			if old, ok := where[v]; ok {
				t.Errorf("%s stands twice: at %v and %v", v, old, pl)
			}
			at[pl], where[v] = v, pl
			lane := fmt.Sprintf("%c/%d", v[0], r.Partition)
			if last[lane] >= v {
				t.Errorf("order of producer and partition %s broken: %s behind %s", lane, v, last[lane])
			}
			last[lane] = v
		})
	}
	for _, a := range acks {
		if got := at[place{a.partition, a.offset}]; got != a.value {
			t.Errorf("acknowledged %s at %d/%d, found %q there", a.value, a.partition, a.offset, got)
		}
	}
}
