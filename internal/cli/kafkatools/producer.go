package kafkatools

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/config"
)

func consoleProducerCommand() command {
	return command{
		about: "This tool helps to read data from standard input and publish it to Kafka.",
		options: []option{
			opt("batch-size", "size", "batch.size of the producer, in bytes.").number(argInteger).defaultTo("16384"),
			opt("bootstrap-server", connectTo, "REQUIRED: brokers to begin with, HOST1:PORT1,HOST2:PORT2."),
			opt("command-config", "config file", "Property file with settings of the producer."),
			opt("command-property", "producer_prop", "A setting of the producer, key=value; may be repeated."),
			opt("compression-codec", "compression-codec", "none, gzip, snappy, lz4 or zstd; gzip where no value is given.").optionalArg(),
			opt("line-reader", "reader_class", "The class that reads lines.").defaultTo("org.apache.kafka.tools.LineMessageReader"),
			opt("max-block-ms", "max block on send", "How long a send may wait for metadata and memory.").number(argLong).defaultTo("60000"),
			opt("max-memory-bytes", "total memory in bytes", "buffer.memory of the producer.").number(argLong).defaultTo("33554432"),
			opt("max-partition-memory-bytes", "memory in bytes per partition", "(Deprecated) Use --batch-size.").number(argInteger).defaultTo("16384"),
			opt("message-send-max-retries", "n", "retries of the producer.").number(argInteger).defaultTo("3"),
			opt("metadata-expiry-ms", "metadata expiration interval", "metadata.max.age.ms of the producer.").number(argLong).defaultTo("300000"),
			opt("producer-property", "producer_prop", "(Deprecated) Use --command-property."),
			opt("producer.config", "config file", "(Deprecated) Use --command-config."),
			opt("property", "prop", "(Deprecated) Use --reader-property."),
			opt("reader-config", "config file", "Property file with settings of the reader."),
			opt("reader-property", "prop", "A setting of the reader: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, "+
				"headers.key.separator, null.marker, ignore.error; may be repeated."),
			opt("request-required-acks", "request required acks", "acks of the producer.").defaultTo("-1"),
			opt("request-timeout-ms", "request timeout ms", "request.timeout.ms of the producer.").number(argInteger).defaultTo("1500"),
			opt("retry-backoff-ms", "ms", "retry.backoff.ms of the producer.").number(argLong).defaultTo("100"),
			opt("socket-buffer-size", "size", "send.buffer.bytes of the producer.").number(argInteger).defaultTo("102400"),
			sw("sync", "Send one record at a time."),
			opt("timeout", "timeout_ms", "linger.ms of the producer.").number(argLong).defaultTo("1000"),
			opt("topic", "topic", "REQUIRED: the topic."),
		},
		run: consoleProducer,
	}
}

func consoleProducer(ctx context.Context, t *tool) error {
	for _, d := range []struct{ old, new string }{
		{"property", "reader-property"}, {"producer-property", "command-property"}, {"producer.config", "command-config"}, {"max-partition-memory-bytes", "batch-size"},
	} {
		if t.opt.has(d.old) {
			t.printf("Warning: --%s is deprecated and will be removed in a future version. Use --%s instead.\n", d.old, d.new)
		}
	}
	if err := t.opt.need("topic"); err != nil {
		return err
	}
	if !t.opt.has("bootstrap-server") {
		return wrong("Missing required argument \"[bootstrap-server]\"")
	}
	reader, err := t.lineReader()
	if err != nil {
		return err
	}
	s, err := t.producerSettings()
	if err != nil {
		return err
	}
	cl, err := s.Client(kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(4), kgo.MaxBufferedRecords(1<<20), kgo.RecordDeliveryTimeout(max(s.Timeout, minDelivery)))
	if err != nil {
		return err
	}
	defer cl.Close()
	err = t.produceLines(ctx, cl, reader)
	if flushErr := cl.Flush(ctx); err == nil {
		err = flushErr
	}
	return err
}

const minDelivery = 1_000_000_000 // a second, the least the client takes

func (t *tool) producerSettings() (connect.Settings, error) {
	s, err := t.settings([]string{"producer.config", "command-config"}, nil, "console-producer")
	if err != nil {
		return s, err
	}
	// Flags fill in what the file does not say; --command-property says the last word, as in Kafka's tool.
	for property, option := range map[string]string{
		"batch.size": "batch-size", "buffer.memory": "max-memory-bytes", "retries": "message-send-max-retries", "metadata.max.age.ms": "metadata-expiry-ms",
		"acks": "request-required-acks", "retry.backoff.ms": "retry-backoff-ms", "linger.ms": "timeout",
	} {
		if _, set := s.Properties[property]; !set || t.opt.has(option) {
			s.Properties[property] = t.opt.value(option)
		}
	}
	if t.opt.has("compression-codec") {
		s.Properties["compression.type"] = t.opt.value("compression-codec")
		if t.opt.value("compression-codec") == "" {
			s.Properties["compression.type"] = "gzip"
		}
	}
	for _, option := range []string{"producer-property", "command-property"} {
		for _, p := range t.opt.values(option) {
			k, v, _ := strings.Cut(p, "=")
			s.Properties[k] = v
		}
	}
	s.Timeout = millisOf(t.opt.int("max-block-ms"))
	return s, nil
}

// lineReader turns lines into records.
type lineReader struct {
	parseKey, parseHeaders, ignoreError bool
	keySep, headersDelim                string
	headersSep, headersKeySep           string
	null                                *string
	topic                               string
	line                                int
}

func (t *tool) lineReader() (*lineReader, error) {
	props := map[string]string{}
	if t.opt.has("reader-config") {
		text, err := os.ReadFile(t.opt.value("reader-config"))
		if err != nil {
			return nil, err
		}
		if props, err = config.ReadProperties(string(text)); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"property", "reader-property"} {
		for _, p := range t.opt.values(name) {
			k, v, _ := strings.Cut(p, "=")
			props[k] = v
		}
	}
	or := func(key, def string) string {
		if v, ok := props[key]; ok {
			return v
		}
		return def
	}
	r := &lineReader{
		parseKey: strings.EqualFold(props["parse.key"], "true"), parseHeaders: strings.EqualFold(props["parse.headers"], "true"),
		ignoreError: strings.EqualFold(props["ignore.error"], "true"),
		keySep:      or("key.separator", "\t"), headersDelim: or("headers.delimiter", "\t"), headersSep: or("headers.separator", ","), headersKeySep: or("headers.key.separator", ":"),
		topic: t.opt.value("topic"),
	}
	if v, ok := props["null.marker"]; ok {
		r.null = &v
	}
	if r.headersDelim == r.headersSep {
		return nil, fmt.Errorf("headers.delimiter and headers.separator may not be equal")
	}
	if r.headersSep == r.headersKeySep {
		return nil, fmt.Errorf("headers.separator and headers.key.separator may not be equal")
	}
	return r, nil
}

// field cuts the piece before a separator off a line.
func (r *lineReader) field(wanted bool, line, separator, name string) (piece *string, rest string, err error) {
	if !wanted {
		return nil, line, nil
	}
	before, after, ok := strings.Cut(line, separator)
	if !ok {
		if r.ignoreError {
			return nil, line, nil
		}
		return nil, "", fmt.Errorf("org.apache.kafka.common.KafkaException: No %s found on line number %d: '%s'", name, r.line, line)
	}
	return &before, after, nil
}

func (r *lineReader) record(line string) (*kgo.Record, error) {
	r.line++
	headers, rest, err := r.field(r.parseHeaders, line, r.headersDelim, "headers delimiter")
	if err != nil {
		return nil, err
	}
	key, value, err := r.field(r.parseKey, rest, r.keySep, "key separator")
	if err != nil {
		return nil, err
	}
	rec := &kgo.Record{Topic: r.topic, Value: r.bytes(value)}
	if key != nil {
		rec.Key = r.bytes(*key)
	}
	if headers == nil || r.null != nil && *headers == *r.null {
		return rec, nil
	}
	for pair := range strings.SplitSeq(*headers, r.headersSep) {
		k, v, ok := strings.Cut(pair, r.headersKeySep)
		if !ok && !r.ignoreError {
			return nil, fmt.Errorf("org.apache.kafka.common.KafkaException: No header key separator found in pair '%s' on line number %d", pair, r.line)
		}
		h := kgo.RecordHeader{Key: k}
		if ok {
			h.Value = r.bytes(v)
		}
		rec.Headers = append(rec.Headers, h)
	}
	return rec, nil
}

func (r *lineReader) bytes(s string) []byte {
	if r.null != nil && s == *r.null {
		return nil
	}
	return []byte(s)
}

// produceLines reads until the input ends. A record that is not accepted is logged; the tool goes on, as Kafka's does.
func (t *tool) produceLines(ctx context.Context, cl *kgo.Client, r *lineReader) error {
	in := bufio.NewReaderSize(t.env.Stdin, 64<<10)
	prompt := interactive(t.env.Stdin)
	var logging sync.Mutex
	done := func(rec *kgo.Record, err error) {
		if err != nil {
			logging.Lock()
			defer logging.Unlock()
			t.sendFailed(rec, err)
		}
	}
	for {
		if prompt {
			t.printf(">")
			_ = t.out.Flush()
		}
		line, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		end := err != nil
		if end && line == "" {
			return nil
		}
		rec, err := r.record(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
		if err != nil {
			return err
		}
		if t.opt.has("sync") {
			done(rec, cl.ProduceSync(ctx, rec).FirstErr())
		} else {
			cl.Produce(ctx, rec, done)
		}
		if end || ctx.Err() != nil {
			return nil
		}
	}
}

func (t *tool) sendFailed(rec *kgo.Record, err error) {
	key := "null"
	if rec.Key != nil {
		key = fmt.Sprintf("%d bytes", len(rec.Key))
	}
	value := "null"
	if rec.Value != nil {
		value = fmt.Sprintf("%d bytes", len(rec.Value))
	}
	text := javaText(err)
	switch {
	case errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, kgo.ErrRecordRetries), errors.Is(err, kerr.UnknownTopicOrPartition):
		text = fmt.Sprintf("org.apache.kafka.common.errors.TimeoutException: Topic %s not present in metadata after %d ms.", rec.Topic, t.opt.int("max-block-ms"))
	case errors.Is(err, kerr.InvalidTopicException):
		text = "org.apache.kafka.common.errors.InvalidTopicException: Invalid topics: [" + rec.Topic + "]"
	}
	t.logError("org.apache.kafka.clients.producer.internals.ErrorLoggingCallback", "Error when sending message to topic %s with key: %s, value: %s with error:", rec.Topic, key, value)
	t.errorf("%s\n", text)
}

// interactive: a person types the input.
func interactive(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
