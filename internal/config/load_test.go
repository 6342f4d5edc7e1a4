package config

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// load reads text as a file of that name.
func load(t *testing.T, name, text string, o LoadOptions) (*Static, []string, error) {
	t.Helper()
	if text != "" {
		o.File = name
		o.ReadFile = func(string) ([]byte, error) { return []byte(text), nil }
	}
	return Load(o)
}

func TestParseProperties(t *testing.T) {
	text := "# comment\n! comment\n\n" +
		"a=1\nb = 2\n  c : 3\nd 4\ne\nf=\n" +
		"g=one, \\\n   two, \\\n\tthree\n" +
		"h\\ i\\=j=k\\tl\\\\\n" +
		"u=\\u00e4\\uD83D\\uDE00\n" +
		"path=C:\\\\data\r\nlast=\\z\\"
	got, err := parseProperties(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []setting{
		{"a", "1", 4}, {"b", "2", 5}, {"c", "3", 6}, {"d", "4", 7}, {"e", "", 8}, {"f", "", 9}, {"g", "one, two, three", 10},
		{"h i=j", "k\tl\\", 13}, {"u", "ä😀", 14}, {"path", `C:\data`, 15}, {"last", "z", 16},
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	if _, err := parseProperties("ok=1\nbad=\\u12"); err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
		t.Fatalf("a cut escape: %v", err)
	}
}

func TestParseYAML(t *testing.T) {
	got, err := parseYAML("log.retention.ms: 5\nlog:\n  segment:\n    bytes: 1048576\n  dirs: [/a, /b]\nbroker.rack: ~\nauto.create.topics.enable: no\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []setting{{"log.retention.ms", "5", 1}, {"log.segment.bytes", "1048576", 4}, {"log.dirs", "/a,/b", 5}, {"auto.create.topics.enable", "no", 7}}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	for _, bad := range []string{"- a\n- b\n", "just text", "a: &x 1\nb: *x\n", "a: {b: [[1]]}", "? [a]\n: 1"} {
		if got, err := parseYAML(bad); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func TestPrecedence(t *testing.T) {
	file := "log.retention.ms=1\nlog.segment.bytes=2000000\nnum.partitions=2\nlog.roll.hours=5\n"
	s, warnings, err := load(t, "server.properties", file, LoadOptions{
		Environ: []string{"KAFKA_LOG_RETENTION_MS=2", "KAFKA_NUM_PARTITIONS=3", "KLAMM_NUM_PARTITIONS=4", "KLAMM_HTTP_LISTEN=:1", "HOME=/", "odd"},
		Set:     []string{"log.retention.ms=3", "log.dirs = /d"},
	})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	for name, want := range map[string]string{
		"log.retention.ms": "3", "num.partitions": "4", "log.segment.bytes": "2000000", "klamm.http.listen": ":1", "log.dirs": "/d",
		"log.retention.bytes": "-1", "log.durability": "fsync",
	} {
		if got := s.String(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"log.retention.ms": "-X log.retention.ms", "num.partitions": "KLAMM_NUM_PARTITIONS", "log.segment.bytes": "server.properties:2", "log.dir": "",
	} {
		if got := s.Place(name); got != want {
			t.Errorf("%s was set by %q, want %q", name, got, want)
		}
	}
	if got := s.Duration("log.roll.hours"); got != 5*time.Hour {
		t.Errorf("log.roll.hours is %v", got)
	}
}

// A file from config/kraft of Kafka's distribution must load as it is.
func TestKRaftFileLoads(t *testing.T) {
	text, err := os.ReadFile("testdata/kraft.properties")
	if err != nil {
		t.Fatal(err)
	}
	s, warnings, err := load(t, "server.properties", string(text), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Listeners(); len(got) != 1 || got[0] != (Listener{"PLAINTEXT", "", 9092}) {
		t.Errorf("listeners %v", got)
	}
	if got := s.ControllerListeners(); len(got) != 1 || got[0].Address() != ":9093" {
		t.Errorf("controller listeners %v", got)
	}
	if got := s.AdvertisedListeners(); len(got) != 1 || got[0].Address() != "localhost:9092" {
		t.Errorf("advertised %v", got)
	}
	if s.Int("node.id") != 1 || s.Int("broker.id") != 1 {
		t.Errorf("node.id %d, broker.id %d", s.Int("node.id"), s.Int("broker.id"))
	}
	for _, w := range warnings {
		if !strings.Contains(w, "has no effect") {
			t.Errorf("warning %s", w)
		}
	}
	if len(warnings) == 0 {
		t.Error("num.network.threads earns no warning")
	}
}

func TestMistakesNameTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"unknown", "a.b=1\n\nlog.retention.msec=1\n", "server.properties:3: Unknown broker config name: log.retention.msec (did you mean log.retention.ms?)"},
		{"value", "num.partitions=none", "server.properties:1: Invalid value none for configuration num.partitions: Not a number of type INT"},
		{"secret", "ssl.key.password=hunter2\nnum.partitions=0", "Value must be at least 1"},
		{"ids", "node.id=1\nbroker.id=2", "they name the same thing"},
		{"controller only", "process.roles=controller", "server.properties:1: a node that is only a controller"},
		{"three voters", "controller.quorum.voters=1@a:1,2@b:1,3@c:1", "3 voters are named"},
		{"other voter", "node.id=1\ncontroller.quorum.voters=2@a:1", "the voter is node 2 but this is node 1"},
		{"unreachable", "listeners=PLAINTEXT://0.0.0.0:9092\nadvertised.listeners=PLAINTEXT://0.0.0.0:9092", "nonroutable meta-address 0.0.0.0"},
		{"stranger", "advertised.listeners=OUT://h:1", "listener OUT is advertised but not among listeners (PLAINTEXT)"},
		{"unmapped", "listeners=INTERNAL://:9092", "No security protocol defined for listener INTERNAL"},
		{"twice", "listeners=PLAINTEXT://:1,PLAINTEXT://:2", "Each listener must have a different name"},
		{"sessions", "group.min.session.timeout.ms=50\ngroup.max.session.timeout.ms=40", "more than group.max.session.timeout.ms"},
	} {
		_, _, err := load(t, "server.properties", c.file, LoadOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a password in %v", err)
		}
	}
	_, _, err := Load(LoadOptions{Environ: []string{"KAFKA_NUM_PARTITONS=1"}, Set: []string{"novalue", "x.y=1"}})
	for _, want := range []string{"KAFKA_NUM_PARTITONS: Unknown", "did you mean num.partitions?", "-X novalue: expected key=value", "-X x.y: Unknown"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	var unknown *UnknownKeyError
	if !errors.As(err, &unknown) {
		t.Errorf("%T is not an UnknownKeyError", err)
	}
}

// Ignoring any of these would open a broker that its owner believes closed.
func TestSecurityIsRefusedNotIgnored(t *testing.T) {
	for _, file := range []string{
		"listeners=SSL://:9093",
		"listeners=SASL_PLAINTEXT://:9092",
		"listeners=PLAINTEXT://:9092,EXTERNAL://:9094\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,EXTERNAL:SASL_SSL",
		"listeners=PLAINTEXT://:9092\nlistener.security.protocol.map=PLAINTEXT:SSL",
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"sasl.enabled.mechanisms=SCRAM-SHA-512",
		"listener.name.external.sasl.enabled.mechanisms=PLAIN",
		"security.inter.broker.protocol=SSL",
		"principal.builder.class=com.example.Builder",
		"create.topic.policy.class.name=com.example.Policy",
		"listeners=SSL://:9093\ncontroller.listener.names=SSL",
	} {
		_, _, err := load(t, "server.properties", file, LoadOptions{})
		var refused *RefusedError
		if !errors.As(err, &refused) && (err == nil || !strings.Contains(err.Error(), "no listener for clients")) {
			t.Errorf("%q: %v, want a refusal", file, err)
		}
	}
	s, warnings, err := load(t, "server.properties", "ssl.keystore.location=/k.jks\nssl.keystore.password=p\nauthorizer.class.name=\nlistener.name.external.ssl.keystore.location=/k", LoadOptions{})
	if err != nil || len(warnings) != 3 || s == nil {
		t.Errorf("stores without a listener: %v %q", err, warnings)
	}
}

// Kubernetes puts these beside a service called kafka; a broker that took them for keys would not start.
func TestEnvironmentThatIsNoConfiguration(t *testing.T) {
	s, warnings, err := Load(LoadOptions{Environ: []string{
		"KAFKA_PORT=tcp://10.0.0.1:9092", "KAFKA_SERVICE_HOST=10.0.0.1", "KAFKA_SERVICE_PORT=9092", "KAFKA_SERVICE_PORT_TCP_CLIENTS=9092",
		"KAFKA_PORT_9092_TCP_ADDR=10.0.0.1", "KAFKA_PORT_9092_TCP=tcp://10.0.0.1:9092", "KAFKA_HEAP_OPTS=-Xmx1g", "KAFKA_OPTS=", "KAFKA_LOG4J_OPTS=x",
		"KAFKA_LOG4J_ROOT_LOGLEVEL=INFO", "KAFKA_JMX_PORT=9999", "KLAMM_BOOTSTRAP_SERVER=a:1", "KLAMM_PORT=tcp://10.0.0.1:9092", "KLAMM_SERVICE_HOST=x",
	}})
	if err != nil || len(warnings) > 0 || len(s.Set()) > 0 {
		t.Errorf("%v %q %v", err, warnings, s.Set())
	}
}

func TestVariablesOfOthersOnlyWarn(t *testing.T) {
	_, warnings, err := Load(LoadOptions{Environ: []string{"KLAMM_BIN=/bin/klamm", "KAFKA_MY_APP=1"}})
	if err != nil || len(warnings) != 2 || !strings.Contains(warnings[0], "KAFKA_MY_APP is no setting") {
		t.Errorf("%v %q", err, warnings)
	}
}

func TestRepeatedKeyWarns(t *testing.T) {
	s, warnings, err := load(t, "server.properties", "num.partitions=1\nnum.partitions=2\n", LoadOptions{})
	if err != nil || s.Int("num.partitions") != 2 || len(warnings) != 1 || !strings.Contains(warnings[0], "already set in line 1") {
		t.Errorf("%v %v %q", s.Int("num.partitions"), err, warnings)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("a.properties", "num.partitions=3\nlisteners=PLAINTEXT://[::1]:9092\n", "KAFKA_LOG_DIRS=/x")
	f.Add("a.yaml", "log:\n  dirs: [a, b]\nnum.partitions: 2\n", "KLAMM_X=1")
	f.Add("a.properties", "a\\\n\\u00\\", "=")
	f.Add("a.yaml", "a: &a [*a]\n<<: *a", "KAFKA_=")
	f.Fuzz(func(t *testing.T, name, text, environ string) {
		s, _, err := Load(LoadOptions{File: name, Environ: []string{environ}, ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
		if err != nil {
			return
		}
		for _, k := range Keys(Broker) {
			if _, set := s.Set()[k.Name]; set {
				if err := k.Check(s.String(k.Name)); err != nil {
					t.Errorf("what was loaded is not valid: %v", err)
				}
			}
		}
	})
}
