package controller

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

var update = flag.Bool("update", false, "rewrite testdata with what the decisions give")

// TestScripts runs every testdata/*.txt: lines of commands, "----", what they answer and which records they propose.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("%s differs; go test -update rewrites it. Now:\n%s", name, got)
			}
		})
	}
}

// runScript keeps commands and comments and writes the results anew.
func runScript(t *testing.T, text string) string {
	s := newScript(t)
	var out strings.Builder
	for _, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		var answers strings.Builder
		for _, line := range strings.Split(commands, "\n") {
			out.WriteString(line + "\n")
			if line != "" && line[0] != '#' {
				s.command(&answers, line)
			}
		}
		if answers.Len() > 0 {
			out.WriteString("----\n" + answers.String())
		}
		out.WriteString("\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// script is a cluster that decisions are made for.
type script struct {
	t      testing.TB
	img    *metadata.Image
	c      *Controller // for what decisions take from it; its loop does not run
	random *rand.ChaCha8
	alive  map[model.BrokerID]bool
}

func newScript(t testing.TB) *script {
	static, _, err := config.Load(config.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, random: rand.NewChaCha8([32]byte{1}), alive: map[model.BrokerID]bool{}}
	s.c = &Controller{o: Options{Me: 1, Resolver: config.NewResolver(static, 1), Random: s.random}}
	s.img, _, err = metadata.Empty("cluster").Apply(1, metadata.BootstrapRecords())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// words are a command's arguments: bare ones and key=value.
type words struct {
	bare  []string
	named map[string]string
}

func parseWords(line string) words {
	w := words{named: map[string]string{}}
	for _, f := range strings.Fields(line) {
		if k, v, ok := strings.Cut(f, "="); ok {
			w.named[k] = v
		} else {
			w.bare = append(w.bare, f)
		}
	}
	return w
}

func (w words) at(i int) string {
	if i < len(w.bare) {
		return w.bare[i]
	}
	return ""
}

func (w words) has(word string) bool { return slices.Contains(w.bare, word) }

func (w words) number(name string, def int) int {
	if v, ok := w.named[name]; ok {
		n, _ := strconv.Atoi(v)
		return n
	}
	return def
}

func parseIDs(list string) []model.BrokerID {
	out := []model.BrokerID{}
	for _, f := range strings.Split(list, ",") {
		if n, err := strconv.Atoi(f); err == nil {
			out = append(out, model.BrokerID(n))
		}
	}
	return out
}

func parsePartition(s string) model.TopicPartition {
	i := strings.LastIndexByte(s, '-')
	n, _ := strconv.Atoi(s[i+1:])
	return model.TopicPartition{Topic: s[:i], Partition: int32(n)}
}

func (s *script) command(out *strings.Builder, line string) {
	w := parseWords(line)
	switch w.at(0) {
	case "cluster":
		s.cluster(w)
	case "create":
		s.create(out, w)
	case "delete":
		records, reply := deleteTopics(s.img, []Topic{{Name: w.at(1), ByName: true}})
		say(out, w.at(1), reply[0].Outcome)
		s.apply(out, records)
	case "grow":
		s.grow(out, w)
	case "elect":
		s.elect(out, w)
	case "reassign", "cancel":
		r := Reassign{TopicPartition: parsePartition(w.at(1)), Replicas: parseIDs(w.at(2)), Cancel: w.at(0) == "cancel"}
		records, reply := reassign(s.electorate(), &Reassignments{Partitions: []Reassign{r}, KeepReplicationFactor: w.has("keep")})
		say(out, w.at(1), reply[0].Outcome)
		s.apply(out, records)
	case "isr":
		s.isr(out, w)
	case "balance":
		records, _ := s.electorate().balance(w.number("at-most", 1000))
		s.apply(out, records)
	case "state": // what a leader would have reported: the ISR is what it is, not a decision
		s.state(w)
	case "set", "legacy":
		s.configure(out, w)
	case "feature":
		s.feature(out, w)
	case "describe":
		s.describe(out, w.at(1))
	default:
		s.brokerCommand(out, w)
	}
}

func (s *script) electorate() *electorate { return s.c.electorate(s.img) }

// apply proposes and commits records, and prints them unless out is nil.
func (s *script) apply(out *strings.Builder, records []metadata.Record) {
	s.t.Helper()
	names := s.img
	next, _, err := s.img.Apply(s.img.Offset+1, records)
	if err != nil {
		s.t.Fatalf("records do not fit: %v", err)
	}
	s.img = next
	if out == nil {
		return
	}
	for _, r := range records {
		fmt.Fprintf(out, "  %s\n", show(r, names, next))
	}
}

func (s *script) cluster(w words) {
	racks := strings.Split(w.named["racks"], ",")
	for i, id := range parseIDs(w.named["brokers"]) {
		rec := &metadata.RegisterBroker{BrokerID: int32(id), BrokerEpoch: int64(s.img.Offset) + 1, IncarnationID: model.UUID{byte(id)}, LogDirs: []model.UUID{{9, byte(id)}}}
		if i < len(racks) && racks[i] != "" {
			rec.Rack = &racks[i]
		}
		s.apply(nil, []metadata.Record{rec})
		s.alive[id] = true
	}
}

func (s *script) create(out *strings.Builder, w words) {
	t := CreateTopic{Name: w.at(1), Partitions: int32(w.number("partitions", -1)), ReplicationFactor: int16(w.number("rf", -1))}
	if assign, ok := w.named["assign"]; ok {
		for i, a := range strings.Split(assign, ";") {
			t.Assignments = append(t.Assignments, Assignment{Partition: int32(i), Brokers: parseIDs(a)})
		}
	}
	for _, kv := range w.bare[2:] {
		if k, v, ok := strings.Cut(kv, ":"); ok {
			t.Configs = append(t.Configs, ConfigValue{Name: k, Value: &v})
		}
	}
	records, reply := createTopics(s.img, &CreateTopics{Topics: []CreateTopic{t}}, topicDefaults{1, 1}, s.random)
	say(out, t.Name, reply[0].Outcome)
	if w.has("validate") {
		return
	}
	s.apply(out, records)
}

func (s *script) grow(out *strings.Builder, w words) {
	g := GrowTopic{Name: w.at(1), Count: int32(w.number("count", 0))}
	if assign, ok := w.named["assign"]; ok {
		g.Assigned = true
		for _, a := range strings.Split(assign, ";") {
			g.Assignments = append(g.Assignments, parseIDs(a))
		}
	}
	records, reply := createPartitions(s.img, []GrowTopic{g})
	say(out, g.Name, reply[0].Outcome)
	s.apply(out, records)
}

func (s *script) elect(out *strings.Builder, w words) {
	q := &ElectLeaders{Type: ElectPreferred}
	if w.at(1) == "unclean" {
		q.Type = ElectUnclean
	}
	for _, p := range w.bare[2:] {
		tp := parsePartition(p)
		q.Partitions = append(q.Partitions, TopicPartitions{Topic: tp.Topic, Partitions: []int32{tp.Partition}})
	}
	records, reply := electLeaders(s.electorate(), q)
	for _, r := range reply {
		say(out, r.TopicPartition.String(), r.Outcome)
	}
	s.apply(out, records)
}

// isr is a proposal of a partition's leader: by and with the current epochs, unless it says otherwise. "old" members have an older process.
func (s *script) isr(out *strings.Builder, w words) {
	tp := parsePartition(w.at(1))
	t := s.img.Topic(tp.Topic)
	p := &t.Partitions[tp.Partition]
	q := ProposedISR{
		TopicIDPartition: model.TopicIDPartition{ID: t.ID, Partition: tp.Partition},
		LeaderEpoch:      model.LeaderEpoch(w.number("epoch", int(p.LeaderEpoch))), PartitionEpoch: model.PartitionEpoch(w.number("version", int(p.PartitionEpoch))),
	}
	for _, id := range parseIDs(w.at(2)) {
		m := ISRMember{ID: id, Epoch: -1}
		if b := s.img.Broker(id); b != nil && id != p.Leader {
			m.Epoch = b.Epoch
		}
		if slices.Contains(parseIDs(w.named["old"]), id) {
			m.Epoch--
		}
		q.ISR = append(q.ISR, m)
	}
	records, reply := alterISR(s.electorate(), &AlterISR{Leader: model.BrokerID(w.number("by", int(p.Leader))), Partitions: []ProposedISR{q}})
	say(out, tp.String(), Outcome{Code: reply[0].Code})
	s.apply(out, records)
}

func (s *script) state(w words) {
	tp := parsePartition(w.at(1))
	rec := metadata.NewPartitionChange()
	rec.TopicID, rec.PartitionID = s.img.Topic(tp.Topic).ID, tp.Partition
	rec.ISR = metadata.IDs(parseIDs(w.named["isr"]))
	if elr, ok := w.named["elr"]; ok {
		rec.ELR = metadata.IDs(parseIDs(elr))
	}
	s.apply(nil, []metadata.Record{&rec})
}

func (s *script) configure(out *strings.Builder, w words) {
	kinds := map[string]model.ResourceType{"topic": model.ResourceTopic, "broker": model.ResourceBroker, "group": model.ResourceGroup, "metrics": model.ResourceClientMetrics}
	a := AlterConfig{Type: kinds[w.at(1)], Name: strings.Trim(w.at(2), `"`)}
	maker := configMaker(changedConfig)
	if w.at(0) == "legacy" {
		maker = replacedConfig
	}
	for _, f := range w.bare[3:] {
		op := map[byte]ConfigOp{'+': OpAppend, '-': OpSubtract, '!': OpDelete}[f[0]]
		f = strings.TrimLeft(f, "+-!")
		name, value, ok := strings.Cut(f, ":")
		change := ConfigChange{Name: name, Op: op}
		if ok {
			change.Value = &value
		}
		a.Ops = append(a.Ops, change)
	}
	records, reply := alterConfigs(s.img, s.c.o.Resolver, []AlterConfig{a}, maker)
	say(out, w.at(2), reply[0].Outcome)
	s.apply(out, records)
}

func (s *script) feature(out *strings.Builder, w words) {
	u := FeatureUpdate{Name: w.at(1), Level: int16(w.number("level", 0)), Type: Upgrade}
	if w.has("safe") {
		u.Type = SafeDowngrade
	}
	records, reply := updateFeatures(s.img, &UpdateFeatures{Updates: []FeatureUpdate{u}}, 1)
	say(out, u.Name, reply.Outcome)
	s.apply(out, records)
}

// brokerCommand is something a broker does or suffers.
func (s *script) brokerCommand(out *strings.Builder, w words) {
	n, _ := strconv.Atoi(w.at(1))
	id := model.BrokerID(n)
	b := s.img.Broker(id)
	switch w.at(0) {
	case "register":
		r := &Registration{ClusterID: "cluster", ID: id, Incarnation: model.UUID{byte(id), byte(s.img.Offset)}, PreviousEpoch: -1, Fenced: w.has("fenced")}
		for _, f := range metadata.SupportedFeatures() {
			r.Features = append(r.Features, metadata.FeatureRange{Name: f.Name, Min: f.Min, Max: f.Max})
		}
		if b != nil {
			if !w.has("unclean") {
				r.PreviousEpoch = b.Epoch
			}
			if r.Dirs = b.Dirs; w.has("wiped") {
				r.Dirs = []model.UUID{{8, byte(id), byte(s.img.Offset), byte(s.img.Offset >> 8)}}
			}
		}
		records, _, o := registerBroker(s.electorate(), r, func(id model.BrokerID) bool { return s.alive[id] })
		say(out, "broker "+w.at(1), o)
		s.apply(out, records)
	case "crash", "stop": // the process is gone; a crash is noticed by the end of the session
		s.alive[id] = false
		if w.at(0) == "crash" {
			s.apply(out, fence(s.electorate(), b))
		}
	case "heartbeat":
		records, r := heartbeat(s.electorate(), &Heartbeat{ID: id, Epoch: b.Epoch, WantFence: w.has("fence"), WantShutdown: w.has("shutdown"), Offset: s.img.Offset})
		fmt.Fprintf(out, "broker %d: fenced=%v caughtUp=%v mayStop=%v\n", id, r.Fenced, r.CaughtUp, r.MayStopNow)
		s.apply(out, records)
	case "unregister":
		records, o := unregisterBroker(s.electorate(), id, silent())
		say(out, "broker "+w.at(1), o)
		s.apply(out, records)
	default:
		s.t.Fatalf("unknown command %q", w.at(0))
	}
}

func (s *script) describe(out *strings.Builder, topic string) {
	t := s.img.Topic(topic)
	if t == nil {
		fmt.Fprintf(out, "%s: no such topic\n", topic)
		return
	}
	for i := range t.Partitions {
		p := &t.Partitions[i]
		fmt.Fprintf(out, "%s-%d leader=%d epoch=%d/%d replicas=%v isr=%v", topic, i, p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.Replicas, p.ISR)
		for _, l := range []struct {
			name string
			ids  []model.BrokerID
		}{{"elr", p.ELR}, {"lastKnown", p.LastKnownELR}, {"adding", p.Adding}, {"removing", p.Removing}} {
			if len(l.ids) > 0 {
				fmt.Fprintf(out, " %s=%v", l.name, l.ids)
			}
		}
		out.WriteString("\n")
	}
}

func say(out *strings.Builder, what string, o Outcome) {
	if o.OK() {
		fmt.Fprintf(out, "%s: ok\n", what)
		return
	}
	fmt.Fprintf(out, "%s: %s\n", what, o.Error())
}

// show prints a record in one line, ids as names.
func show(r metadata.Record, before, after *metadata.Image) string {
	name := func(id model.TopicID) string {
		for _, img := range []*metadata.Image{after, before} {
			if t := img.TopicByID(id); t != nil {
				return t.Name
			}
		}
		return "?"
	}
	switch r := r.(type) {
	case *metadata.TopicRecord:
		return "topic " + r.Name
	case *metadata.RemoveTopic:
		return "remove " + name(r.TopicID)
	case *metadata.PartitionRecord:
		return fmt.Sprintf("partition %s-%d replicas=%v isr=%v leader=%d", name(r.TopicID), r.PartitionID, r.Replicas, r.ISR, r.Leader)
	case *metadata.PartitionChange:
		return showChange(r, name(r.TopicID))
	case *metadata.ConfigRecord:
		if r.Value == nil {
			return fmt.Sprintf("config %q %s removed", r.ResourceName, r.Name)
		}
		return fmt.Sprintf("config %q %s=%s", r.ResourceName, r.Name, *r.Value)
	case *metadata.RegisterBroker:
		return fmt.Sprintf("register %d fenced=%v", r.BrokerID, r.Fenced)
	case *metadata.BrokerRegistrationChange:
		return fmt.Sprintf("broker %d fenced=%+d shutdown=%+d", r.BrokerID, r.Fenced, r.InControlledShutdown)
	case *metadata.UnregisterBroker:
		return fmt.Sprintf("unregister %d", r.BrokerID)
	case *metadata.FeatureLevel:
		return fmt.Sprintf("feature %s=%d", r.Name, r.Level)
	}
	return r.RecordType().String()
}

func showChange(r *metadata.PartitionChange, topic string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "change %s-%d", topic, r.PartitionID)
	if r.Leader != metadata.KeepLeader {
		fmt.Fprintf(&b, " leader=%d", r.Leader)
	}
	for _, l := range []struct {
		name string
		ids  []int32
	}{{"replicas", r.Replicas}, {"isr", r.ISR}, {"elr", r.ELR}, {"lastKnown", r.LastKnownELR}, {"adding", r.Adding}, {"removing", r.Removing}} {
		if l.ids != nil {
			fmt.Fprintf(&b, " %s=%v", l.name, l.ids)
		}
	}
	return b.String()
}
