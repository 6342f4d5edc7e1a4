package klammtest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/klamm/klamm/klammtest"
)

// TestFirstCommitsAreTaken: the coordinator that a client has just been told of takes its first commit, though the topic of groups was made a
// moment ago, perhaps at another broker's door, and not every broker has heard of it yet. Nothing is sent twice here.
func TestFirstCommitsAreTaken(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for round := range 5 {
		c := klammtest.NewCluster(t)
		cl := clusterClient(t, c, kgo.MaxVersions(kversion.V3_9_0())) // names topics by name
		adm := kadm.NewClient(cl)
		makeTopic(ctx, t, adm, "t", 1)
		eventually(ctx, t, "every broker knows the topic", func() error {
			_, err := agreed(ctx, cl, c, "t", 0)
			return err
		})
		for i := range 20 {
			door := cl.Broker(1 + (round+i)%3)
			group := fmt.Sprintf("g%d", i)
			find := kmsg.NewPtrFindCoordinatorRequest()
			find.CoordinatorKey, find.CoordinatorKeys = group, []string{group}
			found, err := find.RequestWith(ctx, door)
			if err != nil || len(found.Coordinators) != 1 || found.Coordinators[0].ErrorCode != 0 {
				t.Fatalf("round %d, group %d: %+v %v", round, i, found, err)
			}
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Offset = int64(i)
			commit := kmsg.NewPtrOffsetCommitRequest()
			commit.Group, commit.Generation = group, -1
			commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
			begin := time.Now()
			resp, err := cl.Broker(int(found.Coordinators[0].NodeID)).Request(ctx, commit)
			if err != nil {
				t.Fatalf("round %d, group %d: %v", round, i, err)
			}
			if code := resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
				t.Errorf("round %d, group %d: %v after %v", round, i, kerr.ErrorForCode(code), time.Since(begin))
			}
		}
		c.Stop()
	}
}
