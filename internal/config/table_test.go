package config

import (
	"os"
	"strings"
	"testing"
)

// The table is compared with what Apache Kafka says of itself; every difference is here with its reason.
func TestTableAgreesWithKafka(t *testing.T) {
	differs := map[string]string{
		"node.id default":                              "a bare node needs none",
		"process.roles default":                        "a bare node needs none",
		"controller.listener.names default":            "a bare node needs none",
		"max.connections default":                      "a broker is bounded from the start",
		"max.connections.per.ip default":               "a broker is bounded from the start",
		"max.connection.creation.rate default":         "a broker is bounded from the start",
		"listeners default":                            "only this machine, as long as nobody has to authenticate",
		"log.dir default":                              "beside where the node was started",
		"listeners mode":                               "listeners stay as they are until the restart",
		"listener.security.protocol.map mode":          "listeners stay as they are until the restart",
		"max.connections mode":                         "limits of connections stay as they are until the restart",
		"max.connections.per.ip mode":                  "limits of connections stay as they are until the restart",
		"max.connection.creation.rate mode":            "limits of connections stay as they are until the restart",
		"num.recovery.threads.per.data.dir mode":       "read at the start",
		"config.providers mode":                        "refused",
		"sasl.enabled.mechanisms default":              "",
		"principal.builder.class default":              "Kafka prints the class object here, its name in DescribeConfigs",
		"sasl.oauthbearer.jwt.retriever.class default": "likewise",
		"sasl.oauthbearer.jwt.validator.class default": "likewise",
	}
	scopes := map[string]Scope{"broker": Broker, "topic": Topic, "group": Group}
	text, err := os.ReadFile("testdata/kafka-4.3.1.tsv")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) < 6 {
			continue
		}
		seen++
		k, ok := Lookup(scopes[f[0]], f[1])
		if !ok {
			t.Errorf("%s key %s is missing", f[0], f[1])
			continue
		}
		def := k.Default
		if k.Null {
			def = "<null>"
		}
		for what, pair := range map[string][2]string{
			"type": {k.Type.String(), f[2]}, "default": {def, f[3]}, "mode": {k.Update.String(), f[4]},
			"internal": {map[bool]string{true: "internal"}[k.Hidden], f[5]},
		} {
			if _, known := differs[f[1]+" "+what]; pair[0] != pair[1] && !known {
				t.Errorf("%s %s: %s is %q, Kafka says %q", f[0], f[1], what, pair[0], pair[1])
			}
		}
	}
	if seen < 390 {
		t.Fatalf("only %d keys were compared", seen)
	}
}

func TestTableIsSound(t *testing.T) {
	for _, scope := range []Scope{Broker, Topic, Group} {
		last := ""
		for _, k := range Keys(scope) {
			if k.Name == last {
				t.Errorf("%s stands twice", k.Name)
			}
			last = k.Name
			if !k.Null {
				if err := k.Check(k.Default); err != nil && k.Name != "sasl.enabled.mechanisms" {
					t.Errorf("the default of %s is not valid: %v", k.Name, err)
				}
				if got := k.Canonical(k.Default); got != k.Default {
					t.Errorf("the default of %s is %q, canonical %q", k.Name, k.Default, got)
				}
			}
			if k.Doc == "" || !strings.HasSuffix(k.Doc, ".") {
				t.Errorf("%s needs a doc that is a sentence, has %q", k.Name, k.Doc)
			}
			if k.Ignored == (k.Why == "") {
				t.Errorf("%s: Ignored and Why belong together", k.Name)
			}
			for _, s := range k.Synonyms {
				if _, ok := Lookup(Broker, s); !ok {
					t.Errorf("%s has %s as synonym, which is no broker key", k.Name, s)
				}
			}
		}
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{
		"log.retention.msec":  "log.retention.ms",
		"log_retention_ms":    "log.retention.ms",
		"num.partition":       "num.partitions",
		"num.partitons":       "num.partitions",
		"auto.create.topics":  "auto.create.topics.enable",
		"listner":             "listeners",
		"retention.hours":     "log.retention.hours",
		"retention.log.hours": "log.retention.hours",
		"completely.other":    "",
		"x":                   "",
	} {
		if got := Nearest(Broker, name); got != want {
			t.Errorf("nearest to %s is %q, want %q", name, got, want)
		}
	}
}

// The texts are Apache Kafka's, taken from kafka-configs against 4.3.1.
func TestValidateSaysWhatKafkaSays(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"retention.ms", "-5", "Invalid value -5 for configuration retention.ms: Value must be at least -1"},
		{"retention.ms", "abc", "Invalid value abc for configuration retention.ms: Not a number of type LONG"},
		{"compression.type", "zap", "Invalid value zap for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"},
		{"cleanup.policy", "delete,foo", "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete"},
		{"cleanup.policy", "delete,delete", ""},
		{"cleanup.policy", "", ""},
		{"segment.bytes", "5", "Invalid value 5 for configuration segment.bytes: Value must be at least 1048576"},
		{"preallocate", "maybe", "Invalid value maybe for configuration preallocate: Expected value to be either true or false"},
		{"preallocate", "TRUE", ""},
		{"min.cleanable.dirty.ratio", "2", "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"},
		{"compression.gzip.level", "0", "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"},
		{"compression.gzip.level", "-1", ""},
		{"min.insync.replicas", "99999999999", "Invalid value 99999999999 for configuration min.insync.replicas: Not a number of type INT"},
		{"nosuch", "1", "Unknown topic config name: nosuch"},
		{"retention.m", "1", "Unknown topic config name: retention.m (did you mean retention.ms?)"},
		{"leader.replication.throttled.replicas", "0:1,1:2", ""},
		{"leader.replication.throttled.replicas", "*", ""},
		{"log.durability", "sometimes", "Invalid value sometimes for configuration log.durability: String must be one of: fsync, page-cache"},
	} {
		err := Validate(Topic, c.name, c.value)
		if got := errorText(err); got != c.want {
			t.Errorf("%s=%s: %q, want %q", c.name, c.value, got, c.want)
		}
	}
	err := ValidateTopic(map[string]string{"max.compaction.lag.ms": "1", "min.compaction.lag.ms": "5"})
	if got, want := errorText(err), "conflict topic config setting min.compaction.lag.ms (5) > max.compaction.lag.ms (1)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCheckDynamic(t *testing.T) {
	for _, c := range []struct {
		name string
		all  bool
		want string
	}{
		{"log.retention.ms", true, ""},
		{"log.retention.ms", false, ""},
		{"node.id", false, "Cannot update these configs dynamically: [node.id]"},
		{"log.retention.hours", true, "Cannot update these configs dynamically: [log.retention.hours]"},
		{"ssl.keystore.location", true, "Cannot update these configs at default cluster level, broker id must be specified: [ssl.keystore.location]"},
		{"ssl.keystore.location", false, ""},
	} {
		if got := errorText(CheckDynamic(c.name, c.all)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestJavaDouble(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.0", 0.5: "0.5", 1: "1.0", 1.7976931348623157e308: "1.7976931348623157E308", 1e7: "1.0E7", 0.0001: "1.0E-4", -2.5: "-2.5", 123456: "123456.0",
	} {
		if got := javaDouble(f); got != want {
			t.Errorf("%v prints as %s, want %s", f, got, want)
		}
	}
}
