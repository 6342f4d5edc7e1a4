package klammtest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/node"
	"github.com/klamm/klamm/klammtest"
)

// TestM6WipedBrokerComesBackAsSomebodyElse: its id and its vote stay with the disk that is gone.
func TestM6WipedBrokerComesBackAsSomebodyElse(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	lost := c.Join()
	if lost.NodeID() != 4 {
		t.Fatalf("joined as %d", lost.NodeID())
	}
	lost.Kill()
	lost.Wipe()
	c.Start()
	if lost.NodeID() != 5 {
		t.Fatalf("came back as %d", lost.NodeID())
	}
	adm := kadm.NewClient(clusterClient(t, c))
	eventually(ctx, t, "the one that is gone is fenced", func() error {
		m, err := adm.Metadata(ctx)
		if err == nil && fmt.Sprint(m.Brokers.NodeIDs()) != "[1 2 3 5]" {
			err = fmt.Errorf("brokers %v", m.Brokers.NodeIDs())
		}
		return err
	})
}

// TestRefusedNodesSayWhy.
func TestRefusedNodesSayWhy(t *testing.T) {
	c, other := klammtest.NewCluster(t), klammtest.NewCluster(t, klammtest.Brokers(1))
	refused := func(f node.Flags, want ...string) {
		t.Helper()
		f.Listen, f.NodeListen, f.HTTPListen, f.Stderr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", &strings.Builder{}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		n, err := node.Start(ctx, f)
		if err == nil {
			_ = n.Stop()
			t.Fatalf("started, wanted: %v", want)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q lacks %q", err, w)
			}
		}
	}
	refused(node.Flags{Data: t.TempDir(), Join: c.NodeAddrs()[0], Set: []string{"node.id=2"}}, "Node id 2 is in use", "unregister broker 2")

	dir := t.TempDir()
	b := other.Join(klammtest.Data(dir))
	b.Stop()
	refused(node.Flags{Data: dir, Join: c.NodeAddrs()[0]}, "this node belongs to cluster", "belongs to cluster", "klamm.join")
	refused(node.Flags{Data: t.TempDir(), Join: "nowhere"}, "klamm.join", "nowhere")
}

// TestEveryBrokerIsADoor: whatever the controller decides can be asked of anybody.
func TestEveryBrokerIsADoor(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	for _, b := range c.Brokers {
		// The client knows of this broker alone, so everything goes there.
		cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.MetadataMinAge(20*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		adm := kadm.NewClient(cl)
		topic := fmt.Sprintf("door-%d", b.NodeID())
		door := cl.Broker(int(b.NodeID()))
		at := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("broker %d: %s: %v", b.NodeID(), what, err)
			}
		}
		askAt(ctx, at, door, topic)
		eventually(ctx, t, "describe", func() error {
			cfg, err := adm.DescribeTopicConfigs(ctx, topic)
			if err != nil {
				return err
			}
			rc, err := cfg.On(topic, nil)
			if err != nil {
				return err
			}
			for _, kv := range rc.Configs {
				if kv.Key == "retention.ms" && kv.MaybeValue() == "1234" {
					return nil
				}
			}
			return fmt.Errorf("retention.ms is not 1234")
		})
		cl.Close()
	}
}

// TestUnregisteredBrokerThatLivesComesBack, as Kafka's do: it is a member again, with the id it has.
func TestUnregisteredBrokerThatLivesComesBack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t, klammtest.Set("broker.heartbeat.interval.ms", "100"), klammtest.Set("broker.session.timeout.ms", "2000"))
	cl := clusterClient(t, c)
	adm := kadm.NewClient(cl)
	q := kmsg.NewUnregisterBrokerRequest()
	q.BrokerID = 2
	if resp, err := q.RequestWith(ctx, cl); err != nil || resp.ErrorCode != 0 {
		t.Fatalf("%+v %v", resp, err)
	}
	eventually(ctx, t, "broker 2 is back", func() error {
		m, err := adm.Metadata(ctx)
		if err == nil && fmt.Sprint(m.Brokers.NodeIDs()) != "[1 2 3]" {
			err = fmt.Errorf("brokers %v", m.Brokers.NodeIDs())
		}
		return err
	})
	eventually(ctx, t, "three voters", func() error { return quorumOf(ctx, cl, 3, 0) })
	// Who was asked may not have heard that broker 2 was away: whether it is back the controller says.
	eventually(ctx, t, "three replicas", func() error { return tryCreate(ctx, adm, 3, 3, nil, "after") })
}

// TestWipedVoterIsReplaced: the one that is gone is unregistered, and the new node takes its place in the quorum.
func TestWipedVoterIsReplaced(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t, klammtest.Set("broker.session.timeout.ms", "60000")) // after that it would be replaced without an order
	cl := clusterClient(t, c)
	wiped := c.Brokers[2]
	wiped.Kill()
	wiped.Wipe()
	c.Start()
	if wiped.NodeID() != 4 {
		t.Fatalf("came back as %d", wiped.NodeID())
	}
	eventually(ctx, t, "three voters, one of them gone, and a learner", func() error { return quorumOf(ctx, cl, 3, 1) })
	q := kmsg.NewUnregisterBrokerRequest()
	q.BrokerID = 3
	if resp, err := q.RequestWith(ctx, cl); err != nil || resp.ErrorCode != 0 {
		t.Fatalf("%+v %v", resp, err)
	}
	eventually(ctx, t, "three voters again", func() error { return quorumOf(ctx, cl, 3, 0) })
	c.Brokers[0].Kill() // the two that are left have to be enough
	create(ctx, t, kadm.NewClient(cl), 1, 1, "after")
}
