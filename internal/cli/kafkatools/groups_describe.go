package kafkatools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/internal/cli/connect"
)

func (t *tool) describeGroups(ctx context.Context, c *connect.Cluster) error {
	names, err := t.named(ctx, c)
	if err != nil {
		return err
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	described, err := c.DescribeGroups(ctx, names...)
	if err != nil {
		return err
	}
	for _, name := range names {
		g := described[name]
		if g.Err != nil {
			return groupError(name, g.Err)
		}
		if g.State == "Dead" && len(g.Members) == 0 {
			return withMessage(kerr.GroupIDNotFound, "Group "+name+" not found.")
		}
		var err error
		switch {
		case t.opt.has("members"):
			t.printMembers(g)
		case t.opt.has("state"):
			t.printState(g)
		default:
			err = t.printGroupOffsets(ctx, c, g)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func groupError(name string, err error) error {
	if errors.Is(err, kerr.GroupIDNotFound) {
		return withMessage(err, "Group "+name+" not found.")
	}
	return err
}

// remark says on standard error what a state means, and whether there is anything to print.
func (t *tool) remark(g kadm.DescribedGroup) bool {
	switch g.State {
	case "Dead":
		t.printf("\nError: Consumer group '%s' does not exist.\n", g.Group)
		return false
	case "Empty":
		t.errorf("\nConsumer group '%s' has no active members.\n", g.Group)
	case "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling":
		t.errorf("\nWarning: Consumer group '%s' is rebalancing.\n", g.Group)
	}
	return true
}

// offsetRow is a line of --describe.
type offsetRow struct {
	topic                      string
	partition                  int32
	epoch, committed, end, lag string
	consumer, host, client     string
}

func (t *tool) printGroupOffsets(ctx context.Context, c *connect.Cluster, g kadm.DescribedGroup) error {
	committed, err := c.FetchOffsets(ctx, g.Group)
	if err != nil {
		return err
	}
	rows, err := offsetRows(ctx, c, g, committed)
	if err != nil {
		return err
	}
	if !t.remark(g) || len(rows) == 0 {
		return nil
	}
	groupWidth, topicWidth, consumerWidth := max(15, len(g.Group)), 15, 15
	for _, r := range rows {
		topicWidth, consumerWidth = max(topicWidth, len(r.topic)), max(consumerWidth, len(r.consumer))
	}
	line := func(group string, partition any, r offsetRow) {
		t.printf("%-*s %-*s %-10v", groupWidth, group, topicWidth, r.topic, partition)
		if t.opt.has("verbose") {
			t.printf(" %-15s", r.epoch)
		}
		t.printf(" %-15s %-15s %-15s %-*s %-15s %s\n", r.committed, r.end, r.lag, consumerWidth, r.consumer, r.host, r.client)
	}
	t.printf("\n")
	line("GROUP", "PARTITION", offsetRow{topic: "TOPIC", epoch: "LEADER-EPOCH", committed: "CURRENT-OFFSET", end: "LOG-END-OFFSET", lag: "LAG",
		consumer: "CONSUMER-ID", host: "HOST", client: "CLIENT-ID"})
	for _, r := range rows {
		line(g.Group, r.partition, r)
	}
	return nil
}

// offsetRows are first the partitions of each member, those of the busiest first, then committed ones nobody owns.
func offsetRows(ctx context.Context, c *connect.Cluster, g kadm.DescribedGroup, committed kadm.OffsetResponses) ([]offsetRow, error) {
	topics := map[string]bool{}
	for topic := range committed {
		topics[topic] = true
	}
	for topic := range g.AssignedPartitions() {
		topics[topic] = true
	}
	var ends kadm.ListedOffsets
	if len(topics) > 0 {
		var err error
		var names []string
		for topic := range topics {
			names = append(names, topic)
		}
		if ends, err = c.ListEndOffsets(ctx, names...); err != nil {
			return nil, err
		}
	}
	row := func(topic string, p int32) offsetRow {
		r := offsetRow{topic: topic, partition: p, epoch: "-", committed: "-", end: "-", lag: "-", consumer: "-", host: "-", client: "-"}
		end, okEnd := ends.Lookup(topic, p)
		if okEnd && end.Err == nil {
			r.end = fmt.Sprint(end.Offset)
		}
		if o, ok := committed.Lookup(topic, p); ok && o.Err == nil && o.At >= 0 {
			r.committed = fmt.Sprint(o.At)
			if o.LeaderEpoch >= 0 {
				r.epoch = fmt.Sprint(o.LeaderEpoch)
			}
			if okEnd && end.Err == nil {
				r.lag = fmt.Sprint(end.Offset - o.At)
			}
		}
		return r
	}
	owned := map[string]map[int32]bool{}
	var rows []offsetRow
	for _, m := range busiestFirst(g.Members) {
		part := []offsetRow{}
		for topic, partitions := range m.partitions {
			for _, p := range partitions {
				r := row(topic, p)
				r.consumer, r.host, r.client = m.MemberID, m.ClientHost, m.ClientID
				part = append(part, r)
				if owned[topic] == nil {
					owned[topic] = map[int32]bool{}
				}
				owned[topic][p] = true
			}
		}
		rows = append(rows, sortRows(part)...)
	}
	var rest []offsetRow
	for _, o := range committed.Sorted() {
		if !owned[o.Topic][o.Partition] {
			rest = append(rest, row(o.Topic, o.Partition))
		}
	}
	return append(rows, sortRows(rest)...), nil
}

func sortRows(rows []offsetRow) []offsetRow {
	slices.SortFunc(rows, func(a, b offsetRow) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return rows
}

// owner is a member with what it owns.
type owner struct {
	kadm.DescribedGroupMember
	partitions map[string][]int32
	count      int
}

func busiestFirst(members []kadm.DescribedGroupMember) []owner {
	out := make([]owner, 0, len(members))
	for _, m := range members {
		o := owner{DescribedGroupMember: m, partitions: map[string][]int32{}}
		if a, ok := m.Assigned.AsConsumer(); ok {
			for _, topic := range a.Topics {
				o.partitions[topic.Topic] = slices.Sorted(slices.Values(topic.Partitions))
				o.count += len(topic.Partitions)
			}
		}
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b owner) int { return b.count - a.count })
	return out
}

func (t *tool) printMembers(g kadm.DescribedGroup) {
	if !t.remark(g) {
		return
	}
	members := busiestFirst(g.Members)
	groupWidth, consumerWidth, instanceWidth, hostWidth, clientWidth := max(15, len(g.Group)), 15, 17, 15, 15
	static := false
	for _, m := range members {
		consumerWidth, hostWidth, clientWidth = max(consumerWidth, len(m.MemberID)), max(hostWidth, len(m.ClientHost)), max(clientWidth, len(m.ClientID))
		if m.InstanceID != nil {
			static = true
			instanceWidth = max(instanceWidth, len(*m.InstanceID))
		}
	}
	line := func(group, consumer, instance, host, client string) {
		t.printf("%-*s %-*s ", groupWidth, group, consumerWidth, consumer)
		if static {
			t.printf("%-*s ", instanceWidth, instance)
		}
		t.printf("%-*s %-*s ", hostWidth, host, clientWidth, client)
	}
	t.printf("\n")
	line("GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID")
	t.printf("%-15s ", "#PARTITIONS")
	if t.opt.has("verbose") {
		t.printf("%-15s %-20s %-15s %-20s", "CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT")
	}
	for _, m := range members {
		instance := ""
		if m.InstanceID != nil {
			instance = *m.InstanceID
		}
		t.printf("\n")
		line(g.Group, m.MemberID, instance, m.ClientHost, m.ClientID)
		t.printf("%-15d ", m.count)
		if t.opt.has("verbose") {
			t.printf("%-15s %-20s %-15s %-20s", "-", assignmentText(m.partitions), "-", "-")
		}
	}
	t.printf("\n")
}

func assignmentText(partitions map[string][]int32) string {
	var out []string
	for topic, ps := range partitions {
		out = append(out, topic+":"+ids(ps))
	}
	if len(out) == 0 {
		return "-"
	}
	slices.Sort(out)
	return strings.Join(out, ";")
}

func (t *tool) printState(g kadm.DescribedGroup) {
	if !t.remark(g) {
		return
	}
	coordinator := fmt.Sprintf("%s:%d  (%d)", g.Coordinator.Host, g.Coordinator.Port, g.Coordinator.NodeID)
	groupWidth, coordinatorWidth := max(15, len(g.Group)), max(25, len(coordinator))
	strategy := g.Protocol
	if strategy == "" {
		strategy = "-"
	}
	if t.opt.has("verbose") {
		t.printf("\n%-*s %-*s %-20s %-20s %-15s %-25s %s", groupWidth, "GROUP", coordinatorWidth, "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH", "#MEMBERS")
		t.printf("\n%-*s %-*s %-20s %-20s %-15s %-25s %d\n", groupWidth, g.Group, coordinatorWidth, coordinator, strategy, g.State, "-", "-", len(g.Members))
		return
	}
	t.printf("\n%-*s %-*s %-20s %-20s %s", groupWidth, "GROUP", coordinatorWidth, "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS")
	t.printf("\n%-*s %-*s %-20s %-20s %d\n", groupWidth, g.Group, coordinatorWidth, coordinator, strategy, g.State, len(g.Members))
}
