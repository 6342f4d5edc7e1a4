package interop

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/test/kafkaref"
	"github.com/klamm/klamm/test/process"
	"github.com/klamm/klamm/test/toolchain"
)

// updateReassign writes what Kafka's tools print on Kafka itself: KLAMM_TEST_KAFKA names the brokers, which have ids from 1, racks a, b, a, b
// and two data directories each, .../node<ID>/one and .../node<ID>/two.
var updateReassign = flag.Bool("update-reassign", false, "write testdata/reassign.txt and logdirs.txt from KLAMM_TEST_KAFKA=HOST:PORT,...;DIRECTORY")

// TestReassign runs kafka-reassign-partitions through all it can do between brokers, on four of them. What it prints must be, byte for byte, what
// it prints on Apache Kafka 4.3.1.
func TestReassign(t *testing.T) {
	tell(t, "reassign.txt", func(s *story) {
		s.generate()
		s.moves()
		s.factors()
		s.badInput()
	})
	for _, what := range []string{"generate for racks", "execute with a throttle, more with --additional, another throttle on the way", "verify, which ends throttles",
		"list, cancel", "another replication factor", "refuse what Kafka refuses, in its words"} {
		recordTool("reassign-partitions", what+" (four brokers)")
	}
}

// tell runs a story on four brokers with two data directories each.
func tell(t *testing.T, golden string, of func(*story)) {
	t.Helper()
	toolchain.Need(t, "java", "javac", "mvn")
	s := &story{t: t, sh: kafkaref.NewShell(t)}
	golden = filepath.Join("testdata", golden)
	if *updateReassign {
		addrs, dir, _ := strings.Cut(os.Getenv("KLAMM_TEST_KAFKA"), ";")
		s.bootstrap, s.dir = addrs, dir
	} else {
		s.startFour()
	}
	s.begin()
	of(s)
	got := s.text.String()
	if *updateReassign {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	compareScenes(t, string(want), got)
}

// compareScenes reports each scene that differs.
func compareScenes(t *testing.T, want, got string) {
	t.Helper()
	w, g := strings.Split(want, "\n=== "), strings.Split(got, "\n=== ")
	for i := range max(len(w), len(g)) {
		switch {
		case i >= len(w):
			t.Errorf("not in Kafka's story:\n%s", g[i])
		case i >= len(g):
			t.Errorf("missing:\n%s", w[i])
		case w[i] != g[i]:
			t.Errorf("Kafka:\n%s\n--- Klamm:\n%s", w[i], g[i])
		}
	}
}

// story is a run of tools, scene by scene.
type story struct {
	t         *testing.T
	sh        *kafkaref.Shell
	bootstrap string
	nodes     []*process.Node
	dir       string // node1/one and so on lie in it
	text      strings.Builder
	exact     bool // directories are told apart
}

// startFour starts four klamm processes.
func (s *story) startFour(more ...string) {
	s.dir = s.t.TempDir()
	addrs := freeAddresses(s.t, 8)
	kafka, peers := addrs[:4], addrs[4:]
	slices.Sort(peers) // founders are numbered in this order
	var wg sync.WaitGroup
	errs := make([]error, len(kafka))
	nodes := make([]*process.Node, len(kafka))
	for i := range kafka {
		wg.Go(func() {
			home := filepath.Join(s.dir, fmt.Sprintf("node%d", i+1))
			nodes[i], errs[i] = process.TryStart(process.Binary(s.t), filepath.Join(home, "one")+","+filepath.Join(home, "two"), kafka[i],
				append([]string{"--node-listen", peers[i], "--join", strings.Join(peers, ","), "-X", "broker.rack=" + []string{"a", "b"}[i%2]}, more...)...)
		})
	}
	wg.Wait()
	s.t.Cleanup(func() {
		for i, n := range nodes {
			if n == nil {
				continue
			}
			n.Kill()
			if s.t.Failed() {
				s.t.Logf("last lines of node %d:\n%s", i+1, n.Log())
			}
		}
	})
	for i, err := range errs {
		if err != nil {
			s.t.Fatalf("node %d: %v", i+1, err)
		}
	}
	s.bootstrap, s.nodes = strings.Join(kafka, ","), nodes
}

// freeAddresses are addresses nobody listens at right now. They are drawn together, so that they differ.
func freeAddresses(t *testing.T, n int) (out []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out
}

// call runs a tool. Arguments that begin with { or [ are written to files.
func (s *story) call(tool string, args ...string) kafkaref.Result {
	s.t.Helper()
	full := []string{"--bootstrap-server", s.bootstrap}
	for _, a := range args {
		if a != "" && (a[0] == '{' || a[0] == '[') {
			a = file(s.t, strings.ReplaceAll(a, "DIR", s.dir))
		}
		full = append(full, a)
	}
	return s.sh.Do(s.t, kafkaref.Call{Tool: tool, Args: full, Limit: time.Minute})
}

// scene runs a tool and writes down what it prints.
func (s *story) scene(what, tool string, args ...string) {
	s.t.Helper()
	r := s.call(tool, args...)
	fmt.Fprintf(&s.text, "\n=== %s\n$ kafka-%s %s\n%s", what, tool, strings.Join(args, " "), s.plain(r.Out))
	if e := s.plain(r.Err); e != "" {
		fmt.Fprintf(&s.text, "--- stderr\n%s", e)
	}
	fmt.Fprintf(&s.text, "exit %d\n", r.Exit)
}

// until runs a tool until it prints what is wanted, and writes that down.
func (s *story) until(what, want, tool string, args ...string) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		r := s.call(tool, args...)
		if out := s.plain(r.Out); strings.Contains(out, want) || time.Now().After(deadline) {
			fmt.Fprintf(&s.text, "\n=== %s\n$ kafka-%s %s\n%sexit %d\n", what, tool, strings.Join(args, " "), out, r.Exit)
			return
		}
	}
}

var (
	stackTrace = regexp.MustCompile(`(?m)^(\tat |Caused by: |\t?\.\.\. \d+ more).*\n`)
	anyID      = regexp.MustCompile(`TopicId: \S{22}`)
	logPrefix  = regexp.MustCompile(`(?m)^\[\S+ \S+\] (ERROR|WARN|INFO)`)
	proposed   = regexp.MustCompile(`(?s)(Proposed partition reassignment configuration\n).*`)
	directory  = regexp.MustCompile(`DIR/node\d/(one|two)`)
	logDirs    = regexp.MustCompile(`"logDirs":\[.*\]\}\],"version"`)
	unordered  = regexp.MustCompile(`(Isr|Elr|Configs): [^\t\n]*`)
	sizes      = regexp.MustCompile(`"size":\d+|"offsetLag":\d+|"totalBytes":\d+|"usableBytes":\d+`)
)

// plain takes out what differs from run to run.
func (s *story) plain(out string) string {
	out = stackTrace.ReplaceAllString(out, "")
	out = anyID.ReplaceAllString(out, "TopicId: ...")
	out = logPrefix.ReplaceAllString(out, "$1")
	out = sizes.ReplaceAllStringFunc(out, func(m string) string {
		key, v, _ := strings.Cut(m, ":")
		if v == "0" && key == `"offsetLag"` {
			return m
		}
		return key + ":N"
	})
	out = strings.ReplaceAll(out, s.dir, "DIR")
	if !s.exact {
		out = directory.ReplaceAllString(out, "any") // new replicas go where Kafka finds most room
	}
	out = unordered.ReplaceAllStringFunc(out, func(m string) string {
		head, list, _ := strings.Cut(m, ": ")
		all := strings.Split(list, ",")
		// Kafka sets this for all brokers when it takes ELRs into use (KIP-966).
		all = slices.DeleteFunc(all, func(v string) bool { return v == "min.insync.replicas=1" })
		slices.Sort(all)
		return head + ": " + strings.Join(all, ",")
	})
	out = logDirs.ReplaceAllStringFunc(out, func(m string) string { // in the order of a hash map
		m = strings.TrimSuffix(strings.TrimPrefix(m, `"logDirs":[`), `]}],"version"`)
		dirs := strings.SplitAfter(m, `"},`)
		for i := range dirs {
			dirs[i] = strings.TrimSuffix(dirs[i], ",")
		}
		slices.SortFunc(dirs, func(a, b string) int {
			return strings.Compare(a[strings.Index(a, `"logDir"`):], b[strings.Index(b, `"logDir"`):])
		})
		return `"logDirs":[` + strings.Join(dirs, ",") + `]}],"version"`
	})
	out = strings.ReplaceAll(out, s.bootstrap, "BOOTSTRAP")
	if out != "" && !strings.HasSuffix(out, "\n") {
		out += "\n"
	}
	return out
}

// plan renders a reassignment.
func plan(parts ...string) string {
	return `{"version":1,"partitions":[` + strings.Join(parts, ",") + `]}`
}

func part(topic string, p int, replicas string, dirs ...string) string {
	d := ""
	if len(dirs) > 0 {
		d = `,"log_dirs":["` + strings.Join(dirs, `","`) + `"]`
	}
	return fmt.Sprintf(`{"topic":%q,"partition":%d,"replicas":[%s]%s}`, topic, p, replicas, d)
}

// begin makes a topic with 2 MB in each of its partitions.
func (s *story) begin() {
	if *updateReassign { // the brokers may have gone through this before
		s.call("topics", "--delete", "--if-exists", "--topic", "m|narrow")
	}
	if r := s.call("topics", "--create", "--topic", "m", "--replica-assignment", "1:2:3,2:3:1"); r.Exit != 0 {
		s.t.Fatal(r)
	}
	if r := s.call("producer-perf-test", "--topic", "m", "--num-records", "4000", "--record-size", "1000", "--throughput", "-1",
		"--command-property", "acks=all", "--command-property", "partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner"); r.Exit != 0 {
		s.t.Fatal(r)
	}
}

const reassignTool = "reassign-partitions"

// generate shows what Kafka proposes; the proposal itself is drawn at random.
func (s *story) generate() {
	topics := `{"version":1,"topics":[{"topic":"m"}]}`
	s.scene("generate to three brokers of two racks", reassignTool, "--generate", "--broker-list", "2,3,4", "--topics-to-move-json-file", topics)
	s.text.WriteString("(proposal left out)\n")
	text := proposed.ReplaceAllString(s.text.String(), "$1")
	s.text.Reset()
	s.text.WriteString(text)
	s.scene("generate to unknown brokers", reassignTool, "--generate", "--broker-list", "7,8,9", "--topics-to-move-json-file", topics)
	s.scene("generate to too few brokers", reassignTool, "--generate", "--broker-list", "1,2", "--topics-to-move-json-file", topics)
	s.scene("generate to a broker twice", reassignTool, "--generate", "--broker-list", "1,2,2", "--topics-to-move-json-file", topics)
	s.scene("generate for an unknown topic", reassignTool, "--generate", "--broker-list", "1,2,3", "--topics-to-move-json-file", `{"version":1,"topics":[{"topic":"nope"}]}`)
}

// moves holds moves open by a throttle.
func (s *story) moves() {
	zero, both := plan(part("m", 0, "4,2,3")), plan(part("m", 0, "4,2,3"), part("m", 1, "2,3,4"))
	one := plan(part("m", 1, "2,3,4"))
	s.scene("nothing to cancel", reassignTool, "--cancel", "--reassignment-json-file", zero)
	s.scene("execute with a throttle", reassignTool, "--execute", "--reassignment-json-file", zero, "--throttle", "20000")
	s.scene("list", reassignTool, "--list")
	s.scene("verify on the way", reassignTool, "--verify", "--preserve-throttles", "--reassignment-json-file", zero)
	s.scene("the topic's throttles", "configs", "--describe", "--entity-type", "topics", "--entity-name", "m")
	for _, id := range []string{"1", "4"} {
		s.scene("a broker's throttles", "configs", "--describe", "--entity-type", "brokers", "--entity-name", id)
	}
	s.scene("the topic on the way", "topics", "--describe", "--topic", "m")
	s.scene("execute another meanwhile", reassignTool, "--execute", "--reassignment-json-file", one)
	s.scene("execute another with --additional", reassignTool, "--execute", "--additional", "--reassignment-json-file", one, "--throttle", "30000")
	s.scene("list both", reassignTool, "--list")
	s.scene("verify both", reassignTool, "--verify", "--reassignment-json-file", both)
	s.scene("cancel one, its throttle stays", reassignTool, "--cancel", "--preserve-throttles", "--reassignment-json-file", one)
	s.scene("list the other", reassignTool, "--list")
	s.scene("the throttle stayed", "configs", "--describe", "--entity-type", "topics", "--entity-name", "m")
	s.scene("cancel both, one of which does not move", reassignTool, "--cancel", "--reassignment-json-file", both)
	s.until("nothing moves", "No partition reassignments found", reassignTool, "--list")
	s.scene("the throttle is gone", "configs", "--describe", "--entity-type", "topics", "--entity-name", "m")
	s.until("as before", "Replicas: 2,3,1", "topics", "--describe", "--topic", "m")
	s.scene("execute slowly", reassignTool, "--execute", "--reassignment-json-file", both, "--throttle", "20000")
	s.scene("faster on the way", reassignTool, "--execute", "--additional", "--reassignment-json-file", both, "--throttle", "100000000")
	s.until("verify at the end", "Reassignment of partition m-0 is completed.\nReassignment of partition m-1 is completed.", reassignTool, "--verify", "--reassignment-json-file", both)
	s.until("throttles of brokers are gone", "Dynamic configs for broker 4 are:\n", "configs", "--describe", "--entity-type", "brokers", "--entity-name", "4")
	s.scene("verify what is otherwise", reassignTool, "--verify", "--reassignment-json-file", plan(part("m", 0, "1,2,3")))
}

// factors changes the number of replicas.
func (s *story) factors() {
	more, fewer := plan(part("m", 0, "1,2,3,4")), plan(part("m", 0, "2"), part("m", 1, "3,1"))
	s.scene("replication factor 4, forbidden", reassignTool, "--execute", "--disallow-replication-factor-change", "--reassignment-json-file", more)
	s.scene("replication factor 4", reassignTool, "--execute", "--reassignment-json-file", more)
	s.until("done", "Reassignment of partition m-0 is completed.", reassignTool, "--verify", "--reassignment-json-file", more)
	s.scene("replication factors 1 and 2", reassignTool, "--execute", "--reassignment-json-file", fewer)
	s.until("done", "m-0 is completed.\nReassignment of partition m-1 is completed.", reassignTool, "--verify", "--reassignment-json-file", fewer)
	s.until("described", "Partition: 1\tLeader: 3\tReplicas: 3,1\tIsr: 1,3", "topics", "--describe", "--topic", "m")
}

// badInput is refused, and nothing changes.
func (s *story) badInput() {
	for _, bad := range []struct{ what, json string }{
		{"unknown topic", plan(part("nope", 0, "1"))},
		{"unknown partition", plan(part("m", 7, "1"))},
		{"unknown topic and a good one", plan(part("nope", 0, "1"), part("m", 0, "3"))},
		{"negative partition", plan(part("m", -1, "1"))},
		{"unknown broker", plan(part("m", 0, "1,9"))},
		{"negative broker", plan(part("m", 0, "-2"))},
		{"a broker twice", plan(part("m", 0, "1,1"))},
		{"no replicas", plan(part("m", 0, ""))},
		{"a partition twice", plan(part("m", 0, "1"), part("m", 0, "2"))},
		{"more replicas than brokers", plan(part("m", 0, "1,2,3,4,5"))},
		{"no partitions", plan()},
		{"fewer directories than replicas", plan(part("m", 0, "1,2", "any"))},
		{"a directory that is not there", plan(part("m", 0, "2", "/no/such/directory"))},
		{"a directory that is no path", plan(part("m", 0, "2", "there"))},
		{"no version", `{"partitions":[]}`},
		{"version 2", `{"version":2,"partitions":[]}`},
		{"no JSON", `{`},
	} {
		s.scene("execute: "+bad.what, reassignTool, "--execute", "--reassignment-json-file", bad.json)
	}
	s.scene("verify: unknown topic", reassignTool, "--verify", "--reassignment-json-file", plan(part("nope", 0, "1")))
	s.scene("verify: unknown partition", reassignTool, "--verify", "--reassignment-json-file", plan(part("m", 7, "1")))
	s.scene("cancel: unknown topic", reassignTool, "--cancel", "--reassignment-json-file", plan(part("nope", 0, "1")))
	s.scene("a factor above the number of brokers", "topics", "--create", "--topic", "wide", "--replication-factor", "5")
	s.scene("an assignment to an unknown broker", "topics", "--create", "--topic", "wide", "--replica-assignment", "1:9")
	s.scene("an assignment to a broker twice", "topics", "--create", "--topic", "wide", "--replica-assignment", "1:1")
	s.scene("min.insync.replicas above the factor", "topics", "--create", "--topic", "narrow", "--replication-factor", "2", "--config", "min.insync.replicas=3")
	s.scene("min.insync.replicas of zero", "topics", "--create", "--topic", "zero", "--replication-factor", "2", "--config", "min.insync.replicas=0")
	s.scene("nothing moves", reassignTool, "--list")
	s.until("nothing changed", "Partition: 1\tLeader: 3\tReplicas: 3,1\tIsr: 1,3", "topics", "--describe", "--topic", "m")
}

// TestConsumerInARack: Kafka's own consumer with client.rack reads from the follower in its rack (KIP-392), before and after a record more.
func TestConsumerInARack(t *testing.T) {
	toolchain.Need(t, "java", "javac", "mvn")
	s := &story{t: t, sh: kafkaref.NewShell(t)}
	s.startFour("-X", "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector")
	if r := s.call("topics", "--create", "--topic", "near", "--replica-assignment", "1:2"); r.Exit != 0 {
		t.Fatal(r)
	}
	if r := s.call("producer-perf-test", "--topic", "near", "--num-records", "2000", "--record-size", "1000", "--throughput", "-1", "--command-property", "acks=all"); r.Exit != 0 {
		t.Fatal(r)
	}
	for _, rack := range []string{"a", "b"} {
		before := [2]int64{s.bytesOut(0, "near"), s.bytesOut(1, "near")}
		r := s.call("console-consumer", "--topic", "near", "--from-beginning", "--max-messages", "2000", "--timeout-ms", "30000", "--command-property", "client.rack="+rack)
		if !strings.Contains(r.Err, "Processed a total of 2000 messages") {
			t.Fatalf("rack %s: %+v", rack, r.Err)
		}
		leader, follower := s.bytesOut(0, "near")-before[0], s.bytesOut(1, "near")-before[1]
		t.Logf("rack %s: %d bytes from the leader in rack a, %d from the follower in rack b", rack, leader, follower)
		if far := map[string]int64{"a": follower, "b": leader}[rack]; far > 200_000 || leader+follower < 2_000_000 {
			t.Errorf("rack %s: %d bytes from the leader in rack a, %d from the follower in rack b", rack, leader, follower)
		}
	}
	recordTool("console-consumer", "client.rack: reads from the replica in its rack (four brokers)")
}

// bytesOut is what a node has sent consumers of a topic, as its metrics say.
func (s *story) bytesOut(node int, topic string) int64 {
	s.t.Helper()
	resp, err := http.Get("http://" + s.nodes[node].HTTP + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	m := regexp.MustCompile(`topic_bytes_out_total\{[^}]*topic="` + topic + `"[^}]*\} (\S+)`).FindSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return int64(n)
}
