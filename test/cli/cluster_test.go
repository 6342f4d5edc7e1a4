package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klamm/klamm/test/process"
)

// TestClusterVerbs looks at three processes, one of which dies.
func TestClusterVerbs(t *testing.T) {
	c := process.StartCluster(t, 3)
	// Not the shell's KLAMM_HTTP: the brokers say themselves where they take HTTP.
	s := &shell{bin: process.Binary(t), dir: t.TempDir(), broker: strings.Join(c.Kafka, ",")}
	ok := func(args ...string) string {
		t.Helper()
		r := s.run(t, "", append([]string{"klamm"}, args...)...)
		if r.code != 0 {
			t.Fatalf("%v: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
		return r.stdout
	}
	ok("topic", "create", "t", "--partitions", "3", "--replication-factor", "3", "--config", "min.insync.replicas=3")
	var q struct {
		Leader  int
		Members []struct {
			ID        int
			Role      string
			Directory string
		}
	}
	if err := json.Unmarshal([]byte(ok("cluster", "quorum", "-o", "json")), &q); err != nil || q.Leader < 1 || len(q.Members) != 3 || len(q.Members[0].Directory) != 22 {
		t.Fatalf("%+v %v", q, err)
	}
	until(t, s, 0, "cluster quorum", "leader ", "voter", "just now", "DIRECTORY")
	until(t, s, 0, "cluster health", "healthy", "leaders", "min.insync.replicas  yes", "leader skew", "/readyz says 200 OK")
	until(t, s, 0, "cluster events", "controller-active", "broker 1 registered, at 127.0.0.1:", "takes part")

	dead := q.Leader%3 + 1 // founders are numbered in the order of their addresses
	c.Kill(place(c, dead))
	// Whoever is asked: brokers learn of a death one after the other.
	away := "broker " + string(rune('0'+dead)) + " is away"
	r := until(t, s, 0, "cluster status", "3 partitions under min.insync.replicas: t-0 ("+away+")", "3 partitions under-replicated: t-0 ("+away)
	until(t, s, 1, "cluster health", "not healthy", "min.insync.replicas  NO", "3 partitions under-replicated")
	// Exit code 3: what one node knows is missing.
	until(t, s, 3, "cluster events --kind broker-fenced", "fenced: its process is dead (its connections closed)", "could not be asked")
	until(t, s, r.code, "cluster quorum", "node "+string(rune('0'+dead))+" (voter) is silent", "2 of 3 voters answer")
}

// until runs a command until it ends with a code and says all that is wanted.
func until(t *testing.T, s *shell, code int, command string, want ...string) result {
	t.Helper()
	for begin := time.Now(); ; {
		r := s.run(t, "", append([]string{"klamm"}, strings.Fields(command)...)...)
		missing := slices.DeleteFunc(slices.Clone(want), func(w string) bool { return strings.Contains(r.stdout, w) })
		if len(missing) == 0 && r.code == code {
			return r
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("%s: exit code %d, no %q in\n%s%s", command, r.code, missing, r.stdout, r.stderr)
		}
	}
}

// place is where a node stands in the cluster's lists.
func place(c *process.Cluster, id int) int {
	rank := func(i int) (n int) {
		for _, other := range c.Peers {
			if other <= c.Peers[i] {
				n++
			}
		}
		return n
	}
	for i := range c.Peers {
		if rank(i) == id {
			return i
		}
	}
	return -1
}

// TestEventsSayWhoDoesNotFetch: a broker that stands still is heard of no more, long before its session ends.
func TestEventsSayWhoDoesNotFetch(t *testing.T) {
	c := process.StartCluster(t, 3, "-X", "replica.lag.time.max.ms=1000", "-X", "broker.session.timeout.ms=60000")
	s := &shell{bin: process.Binary(t), dir: t.TempDir(), broker: strings.Join(c.Kafka, ",")}
	run := func(stdin string, args ...string) result {
		t.Helper()
		return s.run(t, stdin, append([]string{"klamm"}, args...)...)
	}
	if r := run("", "topic", "create", "t", "--partitions", "1", "--replication-factor", "3"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	// A producer that knows its leader already: one that begins later may ask the frozen broker first, and its record comes too late.
	lines := s.produce(t, "t")
	if _, err := io.WriteString(lines, "before\n"); err != nil {
		t.Fatal(err)
	}
	var topics []struct {
		List []struct {
			Leader int
			End    int `json:"log_end_offset"`
		} `json:"partition_list"`
	}
	for begin := time.Now(); len(topics) == 0 || len(topics[0].List) == 0 || topics[0].List[0].End == 0; {
		r := run("", "topic", "describe", "t", "-o", "json") // of a broker that may not have heard of it
		err := json.Unmarshal([]byte(r.stdout), &topics)
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("the first record did not come: %v\n%s%s", err, r.stdout, r.stderr)
		}
	}
	var q struct{ Leader int }
	if err := json.Unmarshal([]byte(run("", "cluster", "quorum", "-o", "json").stdout), &q); err != nil {
		t.Fatal(err)
	}
	frozen := 1 // neither the leader of the partition nor that of the metadata
	for frozen == topics[0].List[0].Leader || frozen == q.Leader {
		frozen++
	}
	still := c.Node(place(c, frozen)).PID()
	if err := syscall.Kill(still, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(still, syscall.SIGCONT) })
	lead := place(c, topics[0].List[0].Leader)
	s.broker, s.http = c.Kafka[lead], c.Node(lead).HTTP // the frozen one would take its time
	if _, err := io.WriteString(lines, "behind\n"); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(fmt.Sprintf(`broker %d left the ISR of t-0: no fetch for [12](\.\d+)?s`, frozen))
	for begin := time.Now(); ; {
		r := run("", "cluster", "events", "--kind", "isr-left")
		if want.MatchString(r.stdout) {
			return
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("no %v in\n%s%s", want, r.stdout, r.stderr)
		}
	}
}

// produce starts a producer of what is written to the result, which is closed when the test ends.
func (s *shell) produce(t *testing.T, topic string) io.Writer {
	t.Helper()
	cmd := s.command(context.Background(), "", "klamm", "produce", topic)
	cmd.Stdin = nil
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill() // it may be waiting for a broker
		_ = cmd.Wait()
	})
	return in
}
