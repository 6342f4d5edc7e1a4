package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/klamm/klamm/test/process"
)

// TestLeaderThatWokeUpAloneSendsNobodyAway: it was stopped for longer than its session, another one led on, and all but it died before it woke. A consumer
// that is further than its log asks again instead of being told that its offset is out of range, which would send it to the log's start or end. Where that
// leader had the controller, too, it finds its own heartbeats well.
func TestLeaderThatWokeUpAloneSendsNobodyAway(t *testing.T) {
	for _, controller := range []bool{false, true} {
		t.Run(fmt.Sprintf("controller=%v", controller), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c := process.StartCluster(t, 3, "-X", "broker.session.timeout.ms=1000", "-X", "broker.heartbeat.interval.ms=100")
			cl := clientOf(t, kgo.SeedBrokers(c.Kafka...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			s := newSleeper(ctx, t, c, cl, controller)
			s.produce(ctx, t, cl, 5)
			pid := c.Node(s.place).PID()
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
			awake := slices.Delete(slices.Clone(c.Kafka), s.place, s.place+1)
			others := clientOf(t, kgo.SeedBrokers(awake...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			s.produce(ctx, t, others, 5)
			for i := range c.Kafka {
				if i != s.place {
					c.Kill(i)
				}
			}
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}

			alone := clientOf(t, kgo.SeedBrokers(c.Kafka[s.place]), kgo.MaxVersions(kversion.V2_8_0())) // names topics
			told, until := 0, time.Now().Add(3*time.Second)                                             // longer than a session
			for time.Now().Before(until) || told == 0 && ctx.Err() == nil {
				switch err := s.fetch(ctx, alone, 10); {
				case errors.Is(err, kerr.NotLeaderForPartition):
					told++
				case errors.Is(err, kerr.OffsetOutOfRange), err == nil:
					t.Fatalf("at offset 10 after %d answers: %v", told, err)
				}
				time.Sleep(time.Millisecond) // asks again; orders nothing
			}
			if told == 0 {
				t.Error("it said nothing")
			}
			t.Logf("%d answers", told)
		})
	}
}

// sleeper is a broker and a partition that it leads.
type sleeper struct {
	place     int
	partition int32
}

func clientOf(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	// It does not wait long for a broker that stands still.
	cl, err := kgo.NewClient(append(opts, kgo.MetadataMinAge(20*time.Millisecond), kgo.ProduceRequestTimeout(time.Second), kgo.RequestTimeoutOverhead(time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// newSleeper makes a topic and finds a partition whose leader has the controller, or has not.
func newSleeper(ctx context.Context, t *testing.T, c *process.Cluster, cl *kgo.Client, controller bool) sleeper {
	t.Helper()
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 6, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}
	for ctx.Err() == nil {
		m, err := adm.Metadata(ctx, "t")
		if err != nil {
			t.Fatal(err)
		}
		q, err := req.RequestWith(ctx, cl)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Topics["t"].Partitions {
			i := slices.IndexFunc(m.Brokers, func(b kadm.BrokerDetail) bool { return b.NodeID == p.Leader })
			if i < 0 || (p.Leader == q.Topics[0].Partitions[0].LeaderID) != controller {
				continue
			}
			return sleeper{place: slices.Index(c.Kafka, fmt.Sprintf("%s:%d", m.Brokers[i].Host, m.Brokers[i].Port)), partition: p.Partition}
		}
	}
	t.Fatal("no such partition")
	return sleeper{}
}

func (s sleeper) produce(ctx context.Context, t *testing.T, cl *kgo.Client, n int) {
	t.Helper()
	for range n {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: s.partition, Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// fetch asks whoever cl knows, without a leader epoch: as franz-go does when nobody confirms the one it knows.
func (s sleeper) fetch(ctx context.Context, cl *kgo.Client, offset int64) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = -1, 10, 1, 1<<20, -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = s.partition, offset, 1<<20
	req.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	resp, err := cl.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode)
}
