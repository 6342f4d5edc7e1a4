package klammtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/klamm/klamm/klammtest"
)

// reads counts the bytes that fetches of a client brought from each broker.
type reads struct {
	sync.Mutex
	bytes map[int32]int
}

func (r *reads) OnBrokerE2E(meta kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	if key == 1 {
		r.Lock()
		defer r.Unlock()
		r.bytes[meta.NodeID] += e.BytesRead
	}
}

// racks makes a cluster of one broker in each of the racks r1, r2, r3, and a topic whose first replica, which leads, is on broker 1. It is not the first
// leader: there are older epochs. Every broker knows.
func racks(ctx context.Context, t *testing.T) (*klammtest.Cluster, *kadm.Client) {
	t.Helper()
	c := klammtest.NewCluster(t, klammtest.Set("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector"), klammtest.Racks("r1", "r2", "r3"))
	cl := clusterClient(t, c)
	adm := kadm.NewClient(cl)
	makeTopic(ctx, t, adm, "t", 1)
	for _, to := range [][]int32{{2, 3, 1}, {1, 2, 3}} {
		eventually(ctx, t, "the controller takes it", func() error { return reassign(ctx, t, adm, "t", map[int32][]int32{0: to}) })
		settled(ctx, t, adm, "t")
		eventually(ctx, t, "preferred leader", func() error {
			set := kadm.TopicsSet{}
			set.Add("t", 0)
			if _, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, set); err != nil {
				return err
			}
			if p, err := agreed(ctx, cl, c, "t", 0); err != nil || p.Leader != to[0] || len(p.ISR) != 3 {
				return fmt.Errorf("%+v %w", p, err)
			}
			return nil
		})
	}
	return c, adm
}

// agreed is a partition as every broker that runs has it; they learn of a change one after the other.
func agreed(ctx context.Context, cl *kgo.Client, c *klammtest.Cluster, topic string, partition int32) (p kmsg.MetadataResponseTopicPartition, err error) {
	req := kmsg.NewPtrMetadataRequest()
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = &topic
	req.Topics = append(req.Topics, mt)
	asked := 0
	for _, b := range c.Brokers {
		if b.NodeID() == 0 {
			continue
		}
		resp, err := req.RequestWith(ctx, cl.Broker(int(b.NodeID())))
		if err != nil {
			return p, err
		}
		i := -1
		if len(resp.Topics) == 1 {
			i = slices.IndexFunc(resp.Topics[0].Partitions, func(x kmsg.MetadataResponseTopicPartition) bool { return x.Partition == partition })
		}
		if i < 0 {
			return p, fmt.Errorf("broker %d does not know the partition", b.NodeID())
		}
		one := resp.Topics[0].Partitions[i]
		if asked++; asked > 1 && (one.Leader != p.Leader || one.LeaderEpoch != p.LeaderEpoch || !slices.Equal(one.ISR, p.ISR) || !slices.Equal(one.Replicas, p.Replicas)) {
			return p, fmt.Errorf("broker %d says %+v, another one %+v", b.NodeID(), one, p)
		}
		p = one
	}
	if asked == 0 {
		return p, errors.New("no broker runs")
	}
	return p, nil
}

// TestConsumersReadInTheirRack (KIP-392): the leader sends a consumer to the replica in its rack, which serves it while more is produced.
func TestConsumersReadInTheirRack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _ := racks(ctx, t)
	producer := clusterClient(t, c, kgo.DefaultProduceTopic("t"))
	produce := func(n int) {
		t.Helper()
		for i := range n {
			if err := producer.ProduceSync(ctx, kgo.StringRecord(fmt.Sprintf("%d %0100d", i, 0))).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	near := &reads{bytes: map[int32]int{}}
	consumer := clusterClient(t, c, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Rack("r3"), kgo.WithHooks(near))
	take := func(n int) {
		t.Helper()
		for n > 0 {
			f := consumer.PollFetches(ctx)
			if err := f.Err(); err != nil {
				t.Fatal(err)
			}
			n -= f.NumRecords()
		}
		if n < 0 {
			t.Fatalf("%d records too many", -n)
		}
	}
	produce(200)
	take(200)
	begin := time.Now()
	produce(50)
	take(50)
	near.Lock()
	t.Logf("50 more took %v; bytes by broker: %v", time.Since(begin), near.bytes)
	if near.bytes[3] < 200*100 || near.bytes[1] > near.bytes[3]/4 {
		t.Errorf("bytes by broker: %v", near.bytes)
	}
	near.Unlock()
}

// TestFollowersAnswerConsumers as Kafka's do: newer ones are served up to the high watermark, older ones are sent to the leader, and epochs are
// fenced.
func TestFollowersAnswerConsumers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, adm := racks(ctx, t)
	cl := clusterClient(t, c, kgo.DefaultProduceTopic("t"))
	at, err := agreed(ctx, cl, c, "t", 0)
	if err != nil || at.LeaderEpoch < 1 { // without an older epoch there is nobody to be fenced
		t.Fatalf("%+v %v", at, err)
	}
	for i := range 10 {
		if err := cl.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	topics, err := adm.ListTopics(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	epoch := at.LeaderEpoch
	fetch := func(broker int, version int16, offset int64, epoch int32, rack string) kmsg.FetchResponseTopicPartition {
		t.Helper()
		req := kmsg.NewPtrFetchRequest()
		req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch, req.Rack = -1, 100, 1, 1<<20, -1, rack
		p := kmsg.NewFetchRequestTopicPartition()
		p.FetchOffset, p.CurrentLeaderEpoch, p.PartitionMaxBytes = offset, epoch, 1<<20
		req.Topics = []kmsg.FetchRequestTopic{{Topic: "t", TopicID: topics["t"].ID, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
		versions := kversion.Stable()
		versions.SetMaxKeyVersion(1, version)
		one := clusterClient(t, c, kgo.MaxVersions(versions))
		resp, err := one.Broker(broker).Request(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		return resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
	}
	eventually(ctx, t, "the follower knows the high watermark", func() error {
		if p := fetch(2, 17, 0, epoch, ""); p.HighWatermark != 10 || p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
			return fmt.Errorf("%d %d %w", p.HighWatermark, len(p.RecordBatches), kerr.ErrorForCode(p.ErrorCode))
		}
		return nil
	})
	for _, x := range []struct {
		what      string
		broker    int
		version   int16
		offset    int64
		epoch     int32
		rack      string
		code      error
		preferred int32
		empty     bool
	}{
		{"old version at a follower", 2, 10, 0, epoch, "", kerr.NotLeaderForPartition, -1, true},
		{"end at a follower", 2, 11, 10, epoch, "", nil, -1, true},
		{"behind the end at a follower", 2, 17, 11, epoch, "", kerr.OffsetOutOfRange, -1, true},
		{"behind the end at a follower, without an epoch", 2, 11, 11, -1, "", kerr.NotLeaderForPartition, -1, true},
		{"behind the end at the leader, without an epoch", 1, 11, 11, -1, "", kerr.OffsetOutOfRange, -1, true},
		{"an older epoch at a follower", 2, 17, 0, epoch - 1, "", kerr.FencedLeaderEpoch, -1, true},
		{"a newer epoch at a follower", 2, 17, 0, epoch + 1, "", kerr.UnknownLeaderEpoch, -1, true},
		{"the leader, no rack", 1, 17, 0, epoch, "", nil, -1, false},
		{"the leader, its own rack", 1, 17, 0, epoch, "r1", nil, -1, false},
		{"the leader, another rack", 1, 17, 3, epoch, "r2", nil, 2, true},
		{"the leader, a rack without a replica", 1, 17, 0, epoch, "r9", nil, -1, false},
		{"the leader, another rack, out of range", 1, 17, 99, epoch, "r2", kerr.OffsetOutOfRange, -1, true},
		{"a follower, another rack", 2, 17, 0, epoch, "r3", nil, -1, false},
	} {
		p := fetch(x.broker, x.version, x.offset, x.epoch, x.rack)
		if err := kerr.ErrorForCode(p.ErrorCode); !errors.Is(err, x.code) || p.PreferredReadReplica != x.preferred || (len(p.RecordBatches) == 0) != x.empty {
			t.Errorf("%s: %v, preferred %d, %d bytes", x.what, err, p.PreferredReadReplica, len(p.RecordBatches))
		}
	}
	c.Broker(3).Kill()
	eventually(ctx, t, "nobody is sent to a dead replica", func() error {
		if p := fetch(1, 17, 0, -1, "r3"); p.PreferredReadReplica != -1 || len(p.RecordBatches) == 0 {
			return fmt.Errorf("preferred %d, %d bytes", p.PreferredReadReplica, len(p.RecordBatches))
		}
		return nil
	})
}
