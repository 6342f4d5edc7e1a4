package klammtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/klammtest"
)

// reassign asks for other replicas; nil ones cancel.
func reassign(ctx context.Context, t *testing.T, adm *kadm.Client, topic string, to map[int32][]int32) error {
	t.Helper()
	var req kadm.AlterPartitionAssignmentsReq
	for p, replicas := range to {
		req.Assign(topic, p, replicas)
	}
	resp, err := adm.AlterPartitionAssignments(ctx, req)
	if err != nil {
		return err
	}
	return resp.Error()
}

// moving lists the partitions on the move. kadm asks for nothing when it is given nothing.
func moving(ctx context.Context, adm *kadm.Client, topic string) (kadm.ListPartitionReassignmentsResponses, error) {
	set := kadm.TopicsSet{}
	set.Add(topic, 0, 1)
	return adm.ListPartitionReassignments(ctx, set)
}

// settled waits until no replica is on the move.
func settled(ctx context.Context, t *testing.T, adm *kadm.Client, topic string) {
	t.Helper()
	eventually(ctx, t, "reassignment done", func() error {
		l, err := moving(ctx, adm, topic)
		if err == nil && len(l[topic]) > 0 {
			err = fmt.Errorf("%v", l[topic])
		}
		return err
	})
}

// replicasOf is what a broker knows of a partition; not every broker knows of a new topic at once.
func replicasOf(ctx context.Context, t *testing.T, adm *kadm.Client, topic string, p int32) (d kadm.PartitionDetail) {
	t.Helper()
	eventually(ctx, t, "partition", func() error {
		m, err := adm.Metadata(ctx, topic)
		if d = m.Topics[topic].Partitions[p]; err == nil && len(d.Replicas) == 0 {
			err = fmt.Errorf("not known: %w", m.Topics[topic].Err)
		}
		return err
	})
	return d
}

// TestReassignUnderLoad moves every replica of a topic to other brokers, with a broker's death on the way.
func TestReassignUnderLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := klammtest.NewCluster(t, klammtest.Brokers(5))
	adm := kadm.NewClient(clusterClient(t, c))
	makeTopic(ctx, t, adm, "t", 2, "min.insync.replicas", "2")
	inSync(ctx, t, adm, "t", 3)
	l := startLoad(t, c, "t", 2)
	eventually(ctx, t, "progress", func() error { return more(l, 0, 100) })
	for round, to := range [][]int32{{1, 2, 3}, {3, 4, 5}, {5, 1}, {2, 3, 4}} {
		l.longest()
		begin := time.Now()
		eventually(ctx, t, "the controller takes it", func() error { return reassign(ctx, t, adm, "t", map[int32][]int32{0: to, 1: to}) })
		if round == 1 {
			c.Broker(int(to[0])).Kill() // it is to be the new leader, or is on its way to
			c.Start()
		}
		settled(ctx, t, adm, "t")
		for p := range int32(2) {
			eventually(ctx, t, "new replicas", func() error {
				if got := replicasOf(ctx, t, adm, "t", p); !slices.Equal(got.Replicas, to) || !slices.Contains(to, got.Leader) {
					return fmt.Errorf("partition %d: %+v, want replicas %v", p, got, to)
				}
				return nil
			})
		}
		inSync(ctx, t, adm, "t", len(to))
		t.Logf("to %v: %v, longest pause %v", to, time.Since(begin), l.longest())
	}
	// Who has it no longer deletes it.
	eventually(ctx, t, "moved replicas are deleted", func() error {
		dirs, err := filepath.Glob(filepath.Join(c.Broker(1).DataDir(), "t-[0-9]"))
		if len(dirs) > 0 {
			err = fmt.Errorf("%v", dirs)
		}
		return err
	})
	l.check(c)
}

// TestReassignmentCancelled on the way leaves everything as it was.
func TestReassignmentCancelled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t, klammtest.Brokers(4))
	adm := kadm.NewClient(clusterClient(t, c))
	makeTopic(ctx, t, adm, "t", 1, "min.insync.replicas", "2", "follower.replication.throttled.replicas", "*", "leader.replication.throttled.replicas", "*")
	inSync(ctx, t, adm, "t", 3)
	before := replicasOf(ctx, t, adm, "t", 0)
	slow(ctx, t, adm, 1000)
	l := startLoad(t, c, "t", 1)
	eventually(ctx, t, "progress", func() error { return more(l, 0, 200) })
	target := []int32{before.Replicas[0], before.Replicas[1], 10 - before.Replicas[0] - before.Replicas[1] - before.Replicas[2]}
	if err := reassign(ctx, t, adm, "t", map[int32][]int32{0: target}); err != nil {
		t.Fatal(err)
	}
	on, err := moving(ctx, adm, "t")
	if err != nil || len(on["t"]) != 1 || !slices.Equal(on["t"][0].AddingReplicas, target[2:]) {
		t.Fatalf("%+v %v", on, err)
	}
	if err := reassign(ctx, t, adm, "t", map[int32][]int32{0: nil}); err != nil {
		t.Fatal(err)
	}
	settled(ctx, t, adm, "t")
	slices.Sort(before.Replicas)
	eventually(ctx, t, "every broker knows", func() error {
		after := replicasOf(ctx, t, adm, "t", 0)
		if slices.Sort(after.Replicas); !slices.Equal(after.Replicas, before.Replicas) {
			return fmt.Errorf("replicas %v, before %v", after.Replicas, before.Replicas)
		}
		return nil
	})
	if err := reassign(ctx, t, adm, "t", map[int32][]int32{0: nil}); !errors.Is(err, kerr.NoReassignmentInProgress) {
		t.Fatalf("cancelled twice: %v", err)
	}
	inSync(ctx, t, adm, "t", 3)
	l.check(c)
}

// slow sets the throttles of every broker to bytes per second.
func slow(ctx context.Context, t *testing.T, adm *kadm.Client, rate int) {
	t.Helper()
	v := fmt.Sprint(rate)
	for id := 1; id <= 4; id++ {
		resp, err := adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Name: "leader.replication.throttled.rate", Value: &v}, {Name: "follower.replication.throttled.rate", Value: &v}}, int32(id))
		if err != nil || resp[0].Err != nil {
			t.Fatalf("%v %v", err, resp)
		}
	}
}

// TestThrottleHoldsInACluster: a reassignment of 4 MB at 1 MB/s takes 4 s, and producers do not notice.
func TestThrottleHoldsInACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t, klammtest.Brokers(4))
	adm := kadm.NewClient(clusterClient(t, c))
	makeTopic(ctx, t, adm, "t", 1, "min.insync.replicas", "2", "follower.replication.throttled.replicas", "*", "leader.replication.throttled.replicas", "*")
	inSync(ctx, t, adm, "t", 3)
	cl := clusterClient(t, c, kgo.ProducerBatchMaxBytes(64<<10), kgo.ProducerBatchCompression(kgo.NoCompression()))
	const size, rate = 4_000_000, 1_000_000
	for range size / 10_000 {
		cl.Produce(ctx, &kgo.Record{Topic: "t", Value: make([]byte, 10_000)}, nil)
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	slow(ctx, t, adm, rate)
	before := replicasOf(ctx, t, adm, "t", 0).Replicas
	target := []int32{before[0], before[1], 10 - before[0] - before[1] - before[2]}
	begin := time.Now()
	if err := reassign(ctx, t, adm, "t", map[int32][]int32{0: target}); err != nil {
		t.Fatal(err)
	}
	settled(ctx, t, adm, "t")
	took := time.Since(begin)
	t.Logf("%d bytes at %d bytes per second: %v", size, rate, took)
	// One fetch may be ahead of its time at the end, one second of credit at the beginning.
	if took < 2500*time.Millisecond || took > 6*time.Second {
		t.Errorf("%d bytes at %d bytes per second took %v", size, rate, took)
	}
	if _, err := os.Stat(filepath.Join(c.Broker(int(target[2])).DataDir(), "t-0")); err != nil {
		t.Fatal(err)
	}
}
