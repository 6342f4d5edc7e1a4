package kafkatools

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
)

func getOffsetsCommand() command {
	return command{
		about: "An interactive shell for getting topic-partition offsets.",
		options: []option{
			opt("bootstrap-server", "HOST1:PORT1,...,HOST3:PORT3", "REQUIRED: brokers to begin with."),
			opt("command-config", "config file", "Property file with settings of the client."),
			sw("exclude-internal-topics", "Leave the cluster's own topics out."),
			opt("partitions", "partition ids", "Only these partitions, comma separated."),
			opt("time", "<timestamp> / -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload",
				"Which offset.").defaultTo("latest"),
			opt("topic", "topic", "The topic, a regular expression; without it all."),
			opt("topic-partitions", "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3", "Topics with partitions: a number, a range (the upper bound excluded), or all."),
		},
		run: getOffsets,
	}
}

// selector is one of --topic-partitions.
type selector struct {
	topic    *regexp.Regexp
	from, to int64 // to excluded
}

func getOffsets(ctx context.Context, t *tool) error {
	if !t.opt.has("bootstrap-server") {
		return wrong("Missing required argument \"[bootstrap-server]\"")
	}
	err := t.getOffsets(ctx)
	var u *usageError
	if err == nil || errors.As(err, &u) {
		return err
	}
	t.errorf("Error occurred: %s\n", shortText(err))
	return errSaid
}

func (t *tool) getOffsets(ctx context.Context) error {
	if t.opt.has("topic-partitions") && t.opt.count("topic", "partitions") > 0 {
		return errors.New("--topic-partitions cannot be used with --topic or --partitions")
	}
	timestamp, err := parseOffsetTime(t.opt.value("time"))
	if err != nil {
		return err
	}
	selectors, err := t.selectors()
	if err != nil {
		return err
	}
	c, err := t.cluster()
	if err != nil {
		return err
	}
	defer c.Close()
	topics, err := c.ListTopicsWithInternal(ctx)
	if err != nil {
		return err
	}
	wanted := kadm.TopicsSet{}
	for _, d := range topics.Sorted() {
		if d.IsInternal && t.opt.has("exclude-internal-topics") {
			continue
		}
		for _, p := range d.Partitions.Sorted() {
			if slices.ContainsFunc(selectors, func(s selector) bool {
				return s.topic.MatchString(d.Topic) && int64(p.Partition) >= s.from && int64(p.Partition) < s.to
			}) {
				wanted.Add(d.Topic, p.Partition)
			}
		}
	}
	if len(wanted) == 0 {
		return errors.New("Could not match any topic-partitions with the specified filters")
	}
	return t.printOffsets(ctx, c, wanted, timestamp)
}

func (t *tool) printOffsets(ctx context.Context, c *connect.Cluster, wanted kadm.TopicsSet, timestamp int64) error {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.TimeoutMillis = -1, 60000
	for _, topic := range wanted.Sorted() {
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = topic.Topic
		for _, p := range topic.Partitions {
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Partition, rp.Timestamp = p, timestamp
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, c.Raw)
	if err != nil {
		return err
	}
	type line struct{ key, text string }
	var lines []line
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			name := fmt.Sprintf("%s-%d", topic.Topic, p.Partition)
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				t.errorf("Skip getting offsets for topic-partition %s due to error: %s\n", name, shortText(err))
				continue
			}
			if p.Offset >= 0 {
				lines = append(lines, line{name, fmt.Sprintf("%s:%d:%d", topic.Topic, p.Partition, p.Offset)})
			}
		}
	}
	// Kafka's tool orders by the text topic-partition, so partition 10 comes before 2.
	slices.SortFunc(lines, func(a, b line) int { return strings.Compare(a.key, b.key) })
	for _, l := range lines {
		t.printf("%s\n", l.text)
	}
	return nil
}

func parseOffsetTime(s string) (int64, error) {
	names := map[string]int64{"latest": -1, "earliest": -2, "max-timestamp": -3, "earliest-local": -4, "latest-tiered": -5, "earliest-pending-upload": -6}
	if n, ok := names[s]; ok {
		return n, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < -6 {
		return 0, fmt.Errorf("Malformed time argument %s. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / "+
			"-5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp", s)
	}
	return n, nil
}

const allPartitions = 1 << 31

func (t *tool) selectors() ([]selector, error) {
	if t.opt.has("topic-partitions") {
		var out []selector
		for s := range strings.SplitSeq(t.opt.value("topic-partitions"), ",") {
			sel, err := parseSelector(s)
			if err != nil {
				return nil, err
			}
			out = append(out, sel)
		}
		return out, nil
	}
	topic := regexp.MustCompile(".*")
	if t.opt.has("topic") {
		var err error
		if topic, err = topicExpression(t.opt.value("topic")); err != nil {
			return nil, err
		}
	}
	if !t.opt.has("partitions") {
		return []selector{{topic, 0, allPartitions}}, nil
	}
	var out []selector
	for s := range strings.SplitSeq(t.opt.value("partitions"), ",") {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("--partitions expects a comma separated list of numeric partition ids, but received: %s", t.opt.value("partitions"))
		}
		out = append(out, selector{topic, n, n + 1})
	}
	return out, nil
}

// parseSelector reads topic, topic:1, topic:0-3, topic:5-, topic:-3 and :1.
func parseSelector(s string) (selector, error) {
	name, partitions, ok := strings.Cut(s, ":")
	sel := selector{from: 0, to: allPartitions}
	bad := fmt.Errorf("org.apache.kafka.tools.TerseException: Invalid rule specification: %s", s)
	if name == "" {
		name = ".*"
	}
	var err error
	if sel.topic, err = topicExpression(name); err != nil {
		return sel, bad
	}
	if !ok || partitions == "" {
		return sel, nil
	}
	low, high, isRange := strings.Cut(partitions, "-")
	if low != "" {
		if sel.from, err = strconv.ParseInt(low, 10, 32); err != nil {
			return sel, bad
		}
		if !isRange {
			sel.to = sel.from + 1
		}
	}
	if high != "" {
		if sel.to, err = strconv.ParseInt(high, 10, 32); err != nil {
			return sel, bad
		}
	}
	return sel, nil
}
