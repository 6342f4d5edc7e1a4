package group

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// rig steps a shard's state by hand, in the order the shard runtime does, on a log that is a slice.
type rig struct {
	now    time.Time
	config Config
	ids    counter
	st     *state
	log    []coordinator.Record
	refuse error // what the next appends fail with
	calls  []*namedCall
	out    []string
}

type namedCall struct {
	name string
	*call
	on func(result) // takes the answer instead of the script's output
}

// counter is randomness that counts, which gives member ids that people can read.
type counter uint64

func (c *counter) Read(b []byte) (int, error) {
	*c++
	clear(b)
	binary.BigEndian.PutUint64(b[len(b)-8:], uint64(*c))
	return len(b), nil
}

func newRig() *rig {
	r := &rig{now: time.UnixMilli(1_000_000), config: DefaultConfig()}
	r.st = r.fresh()
	r.st.Loaded(r.now)
	return r
}

func (r *rig) fresh() *state {
	return newState(func() Config { return r.config }, &r.ids, slog.New(slog.DiscardHandler))
}

// crash loses everything but the log.
func (r *rig) crash() {
	r.st.Abandon(model.NotCoordinator)
	r.collect()
	r.st = r.fresh()
	for _, rec := range r.log {
		if err := r.st.Replay(rec.Key, rec.Value); err != nil {
			r.say("replay: %v", err)
		}
	}
	r.st.Loaded(r.now)
}

func (r *rig) say(format string, args ...any) { r.out = append(r.out, fmt.Sprintf(format, args...)) }

// submit runs one request and notes every answer that comes of it.
func (r *rig) submit(name string, c *call, e coordinator.Event[*state]) {
	r.calls = append(r.calls, &namedCall{name: name, call: c})
	r.run(e.Step(r.st, r.now))
}

// send is submit for tests that take the answer themselves, now or later.
func (r *rig) send(c *call, e coordinator.Event[*state], on func(result)) {
	r.calls = append(r.calls, &namedCall{call: c, on: on})
	r.run(e.Step(r.st, r.now))
}

// run does what a step asks for, as coordinator.Step says.
func (r *rig) run(st coordinator.Step) {
	give := func(replies []coordinator.Reply, err error) {
		for _, p := range replies {
			p.Deliver(err)
		}
	}
	give(st.Now, nil)
	r.collect()
	var err error
	if len(st.Records) > 0 {
		err = r.refuse
	}
	if err == nil {
		for _, rec := range st.Records {
			r.log = append(r.log, rec)
			r.say("append %s", describeRecord(rec))
			if err := r.st.Replay(rec.Key, rec.Value); err != nil {
				r.say("replay: %v", err)
			}
		}
	}
	give(st.Replies, err)
	if st.Then != nil {
		give(st.Then(err), nil)
	}
	r.collect()
	r.check()
}

// advance lets time pass, alarm by alarm.
func (r *rig) advance(d time.Duration) {
	target := r.now.Add(d)
	for {
		at, ok := r.st.Next()
		if !ok || at.After(target) {
			break
		}
		if at.After(r.now) {
			r.now = at
		}
		r.run(r.st.Tick(r.now))
	}
	r.now = target
}

// collect notes the answers that have come.
func (r *rig) collect() {
	var rest, came []*namedCall
	var results []result
	for _, c := range r.calls {
		select {
		case res := <-c.done:
			came, results = append(came, c), append(results, res)
		default:
			rest = append(rest, c)
		}
	}
	r.calls = rest
	for i, c := range came {
		if c.on != nil {
			c.on(results[i])
			continue
		}
		r.say("%s: %s", c.name, describeResult(results[i]))
	}
}

// check holds the state to what its fields promise.
func (r *rig) check() {
	if len(r.st.groups) > 100 {
		return // a test of numbers, which this would make slow
	}
	for id, g := range r.st.groups {
		awaiting := 0
		for _, m := range g.order {
			if m.join != nil {
				awaiting++
			}
			if g.members[m.id] != m || m.instance != nil && g.instances[*m.instance] != m {
				r.say("BROKEN: %s: member %s is not where it belongs", id, m.id)
			}
		}
		_, led := g.members[g.leader]
		switch {
		case awaiting != g.awaiting:
			r.say("BROKEN: %s: %d await, counted %d", id, awaiting, g.awaiting)
		case len(g.members) != len(g.order) || len(g.instances) > len(g.order):
			r.say("BROKEN: %s: %d members, %d in order", id, len(g.members), len(g.order))
		case led != (len(g.members) > 0):
			r.say("BROKEN: %s: leader %q of %d members", id, g.leader, len(g.members))
		case g.phase == empty && len(g.members) > 0:
			r.say("BROKEN: %s: empty with %d members", id, len(g.members))
		case (g.phase == completing || g.phase == stable) && g.protocol == nil:
			r.say("BROKEN: %s: %v without a protocol", id, g.phase)
		case g.id != id:
			r.say("BROKEN: %s is kept as %s", g.id, id)
		}
	}
}

func describeRecord(rec coordinator.Record) string {
	var b strings.Builder
	switch keyType(rec.Key) {
	case commitKey:
		var k wire.OffsetCommitKey
		mustDecode(rec.Key, 1, &k)
		fmt.Fprintf(&b, "offset %s %s-%d", k.Group, k.Topic, k.Partition)
		if rec.Value == nil {
			return b.String() + " tombstone"
		}
		var v wire.OffsetCommitValue
		mustDecode(rec.Value, 4, &v)
		fmt.Fprintf(&b, " v%d %d", rec.Value[1], v.Offset)
		if v.LeaderEpoch >= 0 {
			fmt.Fprintf(&b, "@%d", v.LeaderEpoch)
		}
		if v.Metadata != "" {
			fmt.Fprintf(&b, " %q", v.Metadata)
		}
		if v.ExpireTimestamp >= 0 {
			fmt.Fprintf(&b, " expires=%d", v.ExpireTimestamp)
		}
	case metadataKey:
		var k wire.GroupMetadataKey
		mustDecode(rec.Key, 2, &k)
		fmt.Fprintf(&b, "group %s", k.Group)
		if rec.Value == nil {
			return b.String() + " tombstone"
		}
		var v wire.GroupMetadataValue
		mustDecode(rec.Value, 4, &v)
		fmt.Fprintf(&b, " v%d gen=%d type=%s", rec.Value[1], v.Generation, v.ProtocolType)
		if v.Protocol != nil {
			fmt.Fprintf(&b, " protocol=%s leader=%s", *v.Protocol, *v.Leader)
		}
		for _, m := range v.Members {
			fmt.Fprintf(&b, " %s=%s", m.MemberID, m.Assignment)
		}
	}
	return b.String()
}

func mustDecode(b []byte, newest int16, m wire.Body) {
	if err := new(state).decode(b, newest, m); err != nil {
		panic(err)
	}
}

func describeResult(res result) string {
	if res.err != nil {
		return "failed: " + res.err.Error()
	}
	switch v := res.body.(type) {
	case model.ErrorCode:
		return v.String()
	case *wire.JoinGroupResponse:
		return describeJoin(v)
	case *wire.SyncGroupResponse:
		if v.ErrorCode != model.None {
			return v.ErrorCode.String()
		}
		return fmt.Sprintf("assigned %s", v.Assignment)
	case *wire.LeaveGroupResponse:
		var b strings.Builder
		b.WriteString(v.ErrorCode.String())
		for _, m := range v.Members {
			who := m.MemberID
			if who == "" && m.GroupInstanceID != nil {
				who = *m.GroupInstanceID
			}
			fmt.Fprintf(&b, " %s=%v", who, m.ErrorCode)
		}
		return b.String()
	case *wire.OffsetCommitResponse:
		var parts []string
		for _, t := range v.Topics {
			for _, p := range t.Partitions {
				parts = append(parts, fmt.Sprintf("%s-%d=%v", t.Name, p.PartitionIndex, p.ErrorCode))
			}
		}
		return strings.Join(parts, " ")
	case *wire.OffsetFetchResponseGroup:
		return describeFetch(v)
	case *wire.OffsetDeleteResponse:
		parts := []string{v.ErrorCode.String()}
		for _, t := range v.Topics {
			for _, p := range t.Partitions {
				parts = append(parts, fmt.Sprintf("%s-%d=%v", t.Name, p.PartitionIndex, p.ErrorCode))
			}
		}
		return strings.Join(parts, " ")
	case *wire.DescribeGroupsResponseGroup:
		var b strings.Builder
		fmt.Fprintf(&b, "%v state=%s type=%s protocol=%s", v.ErrorCode, v.GroupState, v.ProtocolType, v.ProtocolData)
		for _, m := range v.Members {
			fmt.Fprintf(&b, " %s=%s", m.MemberID, m.MemberAssignment)
		}
		return b.String()
	case []wire.ListGroupsResponseGroup:
		var parts []string
		for _, g := range v {
			parts = append(parts, fmt.Sprintf("%s(%s,%s,%s)", g.GroupID, g.ProtocolType, g.GroupState, g.GroupType))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprintf("%T", res.body)
}

func describeJoin(v *wire.JoinGroupResponse) string {
	if v.ErrorCode != model.None {
		return fmt.Sprintf("%v member=%s", v.ErrorCode, v.MemberID)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "joined gen=%d protocol=%s leader=%s member=%s", v.GenerationID, *v.ProtocolName, v.Leader, v.MemberID)
	if v.SkipAssignment {
		b.WriteString(" skip-assignment")
	}
	if len(v.Members) > 0 {
		ids := make([]string, len(v.Members))
		for i, m := range v.Members {
			ids[i] = m.MemberID
		}
		fmt.Fprintf(&b, " members=%s", strings.Join(ids, ","))
	}
	return b.String()
}

func describeFetch(v *wire.OffsetFetchResponseGroup) string {
	parts := []string{}
	if v.ErrorCode != model.None {
		parts = append(parts, v.ErrorCode.String())
	}
	for _, t := range v.Topics {
		for _, p := range t.Partitions {
			s := fmt.Sprintf("%s-%d=%d", t.Name, p.PartitionIndex, p.CommittedOffset)
			if p.CommittedLeaderEpoch >= 0 {
				s += fmt.Sprintf("@%d", p.CommittedLeaderEpoch)
			}
			if *p.Metadata != "" {
				s += fmt.Sprintf("%q", *p.Metadata)
			}
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, " ")
}
