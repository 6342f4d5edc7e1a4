package group

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into the golden scripts, to be reviewed as a diff")

// TestScripts plays the scripts in testdata. A script is a story: blocks of commands, a line of dashes, and what they led to. A command
// is "verb name key=value ... words"; name says who asks. Member ids are written short: a-01 is the first id drawn, for client a.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("%s tells another story; go test -run TestScripts -rewrite, and read the diff. Got:\n%s", file, got)
			}
		})
	}
}

const rule = "----"

func play(t *testing.T, text string) string {
	r := newRig()
	var b strings.Builder
	expected := false // inside the part that is written anew
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case line == rule:
			expected = true
			b.WriteString(rule + "\n")
			for _, o := range r.out {
				b.WriteString(short(o) + "\n")
			}
			r.out = nil
		case strings.TrimSpace(line) == "":
			expected = false
			b.WriteString("\n")
		case expected:
		default:
			b.WriteString(line + "\n")
			if !strings.HasPrefix(line, "#") {
				if err := r.command(long(line)); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			}
		}
	}
	return b.String()
}

var (
	longID  = regexp.MustCompile(`-00000000-0000-4000-8000-0000000000([0-9a-f]{2})`)
	shortID = regexp.MustCompile(`\b([a-z]+)-([0-9a-f]{2})\b`)
)

func short(s string) string { return longID.ReplaceAllString(s, "-$1") }
func long(s string) string {
	return shortID.ReplaceAllString(s, "$1-00000000-0000-4000-8000-0000000000$2")
}

// words splits a command's arguments into settings and the rest.
func words(fields []string) (map[string]string, []string) {
	set, rest := map[string]string{}, []string{}
	for _, f := range fields {
		if k, v, ok := strings.Cut(f, "="); ok && !strings.ContainsAny(k, "-") {
			set[k] = v
		} else {
			rest = append(rest, f)
		}
	}
	return set, rest
}

func (r *rig) command(line string) error {
	fields := strings.Fields(line)
	verb, fields := fields[0], fields[1:]
	switch verb {
	case "tick":
		d, err := time.ParseDuration(fields[0])
		r.advance(d)
		return err
	case "crash":
		r.crash()
		return nil
	case "refuse-appends":
		code, ok := model.ErrorCodeByName(fields[0])
		if !ok {
			return fmt.Errorf("no such code")
		}
		r.refuse = code.Err()
		return nil
	case "config":
		set, _ := words(fields)
		return r.configure(set)
	case "delete-topic":
		r.run(r.st.topicsDeleted(r.now, []DeletedTopic{{Name: fields[0]}}))
		return nil
	case "show":
		r.show()
		return nil
	}
	name := fields[0]
	set, rest := words(fields[1:])
	if set["group"] == "" {
		set["group"] = "g"
	}
	return r.request(verb, name, set, rest)
}

func (r *rig) configure(set map[string]string) error {
	for k, v := range set {
		d, err := time.ParseDuration(v)
		switch k {
		case "delay":
			r.config.InitialRebalanceDelay = d
		case "retention":
			r.config.OffsetsRetention = d
		case "size":
			r.config.MaxSize, err = strconv.Atoi(v)
		case "metadata":
			r.config.OffsetMetadataMaxBytes, err = strconv.Atoi(v)
		default:
			return fmt.Errorf("no setting %q", k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *rig) request(verb, name string, set map[string]string, rest []string) error {
	c := newCall()
	switch verb {
	case "join":
		q, version := joinOf(set)
		r.submit(name, c, &joinRequest{call: c, client: Client{ID: name, Host: "/host"}, version: version, q: q})
	case "sync":
		r.submit(name, c, &syncRequest{call: c, q: syncOf(set)})
	case "heartbeat":
		q := &wire.HeartbeatRequest{GroupID: set["group"], GenerationID: int32(number(set, "gen", -1)), MemberID: set["member"], GroupInstanceID: optional(set, "instance")}
		r.submit(name, c, &heartbeatRequest{call: c, q: q})
	case "leave":
		q := &leaveRequest{call: c, group: set["group"]}
		for _, id := range rest {
			q.members = append(q.members, wire.LeaveGroupRequestMember{MemberID: id, GroupInstanceID: optional(set, "instance")})
		}
		if len(rest) == 0 {
			q.members = []wire.LeaveGroupRequestMember{{GroupInstanceID: optional(set, "instance")}}
		}
		r.submit(name, c, q)
	case "commit":
		r.submit(name, c, &commitRequest{call: c, version: int16(number(set, "version", 8)), q: commitOf(set, rest)})
	case "fetch":
		r.submit(name, c, &fetchRequest{call: c, q: fetchOf(set, rest)})
	case "delete":
		r.submit(name, c, &deleteRequest{c, set["group"]})
	case "delete-offsets":
		q := &wire.OffsetDeleteRequest{GroupID: set["group"]}
		for _, tp := range rest {
			topic, p, _ := partitionOf(tp)
			q.Topics = append(q.Topics, wire.OffsetDeleteRequestTopic{Name: topic, Partitions: []wire.OffsetDeleteRequestTopicPartition{{PartitionIndex: p}}})
		}
		r.submit(name, c, &deleteOffsetsRequest{c, q})
	case "describe":
		r.submit(name, c, &describeRequest{c, set["group"]})
	case "list":
		q := &wire.ListGroupsRequest{}
		if s := set["states"]; s != "" {
			q.StatesFilter = strings.Split(s, ",")
		}
		if s := set["types"]; s != "" {
			q.TypesFilter = strings.Split(s, ",")
		}
		r.submit(name, c, &listRequest{c, q})
	default:
		return fmt.Errorf("no command %q", verb)
	}
	return nil
}

func number(set map[string]string, key string, missing int64) int64 {
	if n, err := strconv.ParseInt(set[key], 10, 64); err == nil {
		return n
	}
	return missing
}

func optional(set map[string]string, key string) *string {
	if v, ok := set[key]; ok {
		return &v
	}
	return nil
}

func millis(set map[string]string, key string, missing time.Duration) int32 {
	if d, err := time.ParseDuration(set[key]); err == nil {
		missing = d
	}
	return int32(missing / time.Millisecond)
}

// joinOf reads protocols=range:t1+t2,sticky:t1 as names with the topics subscribed to.
func joinOf(set map[string]string) (*wire.JoinGroupRequest, int16) {
	q := wire.NewJoinGroupRequest()
	q.GroupID, q.MemberID, q.GroupInstanceID = set["group"], set["member"], optional(set, "instance")
	q.SessionTimeoutMs, q.RebalanceTimeoutMs = millis(set, "session", 10*time.Second), millis(set, "rebalance", time.Minute)
	q.ProtocolType = "consumer"
	if t, ok := set["type"]; ok {
		q.ProtocolType = t
	}
	protocols, ok := set["protocols"]
	if !ok {
		protocols = "range:t"
	}
	for _, p := range strings.Split(protocols, ",") {
		if p == "" {
			continue
		}
		name, topics, _ := strings.Cut(p, ":")
		sub := wire.NewConsumerProtocolSubscription()
		sub.Topics = strings.Split(topics, "+")
		q.Protocols = append(q.Protocols, wire.JoinGroupRequestProtocol{Name: name, Metadata: wire.AppendVersioned(nil, 3, &sub)})
	}
	return &q, int16(number(set, "version", 9))
}

// syncOf reads assign=a-01:x,b-02:y.
func syncOf(set map[string]string) *wire.SyncGroupRequest {
	q := &wire.SyncGroupRequest{
		GroupID: set["group"], GenerationID: int32(number(set, "gen", -1)), MemberID: set["member"], GroupInstanceID: optional(set, "instance"),
		ProtocolType: optional(set, "type"), ProtocolName: optional(set, "protocol"),
	}
	for _, a := range strings.Split(set["assign"], ",") {
		if id, what, ok := strings.Cut(a, ":"); ok {
			q.Assignments = append(q.Assignments, wire.SyncGroupRequestAssignment{MemberID: id, Assignment: []byte(what)})
		}
	}
	return q
}

// partitionOf reads t-0=value.
func partitionOf(s string) (topic string, partition int32, value string) {
	tp, value, _ := strings.Cut(s, "=")
	i := strings.LastIndex(tp, "-")
	n, _ := strconv.Atoi(tp[i+1:])
	return tp[:i], int32(n), value
}

// commitOf reads t-0=5 or t-0=5@epoch, with meta= for all.
func commitOf(set map[string]string, rest []string) *wire.OffsetCommitRequest {
	q := wire.NewOffsetCommitRequest()
	q.GroupID, q.MemberID, q.GroupInstanceID = set["group"], set["member"], optional(set, "instance")
	q.GenerationIDOrMemberEpoch = int32(number(set, "gen", -1))
	q.RetentionTimeMs = int64(millis(set, "retention", -time.Millisecond))
	for _, tp := range rest {
		topic, p, value := partitionOf(tp)
		part := wire.NewOffsetCommitRequestTopicPartition()
		offset, epoch, _ := strings.Cut(value, "@")
		part.PartitionIndex, part.CommittedMetadata = p, optional(set, "meta")
		part.CommittedOffset = number(map[string]string{"": offset}, "", 0)
		part.CommittedLeaderEpoch = int32(number(map[string]string{"": epoch}, "", -1))
		q.Topics = append(q.Topics, wire.OffsetCommitRequestTopic{Name: topic, TopicID: topicOf(set), Partitions: []wire.OffsetCommitRequestTopicPartition{part}})
	}
	return &q
}

// topicOf reads id=7 as the id of the topic's life.
func topicOf(set map[string]string) model.TopicID {
	return model.TopicID{15: byte(number(set, "id", 0))}
}

func fetchOf(set map[string]string, rest []string) *wire.OffsetFetchRequestGroup {
	q := &wire.OffsetFetchRequestGroup{GroupID: set["group"]}
	for _, tp := range rest {
		topic, p, _ := partitionOf(tp)
		q.Topics = append(q.Topics, wire.OffsetFetchRequestGroupTopic{Name: topic, TopicID: topicOf(set), PartitionIndexes: []int32{p}})
	}
	return q
}

// show prints what the groups look like inside.
func (r *rig) show() {
	if len(r.st.groups) == 0 {
		r.say("no groups")
	}
	for _, g := range r.st.sorted() {
		line := fmt.Sprintf("group %s %v gen=%d", g.id, g.phase, g.generation)
		if g.leader != "" {
			line += " leader=" + g.leader
		}
		for _, m := range g.order {
			line += fmt.Sprintf(" %s=%s", m.id, m.assignment)
			if m.join != nil {
				line += "(joining)"
			}
			if m.sync != nil {
				line += "(syncing)"
			}
		}
		if len(g.pending) > 0 {
			line += fmt.Sprintf(" pending=%d", len(g.pending))
		}
		r.say("%s", line)
	}
}
