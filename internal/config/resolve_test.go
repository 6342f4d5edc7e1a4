package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/model"
)

// dynamic is a Dynamic of "type/name" -> values.
type dynamic map[string]map[string]string

func (d dynamic) Overrides(t model.ResourceType, name string) map[string]string {
	return d[fmt.Sprintf("%d/%s", t, name)]
}

func resolver(t *testing.T, set ...string) *Resolver {
	t.Helper()
	s, _, err := Load(LoadOptions{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return NewResolver(s, 1)
}

func line(e Entry) string {
	value := e.Value
	if e.Null {
		value = "null"
	}
	var synonyms []string
	for _, s := range e.Synonyms {
		synonyms = append(synonyms, s.Name+"="+s.Value+":"+s.Source.String())
	}
	mode := "rw"
	if e.ReadOnly() {
		mode = "ro"
	}
	sensitive := ""
	if e.Key.Sensitive {
		sensitive = "sensitive"
	}
	return strings.Join([]string{e.Key.Name, value, e.Source.String(), strings.ToUpper(e.Key.Type.String()), mode, sensitive, "[" + strings.Join(synonyms, ", ") + "]"}, "\t")
}

// testdata/describe-4.3.1.tsv is what Apache Kafka 4.3.1 answers to DescribeConfigs with the same dynamic values.
func TestDescribeAnswersAsKafka(t *testing.T) {
	// A port and directory of that broker, and what Klamm deliberately has otherwise.
	differs := map[string]bool{
		"BROKER listeners": true, "BROKER log.dir": true, "BROKER log.cleaner.backoff.ms": true, "BROKER log.cleaner.dedupe.buffer.size": true,
		"BROKER num.recovery.threads.per.data.dir": true, "BROKER producer.id.expiration.ms": true, "BROKER log.dirs": true, "BROKER controller.quorum.voters": true, "BROKER node.id": true, "BROKER process.roles": true,
		"BROKER controller.listener.names": true, "BROKER max.connections": true, "BROKER max.connections.per.ip": true, "BROKER max.connection.creation.rate": true,
		"BROKER listener.security.protocol.map": true,
	}
	r := resolver(t, "node.id=1", "offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
		"group.initial.rebalance.delay.ms=0")
	dyn := dynamic{
		"4/":   {"log.retention.ms": "3600000", "compression.type": "zstd", "min.insync.replicas": "1"},
		"4/1":  {"log.segment.bytes": "2000000"},
		"2/t1": {"cleanup.policy": "compact,delete", "max.message.bytes": "2000"},
	}
	got := map[string]string{}
	for scope, entries := range map[string][]Entry{
		"TOPIC": r.DescribeTopic(dyn, "t1"), "BROKER": r.DescribeBroker(dyn, "1"), "GROUP": r.DescribeGroup(dyn, "g1"),
	} {
		for _, e := range entries {
			got[scope+" "+e.Key.Name] = line(e)
		}
	}
	text, err := os.ReadFile("testdata/describe-4.3.1.tsv")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for want := range strings.Lines(string(text)) {
		want = strings.TrimRight(want, "\n")
		scope, want, ok := strings.Cut(want, "\t")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(want, "\t")
		seen++
		if g := got[scope+" "+name]; g != want && !differs[scope+" "+name] {
			t.Errorf("%s\ngot  %s\nwant %s", scope, g, want)
		}
	}
	if seen < 380 {
		t.Fatalf("only %d lines were compared", seen)
	}
	if all := r.DescribeBroker(dyn, ""); len(all) != 3 || line(all[0]) != "compression.type\tzstd\tDYNAMIC_DEFAULT_BROKER_CONFIG\tSTRING\trw\t\t[compression.type=zstd:DYNAMIC_DEFAULT_BROKER_CONFIG]" {
		t.Errorf("defaults of all brokers: %v", all)
	}
}

func TestSensitiveValuesAreNeverShown(t *testing.T) {
	r := resolver(t, "ssl.key.password=hunter2")
	for _, e := range r.DescribeBroker(dynamic{"4/": {"sasl.jaas.config": "hunter2"}}, "1") {
		if strings.Contains(line(e), "hunter2") {
			t.Error(line(e))
		}
	}
}

func TestTopicValues(t *testing.T) {
	r := resolver(t, "log.retention.minutes=2", "log.roll.jitter.hours=1", "log.durability=page-cache")
	dyn := dynamic{
		"4/":    {"compression.type": "zstd"},
		"2/own": {"retention.ms": "-1", "cleanup.policy": "compact, delete", "segment.bytes": "broken", "message.timestamp.type": "LogAppendTime", "log.durability": "fsync"},
	}
	plain := r.Topic(dyn, "plain")
	if plain.RetentionMs != 120000 || plain.SegmentJitterMs != 3600000 || plain.SegmentMs != 604800000 || plain.CompressionType != "zstd" ||
		!plain.CleanupDelete || plain.CleanupCompact || plain.Durability != "page-cache" || plain.MaxMessageBytes != 1048588 || plain.FlushMs != 1<<63-1 ||
		plain.MinCleanableRatio != 0.5 || plain.GzipLevel != -1 || plain.TimestampAfterMaxMs != 3600000 || plain.MinInsyncReplicas != 1 || plain.IndexBytes != 10485760 {
		t.Errorf("plain %+v", plain)
	}
	own := r.Topic(dyn, "own")
	if own.RetentionMs != -1 || !own.CleanupDelete || !own.CleanupCompact || own.SegmentBytes != 1<<30 || !own.TimestampLogAppend || own.Durability != "fsync" {
		t.Errorf("own %+v", own)
	}
	if got := r.Topic(nil, "x"); got.CompressionType != "producer" {
		t.Errorf("without dynamic values %+v", got)
	}
}

// A finer unit wins over a coarser one wherever each was set, as in Kafka.
func TestRetentionPrecedence(t *testing.T) {
	for _, c := range []struct {
		set  []string
		dyn  string
		want int64
	}{
		{nil, "", 168 * 3600000},
		{[]string{"log.retention.hours=1"}, "", 3600000},
		{[]string{"log.retention.hours=1", "log.retention.minutes=3"}, "", 180000},
		{[]string{"log.retention.hours=1", "log.retention.ms=7"}, "", 7},
		{[]string{"log.retention.minutes=3"}, "9", 9},
		{[]string{"log.retention.hours=-1"}, "", -1},
	} {
		dyn := dynamic{}
		if c.dyn != "" {
			dyn["4/"] = map[string]string{"log.retention.ms": c.dyn}
		}
		if got := resolver(t, c.set...).Topic(dyn, "t").RetentionMs; got != c.want {
			t.Errorf("%v %s: %d, want %d", c.set, c.dyn, got, c.want)
		}
	}
}

func BenchmarkTopics(b *testing.B) {
	s, _, err := Load(LoadOptions{})
	if err != nil {
		b.Fatal(err)
	}
	r := NewResolver(s, 1)
	dyn := dynamic{"2/t": {"retention.ms": "5"}}
	values := r.Topics(dyn)
	b.ReportAllocs()
	for b.Loop() {
		values("t")
	}
}
