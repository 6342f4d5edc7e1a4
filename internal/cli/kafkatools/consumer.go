package kafkatools

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/connect"
)

func consoleConsumerCommand() command {
	return command{
		about: "This tool helps to read data from Kafka topics and outputs it to standard output.",
		options: []option{
			opt("bootstrap-server", connectTo, "REQUIRED: brokers to begin with, host:port,..."),
			opt("command-config", "config file", "Property file with settings of the consumer."),
			opt("command-property", "consumer_prop", "A setting of the consumer, key=value; may be repeated."),
			opt("consumer-property", "consumer_prop", "(Deprecated) Use --command-property."),
			opt("consumer.config", "config file", "(Deprecated) Use --command-config."),
			sw("enable-systest-events", "Print events of the consumer's life."),
			opt("formatter", "class", "The class that prints records.").defaultTo("org.apache.kafka.tools.consumer.DefaultMessageFormatter"),
			opt("formatter-config", "config file", "Property file with settings of the formatter."),
			opt("formatter-property", "prop", "A setting of the formatter: print.timestamp, print.key, print.offset, print.epoch, print.partition, print.headers, "+
				"print.value, key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer; may be repeated."),
			sw("from-beginning", "Begin with the first record where the group has no offset."),
			opt("group", "consumer group id", "The consumer group."),
			opt("include", "Java regex (String)", "Topics, as a regular expression."),
			opt("isolation-level", "level", "read_committed or read_uncommitted.").defaultTo("read_uncommitted"),
			opt("key-deserializer", "deserializer for keys", "The class that reads keys."),
			opt("max-messages", "num_messages", "Stop after so many records.").number(argInteger),
			opt("offset", "consume offset", "The offset to begin with, 'earliest' or 'latest'.").defaultTo("latest"),
			opt("partition", "partition", "The partition to read.").number(argInteger),
			opt("property", "prop", "(Deprecated) Use --formatter-property."),
			sw("skip-message-on-error", "Go on behind a record that cannot be read."),
			opt("timeout-ms", "timeout_ms", "Stop when no record has come for so long.").number(argLong),
			opt("topic", "topic", "The topic."),
			opt("value-deserializer", "deserializer for values", "The class that reads values."),
		},
		run: consoleConsumer,
	}
}

func (t *tool) checkConsumer() error {
	o := t.opt
	for _, d := range []struct{ old, new string }{{"property", "formatter-property"}, {"consumer-property", "command-property"}, {"consumer.config", "command-config"}} {
		if o.has(d.old) {
			t.printf("Option --%s is deprecated and will be removed in a future version. Use --%s instead.\n", d.old, d.new)
		}
	}
	switch {
	case !o.has("bootstrap-server"):
		return wrong("Missing required argument \"[bootstrap-server]\"")
	case o.count("topic", "include") != 1:
		return wrong("Exactly one of the following arguments is required: [topic], [include]")
	case o.has("partition") && !o.has("topic"):
		return wrong("The topic is required when partition is specified.")
	case o.has("offset") && !o.has("partition"):
		return wrong("The partition is required when offset is specified.")
	case o.has("offset") && o.has("from-beginning"):
		return wrong("Options from-beginning and offset cannot be specified together.")
	case o.has("group") && o.has("partition"):
		return wrong("Options group and partition cannot be specified together.")
	}
	if o.has("offset") {
		if s := strings.ToLower(o.value("offset")); s != "earliest" && s != "latest" {
			if n, err := strconv.ParseInt(s, 10, 64); err != nil || n < 0 {
				return wrong("The provided offset value '%s' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.", o.value("offset"))
			}
		}
	}
	return nil
}

func consoleConsumer(ctx context.Context, t *tool) error {
	if err := t.checkConsumer(); err != nil {
		return err
	}
	f, err := t.newFormatter()
	if err != nil {
		return err
	}
	s, err := t.settings([]string{"consumer.config", "command-config"}, []string{"consumer-property", "command-property"}, "console-consumer")
	if err != nil {
		return err
	}
	if t.opt.has("isolation-level") || s.Properties["isolation.level"] == "" {
		s.Properties["isolation.level"] = t.opt.value("isolation-level")
	}
	opts, err := t.consumeFrom(s)
	if err != nil {
		return err
	}
	cl, err := s.Client(opts...)
	if err != nil {
		return err
	}
	n, err := t.consumeLoop(ctx, cl, f)
	_ = t.out.Flush()
	if t.group(s) != "" {
		leave, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if err := cl.CommitMarkedOffsets(leave); err != nil {
			t.logError("org.apache.kafka.clients.consumer.KafkaConsumer", "%s", javaText(err))
		}
		cancel()
	}
	cl.CloseAllowingRebalance()
	t.errorf("Processed a total of %d messages\n", n)
	if err != nil {
		t.logError("org.apache.kafka.tools.consumer.ConsoleConsumer", "Unknown error when running consumer: ")
	}
	return err
}

// consumeFrom says what to read. Without --group nothing is committed and nobody shares the partitions, so none is joined; Kafka's tool
// joins one of a random name, which costs the group's first rebalance.
func (t *tool) consumeFrom(s connect.Settings) ([]kgo.Opt, error) {
	o := t.opt
	start := kgo.NewOffset().AtEnd()
	reset := s.Properties["auto.offset.reset"]
	if o.has("from-beginning") || reset == "earliest" {
		start = kgo.NewOffset().AtStart()
	}
	if o.has("from-beginning") && reset == "latest" {
		return nil, fmt.Errorf("Can't simultaneously specify --from-beginning and 'auto.offset.reset=%s', please remove one option", reset)
	}
	if o.has("partition") {
		switch at := strings.ToLower(o.value("offset")); {
		case at == "earliest":
			start = kgo.NewOffset().AtStart()
		case o.has("offset") && at != "latest":
			start = kgo.NewOffset().At(o.int("offset"))
		}
		return []kgo.Opt{kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.value("topic"): {int32(o.int("partition")): start}})}, nil
	}
	opts := []kgo.Opt{kgo.ConsumeResetOffset(start), kgo.AllowAutoTopicCreation()}
	if o.has("include") {
		re, err := topicExpression(o.value("include"))
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(re.String()))
	} else {
		opts = append(opts, kgo.ConsumeTopics(o.value("topic")))
	}
	if g := t.group(s); g != "" {
		atEnd := start == kgo.NewOffset().AtEnd()
		opts = append(opts, kgo.ConsumerGroup(g), kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll(),
			kgo.OnPartitionsAssigned(func(ctx context.Context, cl *kgo.Client, got map[string][]int32) {
				if err := connect.CommitStarts(ctx, cl, g, got, atEnd); err != nil {
					t.logError("org.apache.kafka.clients.consumer.KafkaConsumer", "%s", javaText(err))
				}
			}))
		if s.Properties["partition.assignment.strategy"] == "" {
			opts = append(opts, kgo.Balancers(kgo.RangeBalancer(), kgo.CooperativeStickyBalancer()))
		}
	}
	return opts, nil
}

// group is the group to join, if any.
func (t *tool) group(s connect.Settings) string {
	if t.opt.has("group") {
		return t.opt.value("group")
	}
	return s.Properties["group.id"]
}

// consumeLoop prints records until enough have come, none do any more, or the run is interrupted; it returns how many,
// and what kept one from being printed.
func (t *tool) consumeLoop(ctx context.Context, cl *kgo.Client, f *formatter) (int64, error) {
	limit := int64(-1)
	if t.opt.has("max-messages") {
		limit = t.opt.int("max-messages")
	}
	timeout := time.Duration(1<<63 - 1)
	if t.opt.has("timeout-ms") {
		timeout = millisOf(t.opt.int("timeout-ms"))
	}
	var n int64
	var buf []byte
	last := time.Now()
	for limit < 0 || n < limit {
		poll, cancel := context.WithTimeout(ctx, min(timeout, 100*time.Millisecond))
		fetches := cl.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return n, nil
		}
		if err := pollError(fetches); err != nil {
			t.processingFailed(javaText(err))
			return n, nil
		}
		for iter := fetches.RecordIter(); !iter.Done() && (limit < 0 || n < limit); {
			r := iter.Next()
			last = time.Now()
			n++
			var err error
			if buf, err = f.append(buf[:0], r); err != nil {
				if t.opt.has("skip-message-on-error") {
					t.logError("org.apache.kafka.tools.consumer.ConsoleConsumer", "Error processing message, skipping this message: %s", err)
					continue
				}
				return n, err
			}
			if _, err := t.out.Write(buf); err != nil {
				t.errorf("Unable to write to standard out, closing consumer.\n")
				return n, nil
			}
			cl.MarkCommitRecords(r)
		}
		if t.out.Flush() != nil {
			t.errorf("Unable to write to standard out, closing consumer.\n")
			return n, nil
		}
		cl.AllowRebalance()
		if time.Since(last) >= timeout {
			t.processingFailed("org.apache.kafka.common.errors.TimeoutException")
			return n, nil
		}
	}
	return n, nil
}

func (t *tool) processingFailed(text string) {
	t.logError("org.apache.kafka.tools.consumer.ConsoleConsumer", "Error processing message, terminating consumer process: ")
	t.errorf("%s\n", text)
}

func pollError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
			return e.Err
		}
	}
	return nil
}

func millisOf(n int64) time.Duration {
	return time.Duration(min(n, int64(1<<62/time.Millisecond))) * time.Millisecond
}
