package interop

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/test/kafkaref"
)

// TestJavaFollowsLeaderHints moves leaders while a Java producer and a group work whose clients would pause for ten seconds before they asked
// for metadata again. They do not pause: the old leader's answers say who leads now (KIP-951). The producer has one request under way: of more, one
// may be refused by the old leader after a later one has reached the new leader, out of sequence, and that is retried after a pause with any broker.
func TestJavaFollowsLeaderHints(t *testing.T) {
	argv := javaRide(t)
	p := startPatient(t)
	r := startRide(t, p, argv, "retry.backoff.ms=10000", "retry.backoff.max.ms=10000", "max.in.flight.requests.per.connection=1")
	for round := range 3 {
		m := r.stage("move of all leaders", pauseOfRestart, func() { p.moveLeaders(rideTopic) })
		if m.rebalances > 0 || m.lost > 0 {
			t.Errorf("round %d: the group was disturbed: %s", round, m.raw)
		}
	}
	r.end(p)
	recordFailure(t, "kafka-clients "+kafkaref.Version, "leaders that move are followed by the hints of the old ones (KIP-951), without a pause")
}

// moveLeaders makes the second replica of each partition the preferred one, and lets it lead.
func (p *patient) moveLeaders(topic string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	m, err := p.adm.Metadata(ctx, topic)
	if err != nil {
		p.t.Fatal(err)
	}
	var plan kadm.AlterPartitionAssignmentsReq
	want := map[int32]int32{}
	for _, q := range m.Topics[topic].Partitions {
		order := append(slices.Clone(q.Replicas[1:]), q.Replicas[0])
		plan.Assign(topic, q.Partition, order)
		want[q.Partition] = order[0]
	}
	if moved, err := p.adm.AlterPartitionAssignments(ctx, plan); err != nil || moved.Error() != nil {
		p.t.Fatal(err, moved.Error())
	}
	p.eventually("the new order of replicas", func(ctx context.Context) error {
		m, err := p.adm.Metadata(ctx, topic)
		if err != nil {
			return err
		}
		for q, first := range want {
			if got := m.Topics[topic].Partitions[q].Replicas; got[0] != first {
				return fmt.Errorf("%s-%d: %v", topic, q, got)
			}
		}
		return nil
	})
	if _, err := p.adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil); err != nil {
		p.t.Fatal(err)
	}
	p.eventually("the new leaders", func(ctx context.Context) error {
		m, err := p.adm.Metadata(ctx, topic)
		if err != nil {
			return err
		}
		for q, first := range want {
			if got := m.Topics[topic].Partitions[q].Leader; got != first {
				return fmt.Errorf("%s-%d is led by %d, elected was %d", topic, q, got, first)
			}
		}
		return nil
	})
}
