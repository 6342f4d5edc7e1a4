package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/test/toolchain"
)

// kcat runs kcat on a broker.
type kcat struct {
	t    *testing.T
	addr string
}

// do runs kcat with input and returns what it printed; a failure is an error with its standard error.
func (k kcat) do(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kcat", append([]string{"-b", k.addr}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := output(cmd)
	return string(out), err
}

// must is do for a call that has to work.
func (k kcat) must(stdin string, args ...string) string {
	k.t.Helper()
	out, err := k.do(stdin, args...)
	if err != nil {
		k.t.Errorf("kcat %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// TestKcat is Debian's kcat with librdkafka 2.0.2, which tests a broker for exact old versions of the APIs and silently leaves out compression,
// and more, where one is not offered. kcat creates no topics itself: what it produces to is created by the broker.
func TestKcat(t *testing.T) {
	toolchain.Need(t, "kcat")
	node := startTarget(t)
	k := kcat{t: t, addr: node.addr}
	got := Transcript{}
	for _, c := range Cases() {
		got[c.Name] = "absent kcat has no such call"
	}
	const prefix = "kcat"
	k.produce(got, prefix)
	checkCodecs(t, node.addr, prefix)
	k.consume(got, prefix)
	k.group(got, prefix)
	k.rebalance(got, prefix)
	for _, wrong := range got.Check(Cases()) {
		t.Error(wrong)
	}
	version, library := k.version()
	record(t, Row{Client: "kcat (librdkafka " + library + ")", Version: version, Language: "C", Results: got})
}

// version is kcat's own and librdkafka's.
func (k kcat) version() (version, library string) {
	out, _ := exec.CommandContext(k.t.Context(), "kcat", "-V").CombinedOutput()
	if m := regexp.MustCompile(`Version (\S+) .*librdkafka (\S+)`).FindStringSubmatch(string(out)); m != nil {
		return m[1], m[2]
	}
	return "unknown", "unknown"
}

// produce sends fifty records with every codec to topics that the broker creates, and one record that is too large.
func (k kcat) produce(got Transcript, prefix string) {
	for _, codec := range codecNames() {
		var lines strings.Builder
		for i := range 50 {
			fmt.Fprintf(&lines, "k-%d;v-%s-%d-%s\n", i, codec, i, strings.Repeat("x", 300))
		}
		k.must(lines.String(), "-P", "-t", prefix+"-"+codec, "-K", ";", "-z", codec, "-H", "h=1", "-X", "linger.ms=100")
		end := k.must("", "-Q", "-t", prefix+"-"+codec+":0:-1")
		if want := fmt.Sprintf("%s-%s [0] offset 50\n", prefix, codec); end != want {
			k.t.Errorf("the end of %s-%s: %q, expected %q", prefix, codec, end, want)
			continue
		}
		got["produce."+codec] = "ok records=50 last=49"
	}
	makeTopic(k.t, k.addr, prefix+"-small", 1, map[string]string{"max.message.bytes": "1000"})
	if _, err := k.do(strings.Repeat("y", 5000), "-P", "-t", prefix+"-small"); err != nil && strings.Contains(err.Error(), "Message size too large") {
		got["produce.too-large"] = "error 10"
	} else {
		got["produce.too-large"] = fmt.Sprintf("failed %v", err)
	}
}

// consume reads what produce sent, from its beginning, by offset and by timestamp.
func (k kcat) consume(got Transcript, prefix string) {
	records, wrong := 0, 0
	for _, codec := range codecNames() {
		out := k.must("", "-C", "-t", prefix+"-"+codec, "-o", "beginning", "-e", "-q", "-f", "%o %k %s %h\n")
		for line := range strings.Lines(out) {
			want := fmt.Sprintf("%d k-%d v-%s-%d-%s h=1\n", records%50, records%50, codec, records%50, strings.Repeat("x", 300))
			if line != want {
				wrong++
			}
			records++
		}
	}
	got["consume.beginning"] = fmt.Sprintf("ok records=%d wrong=%d", records, wrong)
	if out := k.must("", "-C", "-t", prefix+"-none", "-o", "47", "-e", "-q", "-f", "%o "); strings.TrimSpace(out) != "47 48 49" {
		k.t.Errorf("from offset 47: %q", out)
	}
	if out := k.must("", "-C", "-t", prefix+"-none", "-o", "-2", "-e", "-q", "-f", "%o "); strings.TrimSpace(out) != "48 49" {
		k.t.Errorf("the last two: %q", out)
	}
	if out := k.must("", "-C", "-t", prefix+"-none", "-o", "s@1000000000000", "-c", "1", "-q", "-f", "%o"); out != "0" {
		k.t.Errorf("from a timestamp before the first record: %q", out)
	}
	_, err := k.do("", "-C", "-t", prefix+"-none", "-o", "1000", "-e", "-q", "-X", "auto.offset.reset=error")
	if err != nil && strings.Contains(err.Error(), "out of range") {
		got["consume.out-of-range"] = "error 1"
	} else {
		got["consume.out-of-range"] = fmt.Sprintf("failed %v", err)
	}
	first, next := k.must("", "-Q", "-t", prefix+"-none:0:-2"), k.must("", "-Q", "-t", prefix+"-none:0:-1")
	got["offsets.ends"] = fmt.Sprintf("ok first=%s next=%s", lastWord(first), lastWord(next))
	var listed struct {
		Topics []struct {
			Topic      string
			Partitions []struct{ Partition, Leader int }
		}
	}
	if err := json.Unmarshal([]byte(k.must("", "-L", "-J", "-t", prefix+"-none")), &listed); err != nil || len(listed.Topics) != 1 || len(listed.Topics[0].Partitions) != 1 {
		k.t.Errorf("list: %v %+v", err, listed)
	}
}

// group reads a topic in a group twice: the second time there is nothing left, as the first committed.
func (k kcat) group(got Transcript, prefix string) {
	makeTopic(k.t, k.addr, prefix+"-group", 4, nil)
	var lines strings.Builder
	for i := range 40 {
		fmt.Fprintf(&lines, "k-%d;m-%d\n", i, i)
	}
	k.must(lines.String(), "-P", "-t", prefix+"-group", "-K", ";")
	once := k.must("", "-G", prefix+"-members", "-e", "-q", "-f", "%s\n", "-X", "auto.offset.reset=earliest", prefix+"-group")
	again := k.must("", "-G", prefix+"-members", "-e", "-q", "-f", "%s\n", "-X", "auto.offset.reset=earliest", prefix+"-group")
	got["group.records"] = fmt.Sprintf("ok records=%d twice=%d", strings.Count(once, "\n"), strings.Count(again, "\n"))
}

// rebalance lets two kcats share the partitions of a topic; each says on its standard error what it was given.
func (k kcat) rebalance(got Transcript, prefix string) {
	one := k.member(prefix+"-sharers", prefix+"-group")
	got["group.join"] = "ok partitions=" + one.settled(func() string { return strconv.Itoa(one.owned()) }, "4")
	two := k.member(prefix+"-sharers", prefix+"-group")
	both := func() string { return fmt.Sprintf("%d+%d", one.owned(), two.owned()) }
	got["group.share"] = "ok partitions=" + one.settled(both, "2+2")
	two.leave()
	got["group.leave"] = "ok partitions=" + one.settled(func() string { return strconv.Itoa(one.owned()) }, "4")
	// One that is killed says no goodbye: its partitions move when its session is over.
	killed := k.member(prefix+"-sharers", prefix+"-group")
	if shared := one.settled(func() string { return fmt.Sprintf("%d+%d", one.owned(), killed.owned()) }, "2+2"); shared != "2+2" {
		k.t.Errorf("with a third member: %s", shared)
	}
	_ = killed.cmd.Process.Kill()
	<-killed.ended
	if left := one.settled(func() string { return strconv.Itoa(one.owned()) }, "4"); left != "4" {
		k.t.Errorf("after a member was killed the other has %s partitions", left)
	}
	one.leave()
}

// kcatMember is a kcat in a group.
type kcatMember struct {
	t   *testing.T
	cmd *exec.Cmd

	mu struct {
		sync.Mutex
		partitions int
	}
	changed chan struct{}
	ended   chan struct{}
}

// member starts a kcat that stays in the group until it leaves.
func (k kcat) member(group, topic string) *kcatMember {
	k.t.Helper()
	m := &kcatMember{t: k.t, changed: make(chan struct{}, 1), ended: make(chan struct{})}
	m.cmd = exec.CommandContext(k.t.Context(), "kcat", "-b", k.addr, "-G", group, "-X", "heartbeat.interval.ms=200", "-X", "session.timeout.ms=6000", topic)
	errs, err := m.cmd.StderrPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	go func() {
		defer close(m.ended)
		for in := bufio.NewScanner(errs); in.Scan(); {
			if _, assigned, ok := strings.Cut(in.Text(), "assigned: "); ok {
				m.set(strings.Count(assigned, "["))
			} else if strings.Contains(in.Text(), "revoked: ") {
				m.set(0)
			}
		}
		_ = m.cmd.Wait()
	}()
	return m
}

func (m *kcatMember) set(partitions int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.partitions = partitions
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// owned is how many partitions it was given last.
func (m *kcatMember) owned() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.partitions
}

// settled waits until what is said of the group is as wanted, and says what it is in the end.
func (m *kcatMember) settled(now func() string, want string) string {
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for now() != want {
		select {
		case <-m.changed:
		case <-tick.C: // the other member has changed
		case <-limit.C:
			return now()
		}
	}
	return want
}

// leave ends kcat as ^C does.
func (m *kcatMember) leave() {
	_ = m.cmd.Process.Signal(os.Interrupt)
	<-m.ended
}

func lastWord(s string) string {
	words := strings.Fields(s)
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}

// makeTopic creates a topic for clients that cannot.
func makeTopic(t *testing.T, addr, topic string, partitions int32, configs map[string]string) {
	t.Helper()
	cl, err := kgo.NewClient(seeds(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	values := map[string]*string{}
	for k, v := range configs {
		values[k] = &v
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if r, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, -1, values, topic); err != nil || r.Err != nil {
		t.Fatalf("create %s: %v %v", topic, err, r.Err)
	}
}
