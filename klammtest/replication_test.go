package klammtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/klammtest"
)

// load is producers that write numbered records with acks=all, and remember what was acknowledged.
type load struct {
	t     *testing.T
	topic string
	stop  context.CancelFunc
	done  sync.WaitGroup
	mu    sync.Mutex
	acked map[int32][]string // by partition, in the order of acknowledgement
	pause time.Duration      // the longest between two acknowledgements
	last  time.Time
	n     atomic.Int64
}

func startLoad(t *testing.T, c *klammtest.Cluster, topic string, partitions int32) *load {
	l := &load{t: t, topic: topic, acked: map[int32][]string{}, last: time.Now()}
	ctx, cancel := context.WithCancel(t.Context())
	l.stop = cancel
	cl := clusterClient(t, c, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	for p := range partitions {
		l.done.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				v := fmt.Sprintf("%d/%d", p, i)
				// Not ctx: a record that is given up leaves open what became of it.
				if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: p, Value: []byte(v)}).FirstErr(); err != nil {
					if t.Context().Err() == nil {
						t.Errorf("%s: %v", v, err)
					}
					return
				}
				l.note(p, v)
			}
		})
	}
	return l
}

func (l *load) note(p int32, v string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.pause, l.last = max(l.pause, now.Sub(l.last)), now
	l.acked[p] = append(l.acked[p], v)
	l.n.Add(1)
}

// longest is the longest pause since it was last asked for.
func (l *load) longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := max(l.pause, time.Since(l.last))
	l.pause = 0
	return p
}

// check ends the load, and reads every partition: what was acknowledged is there, once, in order.
func (l *load) check(c *klammtest.Cluster) {
	l.t.Helper()
	l.stop()
	l.done.Wait()
	if l.n.Load() == 0 {
		l.t.Error("nothing was acknowledged")
	}
	for p, want := range l.acked {
		if got := read(l.t, c, l.topic, p, len(want)); !slices.Equal(got, want) {
			l.t.Errorf("partition %d: %d records were acknowledged, %d are there; they part at %d", p, len(want), len(got), differ(got, want))
		}
	}
	l.t.Logf("%d records acknowledged", l.n.Load())
}

func differ(a, b []string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// read gets at least n records from the beginning of a partition, and what comes with them.
func read(t *testing.T, c *klammtest.Cluster, topic string, p int32, n int) (out []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cl := clusterClient(t, c, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().AtStart()}}))
	for len(out) < n {
		f := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Errorf("partition %d: read %d of %d: %v", p, len(out), n, err)
			return out
		}
		f.EachRecord(func(r *kgo.Record) { out = append(out, string(r.Value)) })
	}
	return out
}

func makeTopic(ctx context.Context, t *testing.T, adm *kadm.Client, topic string, partitions int32, configs ...string) {
	t.Helper()
	set := map[string]*string{}
	for i := 0; i < len(configs); i += 2 {
		set[configs[i]] = &configs[i+1]
	}
	eventually(ctx, t, "create "+topic, func() error { return passing(t, tryCreate(ctx, adm, partitions, 3, set, topic)) })
}

// inSync waits until every partition of a topic has n replicas in sync, and a leader.
func inSync(ctx context.Context, t *testing.T, adm *kadm.Client, topic string, n int) {
	t.Helper()
	eventually(ctx, t, fmt.Sprintf("%d replicas in sync", n), func() error {
		m, err := adm.Metadata(ctx, topic)
		if err != nil {
			return err
		}
		if len(m.Topics[topic].Partitions) == 0 { // asked of a broker that has not heard of it yet
			return fmt.Errorf("not known: %w", m.Topics[topic].Err)
		}
		for _, p := range m.Topics[topic].Partitions {
			if len(p.ISR) != n || p.Leader < 0 || p.Err != nil {
				return fmt.Errorf("partition %d: leader %d, ISR %v, %w", p.Partition, p.Leader, p.ISR, p.Err)
			}
		}
		return nil
	})
}

// alike stops the cluster and compares the logs of all brokers, byte for byte (R8).
func alike(t *testing.T, c *klammtest.Cluster, topic string, partitions int32) {
	t.Helper()
	c.Stop()
	for p := range partitions {
		var first []byte
		for i, b := range c.Brokers {
			files, err := filepath.Glob(filepath.Join(b.DataDir(), fmt.Sprintf("%s-%d", topic, p), "*.log"))
			if err != nil || len(files) == 0 {
				t.Fatalf("broker %d: no log of %s-%d: %v", i+1, topic, p, err)
			}
			slices.Sort(files)
			var all []byte
			for _, f := range files {
				content, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, content...)
			}
			all = bytes.TrimRight(all, "\x00") // preallocated
			if i == 0 {
				first = all
			} else if !bytes.Equal(all, first) {
				t.Errorf("%s-%d: the log of broker %d (%d bytes) differs from that of broker 1 (%d bytes)", topic, p, i+1, len(all), len(first))
			}
		}
	}
}

// TestNothingAcknowledgedIsLost when any broker dies, and comes back, under load (R1, R8, P1).
func TestNothingAcknowledgedIsLost(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	adm := kadm.NewClient(clusterClient(t, c))
	makeTopic(ctx, t, adm, "t", 3, "min.insync.replicas", "2")
	inSync(ctx, t, adm, "t", 3)
	l := startLoad(t, c, "t", 3)
	for i, b := range c.Brokers {
		before := l.n.Load()
		eventually(ctx, t, "progress before a loss", func() error { return more(l, before, 50) })
		l.longest()
		b.Kill()
		before = l.n.Load()
		eventually(ctx, t, "progress without a broker", func() error { return more(l, before, 50) })
		t.Logf("without broker %d: longest pause %v", i+1, l.longest())
		c.Start()
		inSync(ctx, t, adm, "t", 3)
		t.Logf("broker %d is back: longest pause %v", i+1, l.longest())
	}
	l.check(c)
	alike(t, c, "t", 3)
}

func more(l *load, than, n int64) error {
	if now := l.n.Load(); now < than+n {
		return fmt.Errorf("%d records, want %d", now, than+n)
	}
	return nil
}

// TestRollingRestartIsNotNoticed: leadership moves away before a broker stops.
func TestRollingRestartIsNotNoticed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	adm := kadm.NewClient(clusterClient(t, c))
	makeTopic(ctx, t, adm, "t", 3, "min.insync.replicas", "2")
	inSync(ctx, t, adm, "t", 3)
	l := startLoad(t, c, "t", 3)
	for i, b := range c.Brokers {
		before := l.n.Load()
		eventually(ctx, t, "progress", func() error { return more(l, before, 50) })
		l.longest()
		b.Stop()
		t.Logf("stopping broker %d: longest pause %v", i+1, l.longest())
		c.Start()
		inSync(ctx, t, adm, "t", 3)
		t.Logf("broker %d is back: longest pause %v", i+1, l.longest())
	}
	l.check(c)
	alike(t, c, "t", 3)
}

// TestPowerCutOfAllBrokers: everybody stops at once, and nobody cleanly. What was acknowledged is there.
func TestPowerCutOfAllBrokers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	adm := kadm.NewClient(clusterClient(t, c))
	makeTopic(ctx, t, adm, "t", 3, "min.insync.replicas", "2")
	inSync(ctx, t, adm, "t", 3)
	l := startLoad(t, c, "t", 3)
	eventually(ctx, t, "progress", func() error { return more(l, 0, 200) })
	for _, b := range c.Brokers {
		b.Kill()
	}
	c.Start()
	inSync(ctx, t, adm, "t", 3)
	before := l.n.Load()
	eventually(ctx, t, "progress", func() error { return more(l, before, 50) })
	l.check(c)
	alike(t, c, "t", 3)
}

// TestTooFewReplicasRefuseAcksAll: R2.
func TestTooFewReplicasRefuseAcksAll(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t, klammtest.Brokers(4)) // three of them vote: two may go, and what is left can decide
	adm := kadm.NewClient(clusterClient(t, c))
	makeTopic(ctx, t, adm, "t", 1, "min.insync.replicas", "3")
	inSync(ctx, t, adm, "t", 3)
	c.Broker(int(replicasOf(ctx, t, adm, "t", 0).Replicas[2])).Kill()
	cl := clusterClient(t, c, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordRetries(2))
	eventually(ctx, t, "two in sync, and its leader knows", func() error {
		p, err := agreed(ctx, cl, c, "t", 0)
		if err == nil && (len(p.ISR) != 2 || p.Leader < 0) {
			err = fmt.Errorf("%+v", p)
		}
		return err
	})
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Fatalf("acks=all with two of three: %v", err)
	}
	one := clusterClient(t, c, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	if err := one.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatalf("acks=1: %v", err)
	}
}

// TestCommittedOffsetsSurviveTheirCoordinator: G1, G4.
func TestCommittedOffsetsSurviveTheirCoordinator(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t, klammtest.Set("offsets.topic.num.partitions", "3"), klammtest.Set("offsets.topic.replication.factor", "3"))
	adm := kadm.NewClient(clusterClient(t, c))
	makeTopic(ctx, t, adm, "t", 1)
	for i := range 3 {
		at := int64(i + 1)
		eventually(ctx, t, "commit", func() error {
			return adm.CommitAllOffsets(ctx, "g", kadm.Offsets{"t": {0: {Topic: "t", Partition: 0, At: at, LeaderEpoch: -1}}})
		})
		inSync(ctx, t, adm, "__consumer_offsets", 3)
		id := 0
		eventually(ctx, t, "coordinator", func() error {
			coordinators := adm.FindGroupCoordinators(ctx, "g")
			id = int(coordinators["g"].NodeID)
			return coordinators.Error()
		})
		begin := time.Now()
		dead := c.Broker(id)
		live := slices.DeleteFunc(c.Addrs(), func(a string) bool { return a == dead.Addr() })
		dead.Kill()
		eventually(ctx, t, "committed offset", func() error {
			// A client of the version used here keeps to the coordinator it was told of first, and to a seed it cannot dial: each question
			// is a new one's, to those that live.
			cl := clusterClient(t, c, kgo.SeedBrokers(live...))
			defer cl.Close()
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			got, err := kadm.NewClient(cl).FetchOffsets(short, "g")
			if err != nil {
				return err
			}
			if o, ok := got.Lookup("t", 0); !ok || o.At != at {
				return fmt.Errorf("offset %d, want %d", o.At, at)
			}
			return nil
		})
		t.Logf("coordinator %d died; the next one answers after %v", id, time.Since(begin))
		c.Start()
		adm = kadm.NewClient(clusterClient(t, c))
	}
}
