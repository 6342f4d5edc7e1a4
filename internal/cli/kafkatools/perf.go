package kafkatools

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/perf"
)

func producerPerfCommand() command {
	return command{
		about: "This tool is used to verify the producer performance.",
		options: []option{
			opt("bootstrap-server", "bootstrap-server", "Brokers to begin with."),
			opt("topic", "topic", "The topic.").require(),
			opt("num-records", "num-records", "Number of records.").number(argLong).require(),
			opt("payload-delimiter", "payload-delimiter", "Text between payloads in a file.").defaultTo(`\n`),
			opt("throughput", "throughput", "Records per second; -1 for as many as possible.").require(),
			opt("producer-props", "prop-name=prop-value", "(Deprecated) Use --command-property.").manyArgs(),
			opt("command-property", "prop-name=prop-value", "Settings of the producer.").manyArgs(),
			opt("producer.config", "config-file", "(Deprecated) Use --command-config."),
			opt("command-config", "config-file", "Property file with settings of the producer."),
			sw("print-metrics", "Print the client's metrics at the end."),
			opt("transactional-id", "transactional-id", "The transactional id."),
			opt("transaction-duration-ms", "transaction-duration", "How long a transaction lasts.").number(argLong),
			opt("warmup-records", "warmup-records", "Records left out of the steady state.").number(argLong).defaultTo("0"),
			opt("reporting-interval", "interval-ms", "How often progress is printed.").number(argLong).defaultTo("5000"),
			opt("record-size", "record-size", "Size of records in bytes.").number(argInteger),
			opt("payload-file", "payload-file", "File with payloads; each record is one of them."),
			sw("payload-monotonic", "Payloads are numbers that grow."),
		},
		run: producerPerf,
	}
}

func producerPerf(ctx context.Context, t *tool) error {
	o := t.opt
	switch n := o.count("record-size", "payload-file", "payload-monotonic"); {
	case n == 0:
		return bare("%skafka-producer-perf-test: error: one of the arguments --record-size --payload-file --payload-monotonic is required", usageLine("kafka-producer-perf-test", producerPerfCommand().options))
	case n > 1:
		return bare("kafka-producer-perf-test: error: argument --payload-file: not allowed with argument --record-size")
	case o.count("transactional-id", "transaction-duration-ms") > 0:
		return bare("kafka-producer-perf-test: error: transactions are not possible in this version")
	case o.count("bootstrap-server", "producer-props", "command-property", "producer.config", "command-config") == 0:
		return bare("kafka-producer-perf-test: error: At least one of --bootstrap-server, --command-property, --producer-props, --producer.config or --command-config must be specified.")
	}
	for _, d := range []struct{ old, new string }{{"producer-props", "command-property"}, {"producer.config", "command-config"}} {
		if o.has(d.old) {
			t.printf("Option --%s has been deprecated and will be removed in a future version. Use --%s instead.\n", d.old, d.new)
		}
	}
	rate, err := strconv.ParseFloat(o.value("throughput"), 64)
	if err != nil {
		return bare("kafka-producer-perf-test: error: argument --throughput: could not convert '%s' to Double", o.value("throughput"))
	}
	payload, err := t.payloads()
	if err != nil {
		return err
	}
	s, err := t.settings([]string{"producer.config", "command-config"}, []string{"producer-props", "command-property"}, "perf-producer-client")
	if err != nil {
		return err
	}
	for k, v := range map[string]string{"batch.size": "16384", "buffer.memory": "33554432", "acks": "all"} {
		if _, ok := s.Properties[k]; !ok {
			s.Properties[k] = v
		}
	}
	cl, err := s.Client(kgo.MaxBufferedRecords(1<<20), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(10))
	if err != nil {
		return err
	}
	defer cl.Close()
	warmup := o.int("warmup-records")
	if warmup > 0 {
		t.printf("Warmup first %d records. Steady state results will print after the complete test summary.\n", warmup)
	}
	all, steady := perf.Produce(ctx, perf.ProduceOptions{Client: cl, Topic: o.value("topic"), Records: o.int("num-records"), Payload: payload, Rate: rate, Warmup: warmup,
		Every: millisOf(o.int("reporting-interval")), Window: func(w perf.Window) {
			t.printf("%s\n", w.Line())
			_ = t.out.Flush()
		}})
	if all.FirstError != nil {
		t.errorf("%s\n", javaText(all.FirstError))
	}
	t.printf("%s\n", all.Line(""))
	if warmup > 0 {
		t.printf("%s\n", steady.Line("steady state "))
	}
	return ctx.Err()
}

// payloads makes the bytes of each record.
func (t *tool) payloads() (func(int64) []byte, error) {
	switch {
	case t.opt.has("payload-monotonic"):
		return func(i int64) []byte { return strconv.AppendInt(nil, i, 10) }, nil
	case t.opt.has("payload-file"):
		text, err := os.ReadFile(t.opt.value("payload-file"))
		if err != nil {
			return nil, fmt.Errorf("File does not exist or empty file provided: %w", err)
		}
		delimiter := strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r").Replace(t.opt.value("payload-delimiter"))
		list := bytes.Split(bytes.TrimSuffix(text, []byte(delimiter)), []byte(delimiter))
		rng := rand.New(rand.NewPCG(0, 0))
		return func(int64) []byte { return list[rng.IntN(len(list))] }, nil
	}
	size := t.opt.int("record-size")
	if size <= 0 {
		return nil, bare("kafka-producer-perf-test: error: --record-size should be greater than zero.")
	}
	return RandomPayload(int(size)), nil
}

// RandomPayload makes payloads of capital letters, as Kafka's tool does: they compress to a little more than half.
func RandomPayload(size int) func(int64) []byte {
	rng := rand.New(rand.NewPCG(0, 0))
	return func(int64) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte('A' + rng.IntN(26))
		}
		return b
	}
}

func consumerPerfCommand() command {
	return command{
		about: "This tool is used to verify the consumer performance.",
		options: []option{
			opt("bootstrap-server", connectTo, "REQUIRED: brokers to begin with."),
			opt("command-config", "config file", "Property file with settings of the consumer."),
			opt("command-property", "prop1=val1", "A setting of the consumer; may be repeated."),
			opt("consumer.config", "config file", "(Deprecated) Use --command-config."),
			opt("date-format", "date format", "Format of times.").defaultTo("yyyy-MM-dd HH:mm:ss:SSS"),
			opt("fetch-size", "size", "Bytes of a partition to ask for at a time.").number(argInteger).defaultTo("1048576"),
			sw("from-latest", "Begin at the end where the group has no offset."),
			opt("group", "gid", "The group; perf-consumer- and a number where none is given."),
			sw("hide-header", "Leave the header line out."),
			opt("include", "Java regex (String)", "Topics, as a regular expression."),
			opt("messages", "count", "(Deprecated) Use --num-records.").number(argLong),
			opt("num-records", "count", "REQUIRED: number of records.").number(argLong),
			sw("print-metrics", "Print the client's metrics at the end."),
			opt("reporting-interval", "interval_ms", "How often progress is printed.").number(argLong).defaultTo("5000"),
			sw("show-detailed-stats", "Print statistics for each interval."),
			opt("socket-buffer-size", "size", "Receive buffer of sockets.").number(argInteger).defaultTo("2097152"),
			opt("timeout", "milliseconds", "The longest time between two records.").number(argLong).optionalArg().defaultTo("10000"),
			opt("topic", "topic", "The topic."),
		},
		run: consumerPerf,
	}
}

func consumerPerf(ctx context.Context, t *tool) error {
	o := t.opt
	if o.has("messages") {
		t.printf("Warning: --messages is deprecated. Use --num-records instead.\n")
	}
	switch {
	case !o.has("bootstrap-server"):
		return wrong("Missing required argument \"[bootstrap-server]\"")
	case o.count("topic", "include") != 1:
		return wrong("Exactly one of the following arguments is required: [topic], [include]")
	case o.count("messages", "num-records") != 1:
		return wrong("Exactly one of the following arguments is required: [num-records], [messages]")
	}
	s, err := t.settings([]string{"consumer.config", "command-config"}, []string{"command-property"}, "perf-consumer-client")
	if err != nil {
		return err
	}
	opts, err := t.perfOptions()
	if err != nil {
		return err
	}
	if !o.has("hide-header") {
		header := perf.ConsumeHeader
		if o.has("show-detailed-stats") {
			header = perf.DetailHeader
		}
		t.printf("%s\n", header)
	}
	timeout := millisOf(o.int("timeout"))
	run := perf.ConsumeOptions{Group: true, Idle: timeout, Records: max(o.int("num-records"), o.int("messages")), Every: millisOf(o.int("reporting-interval")),
		Open: func(more ...kgo.Opt) (*kgo.Client, error) { return s.Client(append(opts, more...)...) }}
	if o.has("show-detailed-stats") {
		run.Progress = func(last, all perf.Consumed) {
			t.printf("%s\n", last.Detail(all))
			_ = t.out.Flush()
		}
	}
	c, err := perf.Consume(ctx, run)
	if err != nil {
		return err
	}
	if c.TimedOut {
		t.printf("WARNING: Exiting before consuming the expected number of records: timeout (%d ms) exceeded. "+
			"You can use the --timeout option to increase the timeout.\n", timeout/time.Millisecond)
	}
	if !o.has("show-detailed-stats") {
		t.printf("%s\n", c.Line())
	}
	return nil
}

func (t *tool) perfOptions() ([]kgo.Opt, error) {
	start := kgo.NewOffset().AtStart()
	if t.opt.has("from-latest") {
		start = kgo.NewOffset().AtEnd()
	}
	group := t.opt.value("group")
	if group == "" {
		group = "perf-consumer-" + strconv.Itoa(rand.IntN(100000))
	}
	opts := []kgo.Opt{kgo.ConsumeResetOffset(start), kgo.ConsumerGroup(group), kgo.FetchMaxPartitionBytes(int32(t.opt.int("fetch-size"))),
		kgo.Balancers(kgo.RangeBalancer(), kgo.CooperativeStickyBalancer()), kgo.DisableAutoCommit()}
	if !t.opt.has("include") {
		return append(opts, kgo.ConsumeTopics(t.opt.value("topic"))), nil
	}
	re, err := topicExpression(t.opt.value("include"))
	if err != nil {
		return nil, err
	}
	return append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(re.String())), nil
}
