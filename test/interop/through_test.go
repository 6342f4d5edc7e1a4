package interop

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// patient is three brokers that are stopped and killed while clients use them, and what is known about them from outside.
type patient struct {
	target
	machines
	t   *testing.T
	cl  *kgo.Client
	adm *kadm.Client
}

// startPatient runs three brokers.
func startPatient(t *testing.T, properties ...string) *patient {
	t.Helper()
	node := startBrokers(t, 3, properties...)
	cl := client(t, node.addr, kgo.MetadataMinAge(20*time.Millisecond)) // 5 s, and it answers from memory
	return &patient{target: node, machines: node.machines, t: t, cl: cl, adm: kadm.NewClient(cl)}
}

// makeTopic creates a topic on all brokers.
func (p *patient) makeTopic(topic string, partitions int32, configs map[string]string) {
	p.t.Helper()
	makeTopic(p.t, p.addr, topic, partitions, configs)
	p.healed(topic)
}

// eventually asks until there is no error, for a minute.
func (p *patient) eventually(what string, ask func(context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("%s: %v", what, err)
		case <-time.After(20 * time.Millisecond): // asks again; orders nothing
		}
	}
}

// healed waits until all replicas of the topics' partitions are in sync.
func (p *patient) healed(topics ...string) {
	p.t.Helper()
	p.eventually("all replicas in sync", func(ctx context.Context) error {
		m, err := p.adm.Metadata(ctx, topics...)
		if err != nil {
			return err
		}
		for _, t := range m.Topics {
			if t.Err != nil {
				return t.Err
			}
			for _, q := range t.Partitions {
				if q.Leader < 0 || len(q.ISR) < p.brokers {
					return fmt.Errorf("%s-%d: leader %d, in sync %v", t.Topic, q.Partition, q.Leader, q.ISR)
				}
			}
		}
		return nil
	})
}

// place is which process has a broker's id.
func (p *patient) place(id int32) int {
	p.t.Helper()
	found := -1
	p.eventually(fmt.Sprintf("broker %d", id), func(ctx context.Context) error {
		m, err := p.adm.BrokerMetadata(ctx)
		if err != nil {
			return err
		}
		for _, b := range m.Brokers {
			if b.NodeID == id {
				found = slices.Index(strings.Split(p.addr, ","), net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))))
				return nil
			}
		}
		return fmt.Errorf("not among %v", m.Brokers.NodeIDs())
	})
	return found
}

// leader is the broker that leads a partition.
func (p *patient) leader(topic string, partition int32) (id int32) {
	p.t.Helper()
	p.eventually("the leader", func(ctx context.Context) error {
		m, err := p.adm.Metadata(ctx, topic)
		if err != nil {
			return err
		}
		if id = m.Topics[topic].Partitions[partition].Leader; id < 0 {
			return fmt.Errorf("%s-%d has no leader", topic, partition)
		}
		return nil
	})
	return id
}

// controller is the node whose controller is active. Metadata does not tell: there every broker names itself, as each takes admin requests.
func (p *patient) controller() (id int32) {
	p.t.Helper()
	p.eventually("the active controller", func(ctx context.Context) error {
		q := kmsg.NewPtrDescribeQuorumRequest()
		topic, partition := kmsg.NewDescribeQuorumRequestTopic(), kmsg.NewDescribeQuorumRequestTopicPartition()
		topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, partition)
		q.Topics = append(q.Topics, topic)
		answer, err := q.RequestWith(ctx, p.cl)
		if err != nil {
			return err
		}
		if id = answer.Topics[0].Partitions[0].LeaderID; id < 0 {
			return fmt.Errorf("the quorum has no leader")
		}
		return nil
	})
	return id
}

// coordinator is the broker that has the group.
func (p *patient) coordinator(group string) (id int32) {
	p.t.Helper()
	p.eventually("the group's coordinator", func(ctx context.Context) error {
		found := p.adm.FindGroupCoordinators(ctx, group)
		id = found[group].NodeID
		return found.Error()
	})
	return id
}

// bounce ends a process, cleanly or not, starts it again and waits until all replicas of the topics are in sync.
func (p *patient) bounce(place int, clean bool, topics ...string) {
	p.t.Helper()
	if !clean {
		p.Kill(place)
	} else if err := p.Terminate(place, time.Minute); err != nil {
		p.t.Fatal(err)
	}
	if err := p.Start(place); err != nil {
		p.t.Fatal(err)
	}
	p.healed(topics...)
}

// numbers is the number in each record of a topic, by partition and offset.
func (p *patient) numbers(topic string) map[string]string {
	p.t.Helper()
	found := map[string]string{}
	for _, r := range p.records(topic) {
		found[fmt.Sprintf("%d %d", r.Partition, r.Offset)] = strconv.FormatUint(binary.BigEndian.Uint64(r.Value), 10)
	}
	return found
}

// records reads a topic to its end.
func (p *patient) records(topic string) []*kgo.Record {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	ends, err := p.adm.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	from := map[int32]kgo.Offset{}
	left := map[int32]bool{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition], left[o.Partition] = kgo.NewOffset().At(0), true
		}
	})
	cl := client(p.t, p.addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	var found []*kgo.Record
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			p.t.Fatalf("read %s: %v", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			found = append(found, r)
			if end, _ := ends.Lookup(topic, r.Partition); r.Offset >= end.Offset-1 {
				delete(left, r.Partition)
			}
		})
	}
	return found
}
