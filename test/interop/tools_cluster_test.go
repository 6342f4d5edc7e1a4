package interop

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/test/kafkaref"
	"github.com/klamm/klamm/test/toolchain"
)

// sick is a cluster under Kafka's tools: whole, with one broker down, and with that broker back.
type sick struct {
	tools
	*patient
}

// TestToolsOfAFailingCluster is what Kafka's tools are for when a broker is down: what is under-replicated, below the minimum or unavailable, who
// leads and votes, elections, and the copies compared.
func TestToolsOfAFailingCluster(t *testing.T) {
	toolchain.Need(t, "java", "javac", "mvn")
	p := startPatient(t, "auto.leader.rebalance.enable=false")
	s := &sick{tools{sh: kafkaref.NewShell(t), node: p.target}, p}
	s.whole(t)
	// One broker is down: the last of the replicas of tools.three-0, which leads tools.one-0 as that partition's only replica.
	ids := s.brokerIDs(t)
	down := ids[2]
	place := p.place(atoi(down))
	order := []string{ids[0], ids[1], down}
	s.assign(t, "tools.one", []string{down}, "--config", "min.insync.replicas=1")
	s.assign(t, "tools.three", order)
	s.assign(t, "tools.led", []string{down, ids[0], ids[1]})
	s.assign(t, "tools.pair", []string{ids[0], down}) // min.insync.replicas=2: exactly enough
	p.healed("tools.led", "tools.three")
	for _, topic := range []string{"tools.one", "tools.three", "tools.led", "tools.pair"} {
		s.produce(t, topic, strings.Repeat("a line\n", 100), "--command-property", "acks=1")
	}
	s.copies(t, "tools.three")
	p.Kill(place)
	s.oneDown(t, down, ids)
	if err := p.Start(place); err != nil {
		t.Fatal(err)
	}
	p.healed("tools.led", "tools.three")
	s.back(t, down)
	s.copies(t, "tools.led")
	s.unclean(t, ids[1], down)
	s.unregister(t, down, place)
}

func atoi(s string) int32 {
	n, _ := strconv.ParseInt(s, 10, 32)
	return int32(n)
}

// assign creates a topic of one partition with its replicas in this order.
func (s *sick) assign(t *testing.T, topic string, replicas []string, more ...string) {
	t.Helper()
	s.run(t, call{what: "create with a replica assignment", tool: "topics", args: append([]string{"--create", "--topic", topic, "--replica-assignment", strings.Join(replicas, ":")}, more...),
		want: []string{"Created topic " + regexp.QuoteMeta(topic)}})
}

// whole is a cluster where nothing is wrong.
func (s *sick) whole(t *testing.T) {
	ids := s.brokerIDs(t)
	out := s.do(t, "every API of every broker", "broker-api-versions", "")
	for _, id := range ids {
		if !strings.Contains(out, "(id: "+id+" rack: null") {
			t.Errorf("broker-api-versions does not name broker %s:\n%s", id, out)
		}
	}
	s.do(t, "three voters", "metadata-quorum", "describe --status", `CurrentVoters:\s+\[(\{"id": \d+[^}]*\},? ?){3}\]`, `CurrentObservers:\s+\[\]`, `MaxFollowerLag:\s+\d+`)
	s.do(t, "replication of three voters", "metadata-quorum", "describe --replication", `Leader`, `Follower.*Follower`)
	s.do(t, "directories of every broker", "log-dirs", "--describe", `"broker":`+ids[0], `"broker":`+ids[1], `"broker":`+ids[2])
	s.run(t, call{what: "directories of one broker", tool: "log-dirs", args: []string{"--describe", "--broker-list", ids[1]}, want: []string{`"broker":` + ids[1]}, not: []string{`"broker":` + ids[0]}})
	s.refused(t, "refuse a broker that is not there", "log-dirs", "--describe --broker-list 99", `(?i)99`)
}

// listed runs kafka-topics --describe with one of its filters, and compares the partitions that it names.
func (s *sick) listed(t *testing.T, what, filter string, want ...string) {
	t.Helper()
	out := s.do(t, what, "topics", "--describe --exclude-internal "+filter)
	var got []string
	for _, m := range regexp.MustCompile(`Topic: (\S+)\s+Partition: \d+`).FindAllStringSubmatch(out, -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s names %v, want %v:\n%s", filter, got, want, out)
	}
}

// oneDown is the cluster with one broker dead.
func (s *sick) oneDown(t *testing.T, down string, ids []string) {
	s.eventually("new leaders", func(ctx context.Context) error {
		m, err := s.adm.Metadata(ctx, "tools.led", "tools.one", "tools.pair", "tools.three")
		if err != nil {
			return err
		}
		for topic, want := range map[string]int{"tools.led": 2, "tools.three": 2, "tools.pair": 1} {
			if got := m.Topics[topic].Partitions[0]; got.Leader == atoi(down) || len(got.ISR) != want {
				return fmt.Errorf("%s: leader %d, in sync %v", topic, got.Leader, got.ISR)
			}
		}
		if got := m.Topics["tools.one"].Partitions[0].Leader; got >= 0 {
			return fmt.Errorf("tools.one: leader %d", got)
		}
		return nil
	})
	s.listed(t, "what is under-replicated", "--under-replicated-partitions", "tools.led", "tools.one", "tools.pair", "tools.three")
	s.listed(t, "what has no leader", "--unavailable-partitions", "tools.one")
	s.listed(t, "what has fewer replicas in sync than the minimum", "--under-min-isr-partitions", "tools.one", "tools.pair")
	s.listed(t, "what has just the minimum", "--at-min-isr-partitions", "tools.led", "tools.three")
	s.do(t, "a partition without a leader", "topics", "--describe --topic tools.one", `Leader: none\tReplicas: `+down+`\tIsr: `)
	s.do(t, "the eligible replicas of one below its minimum", "topics", "--describe --topic tools.pair", `Isr: `+ids[0]+`\tElr: `+down+`\tLastKnownElr: `)
	s.run(t, call{what: "a producer is told of too few replicas", tool: "console-producer", args: strings.Fields("--topic tools.pair --command-property acks=all --command-property delivery.timeout.ms=3000 --command-property request.timeout.ms=1000"),
		stdin: "refused\n", want: []string{`NotEnoughReplicas`}})
	s.refused(t, "refuse a preferred leader that is down", "leader-election", "--election-type preferred --topic tools.led --partition 0", `PreferredLeaderNotAvailable`)
	s.refused(t, "refuse an unclean election without a replica", "leader-election", "--election-type unclean --topic tools.one --partition 0", `EligibleLeadersNotAvailable`)
	s.do(t, "offsets without the leaders that are gone", "get-offsets", "--topic tools.three", `tools\.three:0:100`)
	s.do(t, "a voter that is down", "metadata-quorum", "describe --replication", `\n`+down+`\s`)
}

// back is the cluster with the broker back: it does not lead before it is elected.
func (s *sick) back(t *testing.T, down string) {
	s.listed(t, "", "--under-replicated-partitions")
	s.listed(t, "", "--unavailable-partitions")
	s.listed(t, "", "--under-min-isr-partitions")
	s.do(t, "give leadership back", "leader-election", "--election-type preferred --topic tools.led --partition 0", `Successfully completed leader election \(PREFERRED\) for partitions tools\.led-0`)
	s.do(t, "", "topics", "--describe --topic tools.led", `Leader: `+down+`\t`)
	s.do(t, "nothing to do", "leader-election", "--election-type unclean --all-topic-partitions")
}

// unclean is a partition whose only replica in sync is gone for good: the other one, which has less, leads when it is told to, and not before.
func (s *sick) unclean(t *testing.T, full, behind string) {
	t.Helper()
	s.assign(t, "tools.unclean", []string{full, behind}, "--config", "min.insync.replicas=1")
	s.produce(t, "tools.unclean", strings.Repeat("a line\n", 100))
	alone := func(want ...int32) func(context.Context) error {
		return func(ctx context.Context) error {
			m, err := s.adm.Metadata(ctx, "tools.unclean")
			if err != nil {
				return err
			}
			if got := m.Topics["tools.unclean"].Partitions[0]; !slices.Equal(append([]int32{got.Leader}, slices.Sorted(slices.Values(got.ISR))...), want) {
				return fmt.Errorf("leader %d, in sync %v", got.Leader, got.ISR)
			}
			return nil
		}
	}
	fullAt, behindAt := s.place(atoi(full)), s.place(atoi(behind))
	s.Kill(behindAt)
	s.eventually("one replica in sync", alone(atoi(full), atoi(full)))
	s.produce(t, "tools.unclean", strings.Repeat("lost\n", 50))
	s.Kill(fullAt)
	if err := s.Start(behindAt); err != nil {
		t.Fatal(err)
	}
	s.eventually("no leader", alone(-1))
	s.listed(t, "", "--unavailable-partitions", "tools.unclean")
	s.refused(t, "", "leader-election", "--election-type preferred --topic tools.unclean --partition 0", `PreferredLeaderNotAvailable`)
	s.do(t, "unclean, which loses what only the dead replica had", "leader-election", "--election-type unclean --topic tools.unclean --partition 0",
		`Successfully completed leader election \(UNCLEAN\) for partitions tools\.unclean-0`)
	s.eventually("the replica that was behind leads", alone(atoi(behind), atoi(behind)))
	s.do(t, "", "get-offsets", "--topic tools.unclean", `tools\.unclean:0:100`)
	if err := s.Start(fullAt); err != nil {
		t.Fatal(err)
	}
	s.eventually("the other follows it", alone(atoi(behind), min(atoi(full), atoi(behind)), max(atoi(full), atoi(behind))))
	s.run(t, call{tool: "console-consumer", args: strings.Fields("--topic tools.unclean --from-beginning --max-messages 100 --timeout-ms 10000"), want: []string{`Processed a total of 100 messages`}, not: []string{`lost`}})
}

// copies compares the replicas of a topic's partition 0: by Kafka's tool for that, and what dump-log reads of each broker's files.
func (s *sick) copies(t *testing.T, topic string) {
	t.Helper()
	s.verified(t, topic)
	var first string
	for i, dir := range s.data {
		files := filesOf(t, filepath.Join(dir, topic+"-0"), "*.log")
		r := s.sh.Run(t, "dump-log", "--files", strings.Join(files, ","), "--print-data-log")
		if r.Exit != 0 || regexp.MustCompile(strings.Join(complaints(), "|")).MatchString(r.Out+r.Err) || !strings.Contains(r.Out, "a line") {
			t.Errorf("dump-log of %s on node %d:\n%s%s", topic, i, r.Out, r.Err)
		}
		text := strings.ReplaceAll(r.Out, dir, "DIR")
		if i > 0 && text != first {
			t.Errorf("dump-log of %s says of node %d\n%s\nof node 0\n%s", topic, i, text, first)
		}
		first = text
	}
	recordTool("dump-log", "the same of every copy of a partition")
}

// verified lets Kafka's own tool compare the replicas, in a JVM of its own: it never ends by itself, and its threads cannot be stopped.
func (s *sick) verified(t *testing.T, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd, err := kafkaref.Command(ctx, "replica-verification", "--broker-list", s.addr, "--topics-include", regexp.QuoteMeta(topic), "--time", "-2", "--report-interval-ms", "300", "--max-wait-ms", "100")
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, in := "", bufio.NewScanner(out)
	for in.Scan() {
		said += in.Text() + "\n"
		if strings.Contains(in.Text(), "max lag is 0 for partition "+topic+"-0 at offset 100 among 1 partitions") {
			recordTool("replica-verification", "the copies of a partition are the same")
			break
		}
	}
	cancel()
	_ = cmd.Wait() // killed
	if !strings.Contains(said, "at offset 100") {
		t.Errorf("replica-verification of %s:\n%s", topic, said)
	}
}

// unregister takes a broker that is gone for good off the list.
func (s *sick) unregister(t *testing.T, down string, place int) {
	t.Helper()
	host, port, _ := net.SplitHostPort(strings.Split(s.addr, ",")[place])
	s.Kill(place)
	s.run(t, call{what: "take a dead broker off the list", tool: "cluster", args: []string{"unregister", "--bootstrap-server", s.addr, "--id", down}, local: true, want: []string{`Broker ` + down + ` is no longer registered`}})
	s.run(t, call{what: "", tool: "cluster", args: []string{"list-endpoints", "--bootstrap-server", s.addr}, local: true, not: []string{`\n` + down + `\s+` + regexp.QuoteMeta(host) + `\s+` + port}})
}
