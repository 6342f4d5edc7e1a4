package kafkatools

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func runTool(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = Run(context.Background(), name, args, Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut, Version: "1"})
	return out.String(), errOut.String(), code
}

// The first line on standard error is what Apache Kafka 4.3.1 says to the same arguments; recorded from its tools.
func TestWrongCallsAreAnsweredInKafkasWords(t *testing.T) {
	const b = "--bootstrap-server localhost:1 "
	const noExecute = "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either --dry-run or --execute " +
		"to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting.\n"
	for _, c := range []struct{ tool, args, want string }{
		{"kafka-topics", b, "Command must include exactly one action: --list, --describe, --create, --alter or --delete\nOption"},
		{"kafka-topics", b + "--list --create --topic x", "Command must include exactly one action: --list, --describe, --create, --alter or --delete\n"},
		{"kafka-topics", b + "--nosuch", "nosuch is not a recognized option\n"},
		{"kafka-topics", "--bootstrap localhost:1 --list", "bootstrap is not a recognized option\n"},
		{"kafka-topics", "--list", "--bootstrap-server must be specified\n"},
		{"kafka-topics", b + "--create", "Missing required argument \"[topic]\"\n"},
		{"kafka-console-producer", b, "Missing required argument \"[topic]\"\n"},
		{"kafka-console-consumer", b + "--from-beginning", "Exactly one of the following arguments is required: [topic], [include]\n"},
		{"kafka-console-consumer", b + "--topic t --partition 0 --offset 1 --group x", "Options group and partition cannot be specified together.\n"},
		{"kafka-console-consumer", b + "--topic t --offset 1", "The partition is required when offset is specified.\n"},
		{"kafka-consumer-groups", b, "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets, --validate-regex\n"},
		{"kafka-consumer-groups", b + "--describe", "Option [describe] takes one of these options: [all-groups], [group]\n"},
		{"kafka-consumer-groups", b + "--delete", "Option [delete] takes one of these options: [all-groups], [group]\n"},
		{"kafka-consumer-groups", b + "--describe --group g --offsets --members", "Option [describe] takes at most one of these options: [members], [offsets], [state]\n"},
		{"kafka-consumer-groups", b + "--reset-offsets --group g --topic t", noExecute +
			"Option '[reset-offsets]' requires one of the following scenarios: [[to-datetime], [by-duration], [to-latest], [to-current], [to-earliest], [to-offset], [shift-by], [from-file]]\n"},
		{"kafka-consumer-groups", b + "--reset-offsets --group g --to-earliest", noExecute + "One of the reset scopes should be defined: --all-topics, --topic.\n"},
		{"kafka-consumer-groups", b + "--reset-offsets --group g --topic t --to-earliest --to-latest --execute", "Option \"[to-earliest]\" can't be used with option \"[to-latest]\"\n"},
		{"kafka-configs", b + "--describe", "At least one entity type must be specified\n"},
		{"kafka-configs", b + "--alter --entity-type topics --entity-name t", "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter\n"},
		{"kafka-configs", b + "--alter --entity-type topics --add-config a=b", "An entity name must be specified with --alter of topics\n"},
		{"kafka-configs", "--describe --entity-type topics", "Either --bootstrap-server or --bootstrap-controller must be specified.\n"},
		{"kafka-configs", b + "--describe --entity-type brokers --entity-name abc", "The entity name for brokers must be a valid integer broker id, but it is: abc\n"},
		{"kafka-configs", b + "--describe --entity-type nosuch", "Invalid entity type nosuch, the entity type must be one of topics, clients, users, brokers, ips, client-metrics, groups, " +
			"broker-loggers with a --bootstrap-server or --bootstrap-controller argument\n"},
		{"kafka-get-offsets", b + "--topic t --time abc", "Error occurred: Malformed time argument abc. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / " +
			"-5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp\n"},
		{"kafka-get-offsets", b + "--topic t --topic-partitions x", "Error occurred: --topic-partitions cannot be used with --topic or --partitions\n"},
		{"kafka-consumer-perf-test", b + "--num-records 1", "Exactly one of the following arguments is required: [topic], [include]\n"},
		{"kafka-producer-perf-test", b + "--topic t --num-records 1 --throughput -1", "usage: kafka-producer-perf-test"},
	} {
		_, stderr, code := runTool(t, c.tool, strings.Fields(c.args)...)
		if code != 1 || !strings.HasPrefix(stderr, c.want) {
			t.Errorf("%s %s: exit code %d\ngot  %.300s\nwant %s", c.tool, c.args, code, stderr, c.want)
		}
	}
}

func TestOptionForms(t *testing.T) {
	known := []option{opt("a", "x", ""), sw("s", ""), opt("n", "x", "").number(argInteger), opt("o", "x", "").optionalArg(), opt("m", "x", "").manyArgs()}
	o, err := parseOptions(known, strings.Fields("--a 1 --a=2 --s --o --n -5 --m k=v j=w --o z"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.values("a"), []string{"1", "2"}) || !o.has("s") || o.int("n") != -5 || !slices.Equal(o.values("o"), []string{"", "z"}) || !slices.Equal(o.values("m"), []string{"k=v", "j=w"}) {
		t.Errorf("%+v", o.given)
	}
	for _, bad := range []string{"--a", "--n x", "--zz 1", "word"} {
		if _, err := parseOptions(known, strings.Fields(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// The order Java's HashMap has; the first is from kafka-topics --describe of Apache Kafka 4.3.1, where four topics were printed so.
func TestHashOrder(t *testing.T) {
	if got, want := hashOrder([]string{"assigned", "my.topic_x", "orders", "t1"}, 4), []string{"assigned", "orders", "my.topic_x", "t1"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestLineReader(t *testing.T) {
	null := "NULL"
	r := &lineReader{parseKey: true, parseHeaders: true, keySep: "\t", headersDelim: "\t", headersSep: ",", headersKeySep: ":", null: &null, topic: "t"}
	rec, err := r.record("h1:a,h2:NULL\tk\tv\tw")
	if err != nil || string(rec.Key) != "k" || string(rec.Value) != "v\tw" || len(rec.Headers) != 2 || rec.Headers[1].Value != nil || string(rec.Headers[0].Value) != "a" {
		t.Errorf("%+v %v", rec, err)
	}
	if rec, err = r.record("NULL\tNULL\tNULL"); err != nil || rec.Key != nil || rec.Value != nil || rec.Headers != nil {
		t.Errorf("%+v %v", rec, err)
	}
	if _, err = r.record("h:1"); err == nil || err.Error() != "org.apache.kafka.common.KafkaException: No headers delimiter found on line number 3: 'h:1'" {
		t.Error(err)
	}
	r.ignoreError = true
	if rec, err = r.record("just text"); err != nil || string(rec.Value) != "just text" || rec.Key != nil {
		t.Errorf("%+v %v", rec, err)
	}
}

func TestFormatter(t *testing.T) {
	r := &kgo.Record{Topic: "t", Partition: 1, Offset: 7, Timestamp: time.UnixMilli(1795519874081), Key: []byte("k3"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("a")}, {Key: "n"}}}
	all := "print.timestamp=true print.key=true print.offset=true print.partition=true print.headers=true print.epoch=true"
	for props, want := range map[string]string{
		"":                                 "null\n",
		all:                                "CreateTime:1795519874081\tPartition:1\tOffset:7\tEpoch:NOT_PRESENT\th:a,n:null\tk3\tnull\n",
		"print.key=true print.value=false": "k3\n",
		"print.key=true key.separator=| null.literal=NIL": "k3|NIL\n",
		"print.value=false": "",
		"print.headers=true headers.separator=;  print.key=true": "h:a;n:null\tk3\tnull\n",
	} {
		o, err := parseOptions(consoleConsumerCommand().options, nil)
		if err != nil {
			t.Fatal(err)
		}
		o.given["formatter-property"] = strings.Fields(props)
		f, err := (&tool{opt: o}).newFormatter()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.append(nil, r); err != nil || string(got) != want {
			t.Errorf("%s: %q %v, want %q", props, got, err, want)
		}
	}
}

func TestDeserializers(t *testing.T) {
	for _, c := range []struct {
		class string
		data  []byte
		want  string
	}{
		{"org.apache.kafka.common.serialization.LongDeserializer", []byte{0, 0, 0, 0, 0, 0, 1, 0}, "256"},
		{"org.apache.kafka.common.serialization.IntegerDeserializer", []byte{255, 255, 255, 255}, "-1"},
		{"org.apache.kafka.common.serialization.DoubleDeserializer", []byte{0x3f, 0xe0, 0, 0, 0, 0, 0, 0}, "0.5"},
		{"org.apache.kafka.common.serialization.StringDeserializer", []byte("x"), "x"},
	} {
		d, err := deserializerOf(c.class)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d(c.data); err != nil || got != c.want {
			t.Errorf("%s: %q %v", c.class, got, err)
		}
	}
	d, _ := deserializerOf("LongDeserializer")
	if _, err := d([]byte("xx")); err == nil || err.Error() != "org.apache.kafka.common.errors.SerializationException: Size of data received by LongDeserializer is not 8" {
		t.Error(err)
	}
}

func TestSplitConfigs(t *testing.T) {
	if got, want := splitConfigs("a=1,b=[x,y],c=3"), []string{"a=1", "b=[x,y]", "c=3"}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestSelectors(t *testing.T) {
	for s, want := range map[string][2]int64{"t": {0, allPartitions}, "t:3": {3, 4}, "t:1-4": {1, 4}, "t:5-": {5, allPartitions}, "t:-3": {0, 3}, ":2": {2, 3}} {
		sel, err := parseSelector(s)
		if err != nil || sel.from != want[0] || sel.to != want[1] {
			t.Errorf("%s: %d-%d %v, want %v", s, sel.from, sel.to, err, want)
		}
	}
	if _, err := parseSelector("x:y"); err == nil {
		t.Error("x:y was accepted")
	}
}
