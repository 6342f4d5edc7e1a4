package kafkatools

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
)

const connectTo = "server to connect to"

func topicsCommand() command {
	return command{
		about: "This tool helps to create, delete, describe, or change a topic.",
		options: []option{
			sw("alter", "Add partitions to topics."),
			sw("at-min-isr-partitions", "Describe only partitions with exactly min.insync.replicas in sync."),
			opt("bootstrap-server", connectTo, "REQUIRED: brokers to begin with, host:port,..."),
			opt("command-config", "command config property file", "Property file with settings of the client."),
			opt("config", "name=value", "Configuration of the topic to create; may be repeated."),
			sw("create", "Create a topic."),
			sw("delete", "Delete topics."),
			opt("delete-config", "name", "Not supported any more."),
			sw("describe", "Show topics and their partitions."),
			sw("exclude-internal", "Leave the cluster's own topics out of lists and descriptions."),
			sw("if-exists", "A missing topic is no error."),
			sw("if-not-exists", "An existing topic is no error."),
			sw("list", "List all topics."),
			opt("partition-size-limit-per-response", "maximum number of partitions per response", "Partitions one answer may hold.").number(argInteger),
			opt("partitions", "# of partitions", "Number of partitions to create, or to have after --alter.").number(argInteger),
			opt("replica-assignment", "broker_id_for_part1_replica1 : broker_id_for_part1_replica2 , ...", "Which brokers hold which partition."),
			opt("replication-factor", "replication factor", "Replicas of each partition to create.").number(argInteger),
			opt("topic", "topic", "The topic; a regular expression except for --create."),
			opt("topic-id", "topic-id", "The id of the topic to describe."),
			sw("topics-with-overrides", "Describe only topics with configuration of their own."),
			sw("unavailable-partitions", "Describe only partitions without a leader."),
			sw("under-min-isr-partitions", "Describe only partitions with fewer than min.insync.replicas in sync."),
			sw("under-replicated-partitions", "Describe only partitions with replicas out of sync."),
		},
		run: topics,
	}
}

func topics(ctx context.Context, t *tool) error {
	if err := checkTopics(t.opt); err != nil {
		return err
	}
	c, err := t.cluster()
	if err != nil {
		return t.topicError(err)
	}
	defer c.Close()
	switch {
	case t.opt.has("create"):
		err = t.createTopic(ctx, c)
	case t.opt.has("alter"):
		err = t.alterTopic(ctx, c)
	case t.opt.has("list"):
		err = t.listTopics(ctx, c)
	case t.opt.has("describe"):
		err = t.describeTopics(ctx, c)
	case t.opt.has("delete"):
		err = t.deleteTopics(ctx, c)
	}
	return t.topicError(err)
}

func checkTopics(o *options) error {
	if o.count("list", "describe", "create", "alter", "delete") != 1 {
		return wrong("Command must include exactly one action: --list, --describe, --create, --alter or --delete")
	}
	if !o.has("bootstrap-server") {
		return &usageError{message: errNoBroker.Error(), bare: true}
	}
	if o.has("describe") && o.has("topic") && o.has("topic-id") {
		return wrong("Only one of --topic and --topic-id may be specified.")
	}
	if o.has("create") && !o.has("topic") {
		return wrong("Missing required argument \"[topic]\"")
	}
	if o.has("alter") {
		if err := o.need("topic"); err != nil {
			return err
		}
		if o.has("config") || o.has("delete-config") {
			return wrong("Option \"[alter]\" can't be used with option \"[config]\" (the kafka-configs tool can be used to alter topic configurations)")
		}
	}
	if o.has("config") && !o.has("create") {
		return wrong("Option \"[config]\" can't be used with option \"[%s]\"", o.order[0])
	}
	if o.has("create") {
		if err := o.never("replica-assignment", "partitions", "replication-factor"); err != nil {
			return err
		}
	}
	for _, r := range []struct {
		option string
		needs  []string
	}{
		{"if-not-exists", []string{"create"}}, {"if-exists", []string{"alter", "delete", "describe"}},
		{"under-replicated-partitions", []string{"describe"}}, {"unavailable-partitions", []string{"describe"}},
		{"topics-with-overrides", []string{"describe"}}, {"exclude-internal", []string{"list", "describe"}},
	} {
		if o.has(r.option) && o.count(r.needs...) == 0 {
			return wrong("Option \"[%s]\" can't be used without one of these: %s", r.option, strings.Join(r.needs, ", "))
		}
	}
	return nil
}

// topicError prints a failure as the tool does: the sentence on standard output, the exception on standard error.
func (t *tool) topicError(err error) error {
	if err == nil {
		return nil
	}
	var u *usageError
	if errors.As(err, &u) {
		return err
	}
	var ke *kerr.Error
	if errors.As(err, &ke) {
		class, message := exception(err)
		t.printf("Error while executing topic command : %s\n", message)
		t.logError("org.apache.kafka.tools.TopicCommand", "%s: %s\n", class, message)
		return errSaid
	}
	t.printf("Error while executing topic command : %s\n", err)
	t.logError("org.apache.kafka.tools.TopicCommand", "java.lang.IllegalArgumentException: %s\n", err)
	return errSaid
}

func (t *tool) createTopic(ctx context.Context, c *connect.Cluster) error {
	name := t.opt.value("topic")
	if strings.ContainsRune(name, '.') || strings.ContainsRune(name, '_') {
		t.printf("WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. " +
			"To avoid issues it is best to use either, but not both.\n")
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 60000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, -1, -1
	if t.opt.has("partitions") {
		if topic.NumPartitions = int32(t.opt.int("partitions")); topic.NumPartitions < 1 {
			return errors.New("The partitions must be greater than 0")
		}
	}
	if t.opt.has("replication-factor") {
		n := t.opt.int("replication-factor")
		if n < 1 || n > 32767 {
			return errors.New("The replication factor must be between 1 and 32767 inclusive")
		}
		topic.ReplicationFactor = int16(n)
	}
	if t.opt.has("replica-assignment") {
		assignment, err := parseAssignment(t.opt.value("replica-assignment"))
		if err != nil {
			return err
		}
		topic.ReplicaAssignment = assignment
	}
	for _, kv := range t.opt.values("config") {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return errors.New(`requirement failed: Invalid topic config: all configs to be added must be in the format "key=val".`)
		}
		cfg := kmsg.NewCreateTopicsRequestTopicConfig()
		cfg.Name, cfg.Value = strings.TrimSpace(k), new(strings.Trim(v, " []"))
		topic.Configs = append(topic.Configs, cfg)
	}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, c.Raw)
	if err != nil {
		return err
	}
	for _, r := range resp.Topics {
		err := kerr.ErrorForCode(r.ErrorCode)
		if errors.Is(err, kerr.TopicAlreadyExists) && t.opt.has("if-not-exists") {
			return nil
		}
		if err != nil {
			return withMessage(err, text(r.ErrorMessage))
		}
	}
	t.printf("Created topic %s.\n", name)
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// parseAssignment reads 1:2,2:3 as the replicas of partitions 0, 1, ...
func parseAssignment(s string) ([]kmsg.CreateTopicsRequestTopicReplicaAssignment, error) {
	var out []kmsg.CreateTopicsRequestTopicReplicaAssignment
	for i, part := range strings.Split(s, ",") {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition = int32(i)
		for broker := range strings.SplitSeq(part, ":") {
			n, err := strconv.ParseInt(strings.TrimSpace(broker), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("For input string: %q", broker)
			}
			if slices.Contains(a.Replicas, int32(n)) {
				return nil, fmt.Errorf("Partition replica lists may not contain duplicate entries: %d", n)
			}
			a.Replicas = append(a.Replicas, int32(n))
		}
		if len(out) > 0 && len(a.Replicas) != len(out[0].Replicas) {
			return nil, fmt.Errorf("Partition %d has different replication factor: [%s]", i, strings.ReplaceAll(part, ":", ", "))
		}
		out = append(out, a)
	}
	return out, nil
}

// matching finds the topics the --topic expression means, sorted. Without --topic: all.
func (t *tool) matching(ctx context.Context, c *connect.Cluster, exclude bool) ([]string, error) {
	all, err := c.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, err
	}
	var re *regexp.Regexp
	if t.opt.has("topic") {
		if re, err = topicExpression(t.opt.value("topic")); err != nil {
			return nil, err
		}
	}
	var out []string
	for name, d := range all {
		if exclude && d.IsInternal || re != nil && !re.MatchString(name) {
			continue
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

// topicExpression reads a filter of topics: a regular expression in which a comma means "or".
func topicExpression(s string) (*regexp.Regexp, error) {
	s = strings.Trim(strings.TrimSpace(s), `"'`)
	s = strings.ReplaceAll(strings.ReplaceAll(s, ",", "|"), " ", "")
	re, err := regexp.Compile("^(?:" + s + ")$")
	if err != nil {
		return nil, fmt.Errorf("%s is an invalid regex.", s)
	}
	return re, nil
}

// found fails when --topic matched nothing and nobody said that this may be.
func (t *tool) found(names []string) error {
	if len(names) == 0 && t.opt.has("topic") && !t.opt.has("if-exists") {
		return fmt.Errorf("Topic '%s' does not exist as expected", t.opt.value("topic"))
	}
	return nil
}

func (t *tool) listTopics(ctx context.Context, c *connect.Cluster) error {
	names, err := t.matching(ctx, c, t.opt.has("exclude-internal"))
	if err != nil {
		return err
	}
	t.printf("%s\n", strings.Join(names, "\n"))
	return nil
}

func (t *tool) alterTopic(ctx context.Context, c *connect.Cluster) error {
	names, err := t.matching(ctx, c, false)
	if err == nil {
		err = t.found(names)
	}
	if err != nil || len(names) == 0 {
		return err
	}
	if !t.opt.has("partitions") {
		return nil
	}
	details, err := c.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 60000
	for _, n := range names {
		topic := kmsg.NewCreatePartitionsRequestTopic()
		topic.Topic, topic.Count = n, int32(t.opt.int("partitions"))
		if t.opt.has("replica-assignment") {
			assignment, err := parseAssignment(t.opt.value("replica-assignment"))
			if err != nil {
				return err
			}
			for _, a := range assignment[min(len(details[n].Partitions), len(assignment)):] {
				topic.Assignment = append(topic.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: a.Replicas})
			}
		}
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, c.Raw)
	if err != nil {
		return err
	}
	for _, r := range resp.Topics {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return withMessage(err, text(r.ErrorMessage))
		}
	}
	return nil
}

func (t *tool) deleteTopics(ctx context.Context, c *connect.Cluster) error {
	if !t.opt.has("topic") {
		return wrong("Missing required argument \"[topic]\"")
	}
	names, err := t.matching(ctx, c, false)
	if err == nil {
		err = t.found(names)
	}
	if err != nil || len(names) == 0 {
		return err
	}
	responses, err := c.DeleteTopics(ctx, names...)
	if err != nil {
		return err
	}
	for _, r := range responses.Sorted() {
		if r.Err != nil {
			return withMessage(r.Err, r.ErrMessage)
		}
	}
	return nil
}
