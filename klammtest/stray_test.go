package klammtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/klammtest"
)

// TestTopicDeletedWhileABrokerWasDownCostsItNoDirectory: the broker comes back with metadata that still has the topic, opens it, learns of the
// deletion and deletes it. Then it must not look for the same log among those that nobody wants: not finding it would take the whole data
// directory offline.
func TestTopicDeletedWhileABrokerWasDownCostsItNoDirectory(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	adm := kadm.NewClient(clusterClient(t, c))
	down := c.Brokers[0]
	for round := range 3 {
		topic := fmt.Sprintf("gone-%d", round)
		create(ctx, t, adm, 2, 3, topic)
		eventually(ctx, t, "all in sync", func() error { return whole(ctx, adm, topic) })
		down.Kill()
		eventually(ctx, t, "deletion", func() error {
			_, err := adm.DeleteTopic(ctx, topic)
			if errors.Is(err, kerr.UnknownTopicOrPartition) {
				return nil
			}
			return err
		})
		c.Start()
		after := fmt.Sprintf("after-%d", round)
		create(ctx, t, adm, 2, 3, after)
		limited, done := context.WithTimeout(ctx, 15*time.Second)
		eventually(limited, t, "a replica on the broker that was down", func() error { return whole(ctx, adm, after) })
		done()
	}
}

// whole reports what keeps a topic's partitions from having three replicas in sync.
func whole(ctx context.Context, adm *kadm.Client, topic string) error {
	dirs, err := adm.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if err := d.Error(); err != nil {
			return err
		}
	}
	m, err := adm.Metadata(ctx, topic)
	if err != nil {
		return err
	}
	if len(m.Topics[topic].Partitions) == 0 {
		return fmt.Errorf("%s is not known: %w", topic, m.Topics[topic].Err)
	}
	for _, p := range m.Topics[topic].Partitions {
		if len(p.ISR) != 3 {
			return fmt.Errorf("partition %d: ISR %v", p.Partition, p.ISR)
		}
	}
	return m.Topics[topic].Err
}
