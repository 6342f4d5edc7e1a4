package klammtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/klammtest"
)

// patience bounds a test of a cluster.
const patience = 60 * time.Second

func clusterClient(t testing.TB, c *klammtest.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Addrs()...), kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond })}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// eventually waits until ok says yes.
func eventually(ctx context.Context, t *testing.T, what string, ok func() error) {
	t.Helper()
	for {
		err := ok()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(5 * time.Millisecond) // asks again; orders nothing
	}
}

// create makes a topic. A try whose answer was lost may have made it.
func create(ctx context.Context, t *testing.T, adm *kadm.Client, partitions int32, replicas int16, topic string) {
	t.Helper()
	eventually(ctx, t, "create "+topic, func() error { return passing(t, tryCreate(ctx, adm, partitions, replicas, nil, topic)) })
}

func tryCreate(ctx context.Context, adm *kadm.Client, partitions int32, replicas int16, configs map[string]*string, topic string) error {
	_, err := adm.CreateTopic(ctx, partitions, replicas, configs, topic)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return err
}

// passing ends the test on an error that no other try can mend.
func passing(t *testing.T, err error) error {
	t.Helper()
	if !passes(err) {
		t.Fatal(err)
	}
	return err
}

// passes reports an error of the moment: of the network, of a code that is to be tried again, or of brokers that are away.
func passes(err error) bool {
	var k *kerr.Error
	return !errors.As(err, &k) || k.Retriable || errors.Is(err, kerr.InvalidReplicationFactor)
}

// TestThreeBrokersFormACluster: every broker knows all, and is a door to the controller.
func TestThreeBrokersFormACluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begin := time.Now()
	c := klammtest.NewCluster(t)
	t.Logf("formed in %v", time.Since(begin))
	id := ""
	for i, b := range c.Brokers {
		cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.MetadataMinAge(20*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		adm := kadm.NewClient(cl)
		topic := fmt.Sprintf("by-%d", i)
		if _, err := adm.CreateTopic(ctx, 3, 3, nil, topic); err != nil {
			t.Fatalf("broker %d: %v", i+1, err)
		}
		var m kadm.Metadata
		eventually(ctx, t, "topic and brokers", func() (err error) {
			m, err = adm.Metadata(ctx, topic)
			if err == nil && (len(m.Brokers) != 3 || m.Topics[topic].Err != nil || len(m.Topics[topic].Partitions) != 3) {
				err = fmt.Errorf("%+v", m)
			}
			return err
		})
		if id == "" {
			id = m.Cluster
		}
		if m.Cluster != id {
			t.Fatalf("broker %d is in cluster %s, not %s", i+1, m.Cluster, id)
		}
		cl.Close()
	}
}

// TestClusterSurvivesTheLossOfAnyBroker, the leader of the metadata log among them, and takes it back.
func TestClusterSurvivesTheLossOfAnyBroker(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	adm := kadm.NewClient(clusterClient(t, c))
	for i, b := range c.Brokers {
		begin := time.Now()
		b.Kill()
		t.Logf("broker %d is dead after %v", i+1, time.Since(begin))
		create(ctx, t, adm, 1, 1, fmt.Sprintf("without-%d", i))
		t.Logf("without broker %d: topic created after %v", i+1, time.Since(begin))
		begin = time.Now()
		c.Start()
		t.Logf("broker %d is back after %v", i+1, time.Since(begin))
	}
	for _, b := range c.Brokers {
		b.Kill()
	}
	c.Start()
	c.Stop()
	c.Start()
	eventually(ctx, t, "topics after a restart of all", func() error {
		topics, err := adm.ListTopics(ctx)
		if err == nil && len(topics) != 3 {
			err = fmt.Errorf("%d topics", len(topics))
		}
		return err
	})
}

// TestALoneBrokerGrows: others join it, and the voters of the metadata become three by themselves.
func TestALoneBrokerGrows(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t, klammtest.Brokers(1))
	cl := clusterClient(t, c)
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 1, 1, nil, "before"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.Join()
	}
	eventually(ctx, t, "voters", func() error { return quorumOf(ctx, cl, 3, 1) })
	eventually(ctx, t, "four brokers", func() error { // whichever of them is asked
		m, err := adm.Metadata(ctx)
		if err == nil && len(m.Brokers) != 4 {
			err = fmt.Errorf("brokers %v", m.Brokers.NodeIDs())
		}
		return err
	})
	if _, err := adm.CreateTopic(ctx, 4, 4, nil, "after"); err != nil {
		t.Fatal(err)
	}
	c.Brokers[0].Kill()
	create(ctx, t, adm, 1, 3, "later")
}

// quorumOf checks how many voters and observers the metadata quorum has.
func quorumOf(ctx context.Context, cl *kgo.Client, voters, observers int) error {
	req := kmsg.NewDescribeQuorumRequest()
	rt := kmsg.NewDescribeQuorumRequestTopic()
	rt.Topic, rt.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{{}}
	req.Topics = append(req.Topics, rt)
	q, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	p := q.Topics[0].Partitions[0]
	if len(p.CurrentVoters) != voters || len(p.Observers) != observers {
		return fmt.Errorf("%d voters, %d observers", len(p.CurrentVoters), len(p.Observers))
	}
	return nil
}
