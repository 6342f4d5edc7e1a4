package replication

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

func rewriting() bool {
	f := flag.Lookup("rewrite")
	return f != nil && f.Value.String() == "true"
}

func TestMain(m *testing.M) {
	flag.Bool("rewrite", false, "rewrite the golden scripts in testdata by what happens; read the diff")
	os.Exit(m.Run())
}

// TestScripts runs the protocol's stories in testdata. A block of commands is answered, behind "----", by what they brought about; the answer
// ends at an empty line.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(want))
			if rewriting() {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal([]byte(got), want) {
				t.Errorf("%s says something else now; run with -rewrite and read the diff. Now it is:\n%s", name, got)
			}
		})
	}
}

// machine is a state under a script, with the queue of acks=all appends that wait.
type machine struct {
	state
	now   time.Time
	waits ackQueue
	out   []string
}

func runScript(t *testing.T, script string) string {
	m := &machine{state: state{me: 1, leader: model.NoBroker, epoch: model.NoLeaderEpoch, partitionEpoch: -1, minISR: 1, lagTime: 30 * time.Second}, now: time.Unix(1000, 0)}
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimRight(script, "\n"), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		for line := range strings.SplitSeq(commands, "\n") {
			fmt.Fprintln(&out, line)
			if line == "" || line[0] == '#' {
				continue
			}
			m.run(t, line)
		}
		if len(m.out) > 0 || strings.Contains(block, "----") {
			fmt.Fprintln(&out, "----")
			for _, l := range m.out {
				fmt.Fprintln(&out, l)
			}
			m.out = nil
		}
		fmt.Fprintln(&out)
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

func (m *machine) say(format string, args ...any) {
	m.out = append(m.out, fmt.Sprintf(format, args...))
}

// args are a command's key=value words.
type args struct {
	t *testing.T
	m map[string]string
}

func (a args) num(key string, otherwise int64) int64 {
	s, ok := a.m[key]
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		a.t.Fatalf("%s=%s: %v", key, s, err)
	}
	return n
}

func (a args) ids(key string) (ids []model.BrokerID) {
	for s := range strings.SplitSeq(strings.Trim(a.m[key], "()"), ",") {
		if n, err := strconv.Atoi(s); err == nil {
			ids = append(ids, model.BrokerID(n))
		}
	}
	return ids
}

func (m *machine) run(t *testing.T, line string) {
	words := strings.Fields(line)
	a := args{t, map[string]string{}}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		a.m[k] = v
	}
	hw := m.hw
	switch words[0] {
	case "leader", "follower":
		m.become(words[0], a)
	case "append":
		m.append(a)
	case "synced":
		m.synced(model.Offset(a.num("end", 0)), m.now)
	case "fetch":
		m.fetch(a, false)
	case "report":
		m.fetch(a, true)
	case "tick":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			t.Fatal(err)
		}
		m.now = m.now.Add(d)
		m.sayProposal(m.tick(m.now))
		m.advance(m.now)
	case "isr-refused":
		m.isrRefused(m.now)
	case "replicated":
		m.replicated(model.Offset(a.num("end", 0)), model.Offset(a.num("leader-hw", 0)))
	case "state":
		m.say("%v epoch=%d isr=%v hw=%d end=%d acknowledged=%d", m.role, m.epoch, m.state.isr, m.hw, m.end, m.acknowledged())
	default:
		t.Fatalf("unknown command %q", line)
	}
	if m.hw != hw {
		m.say("hw=%d", m.hw)
	}
	m.wake()
	m.check()
}

// fetch is a follower's fetch from an offset, or its report, of which only what is synced counts: all of it unless that is said.
func (m *machine) fetch(a args, report bool) {
	offset := a.num("offset", 0)
	_, c := m.fetched(progress{
		id: model.BrokerID(a.num("from", 0)), epoch: model.BrokerEpoch(a.num("broker-epoch", -1)), read: model.Offset(offset),
		synced: model.Offset(a.num("synced", offset)), report: report,
	}, m.now)
	m.sayProposal(c)
}

// become is "leader" or "follower" with what the controller says.
func (m *machine) become(role string, a args) {
	p := &metadata.Partition{
		Leader: model.BrokerID(a.num("leader", 1)), LeaderEpoch: model.LeaderEpoch(a.num("epoch", int64(m.epoch))),
		PartitionEpoch: model.PartitionEpoch(a.num("version", int64(m.partitionEpoch)+1)), ISR: a.ids("isr"), Replicas: a.ids("replicas"),
	}
	if p.Replicas == nil {
		p.Replicas = m.replicas
	}
	if p.Replicas == nil {
		p.Replicas = p.ISR
	}
	if _, ok := a.m["end"]; ok {
		m.hw = model.Offset(a.num("hw", 0))
		m.logMoved(0, model.Offset(a.num("end", 0)), model.Offset(a.num("durable", a.num("end", 0))))
	}
	m.minISR = int(a.num("min-isr", int64(m.minISR)))
	if a.m["durability"] == "page-cache" {
		m.durability = commitlog.PageCache
	}
	if role == "leader" {
		if m.becomeLeader(p, m.now) {
			m.say("leader of epoch %d from offset %d", m.epoch, m.epochStart)
		}
		return
	}
	if m.becomeFollower(p) {
		m.say("follows %d in epoch %d", m.leader, m.epoch)
	}
}

func (m *machine) append(a args) {
	if a.num("acks", -1) == AcksAll && !m.enoughReplicas() {
		m.say("refused: not enough replicas")
		return
	}
	end := m.end + model.Offset(a.num("records", 1))
	m.appended(end, m.now)
	if a.num("acks", -1) == AcksAll && end > m.acknowledged() {
		m.waits.push(ackWait{offset: end})
	}
}

func (m *machine) sayProposal(c *ISRChange) {
	if c == nil {
		return
	}
	ids := make([]model.BrokerID, len(c.ISR))
	for i, b := range c.ISR {
		ids[i] = b.ID
	}
	m.say("propose-isr %v epoch=%d version=%d", ids, c.LeaderEpoch, c.PartitionEpoch)
}

func (m *machine) wake() {
	var w [10]ackWait
	for i := range m.waits.popUpTo(m.acknowledged(), w[:]) {
		if m.enoughReplicas() {
			m.say("wake produce offset=%d", w[i].offset)
		} else {
			m.say("wake produce offset=%d: not enough replicas after append", w[i].offset)
		}
	}
}
