package group

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

var (
	modelSeed  = flag.Uint64("seed", 0, "run TestModel with this seed only")
	modelRuns  = flag.Int("runs", 300, "how many seeds TestModel tries")
	modelSteps = flag.Int("steps", 400, "how many steps each of them takes")
)

// TestModel lets clients join, leave, crash and commit in any order, while time passes, the log refuses appends and the coordinator
// crashes, and holds the shard to the invariants of docs: G1 offsets are what was acknowledged last, G2 only current members commit,
// G3 no partition has two owners in a generation, G4 what was handed out survives crashes, G5 at the end everybody gets a share.
func TestModel(t *testing.T) {
	if *modelSeed != 0 {
		runModel(t, *modelSeed)
		return
	}
	for seed := uint64(1); seed <= uint64(*modelRuns) && !t.Failed(); seed++ {
		runModel(t, seed)
	}
}

const modelPartitions = 7

// world is one run.
type world struct {
	*rig
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	clients []*modelClient
	zombies []*modelClient // former selves of crashed clients, which still send
	// offsets are those acknowledged last.
	offsets map[int32]int64
	// shares is what was handed out in each generation: who got a partition. Member ids of one static instance count as one.
	shares map[int32]map[string]string
	trace  []string
}

// modelClient is a consumer as Kafka's clients are.
type modelClient struct {
	w        *world
	name     string
	instance *string
	version  int16

	life     int // grows with every crash and leave: answers to former lives reach nobody
	memberID string
	gen      int32
	phase    string // out, join, joining, sync, syncing, in, dead
	leader   bool
	members  []string
	share    []string
}

func runModel(t *testing.T, seed uint64) {
	w := &world{rig: newRig(), t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), offsets: map[int32]int64{}, shares: map[int32]map[string]string{}}
	w.config.InitialRebalanceDelay = time.Duration(w.rng.IntN(3)) * time.Second
	for i := range 2 + w.rng.IntN(5) {
		c := &modelClient{w: w, name: string(rune('a' + i)), phase: "out", version: int16([]int{0, 3, 4, 5, 8, 9}[w.rng.IntN(6)])}
		if w.rng.IntN(3) == 0 {
			c.instance, c.version = &c.name, max(c.version, 5)
		}
		w.clients = append(w.clients, c)
	}
	for range *modelSteps {
		w.random()
		w.verify()
		if t.Failed() {
			return
		}
	}
	w.heal()
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	tail := w.trace[max(0, len(w.trace)-60):]
	w.t.Errorf("seed %d: %s\nreplay: go test ./internal/coordinator/group -run TestModel -seed %d\n%s", w.seed, fmt.Sprintf(format, args...), w.seed, strings.Join(tail, "\n"))
}

func (w *world) random() {
	c := w.clients[w.rng.IntN(len(w.clients))]
	switch p := w.rng.IntN(100); {
	case p < 55:
		c.act()
	case p < 70:
		c.commit()
	case p < 80:
		d := time.Duration(w.rng.IntN(4000)) * time.Millisecond
		if w.rng.IntN(10) == 0 {
			d *= 5
		}
		w.note("tick %v", d)
		w.advance(d)
	case p < 86:
		c.crash()
	case p < 89:
		c.leave()
	case p < 93 && len(w.zombies) > 0:
		z := w.zombies[w.rng.IntN(len(w.zombies))]
		z.commit()
		z.heartbeat()
	case p < 95:
		w.note("refuse appends")
		w.refuse = model.NotEnoughReplicas
	case p < 98:
		w.refuse = nil
	default:
		w.note("coordinator crashes")
		w.rig.crash()
	}
}

// act does the next thing the client's protocol asks for.
func (c *modelClient) act() {
	switch c.phase {
	case "out":
		c.phase = "join"
	case "join":
		c.join()
	case "sync":
		c.sync()
	case "in":
		c.heartbeat()
	}
}

func (c *modelClient) join() {
	set := map[string]string{"group": "g", "member": c.memberID, "version": strconv.Itoa(int(c.version))}
	if c.w.rng.IntN(3) == 0 {
		set["protocols"] = "range:t,other:t"
	}
	if c.instance != nil {
		set["instance"] = *c.instance
	}
	q, version := joinOf(set)
	c.phase = "joining"
	life := c.life
	k := newCall()
	c.w.note("%s joins as %q", c.name, c.memberID)
	c.w.send(k, &joinRequest{call: k, client: Client{ID: c.name}, version: version, q: q}, func(res result) {
		if c.life == life {
			c.joined(res)
		}
	})
}

func (c *modelClient) joined(res result) {
	if res.err != nil {
		c.phase = "join"
		return
	}
	resp := res.body.(*wire.JoinGroupResponse)
	c.w.note("%s: %s", c.name, describeJoin(resp))
	switch resp.ErrorCode {
	case model.None:
		c.memberID, c.gen, c.leader, c.phase = resp.MemberID, resp.GenerationID, resp.Leader == resp.MemberID && !resp.SkipAssignment, "sync"
		c.members = nil
		for _, m := range resp.Members {
			c.members = append(c.members, m.MemberID)
		}
	case model.MemberIDRequired:
		c.memberID, c.phase = resp.MemberID, "join"
	default:
		c.react(resp.ErrorCode)
	}
}

// react does what Kafka's consumer does upon an error.
func (c *modelClient) react(code model.ErrorCode) {
	c.share = nil
	switch code {
	case model.UnknownMemberID:
		c.memberID, c.phase = "", "join"
	case model.FencedInstanceID:
		// The newest client of an instance must never be fenced, as long as nobody else comes with it.
		c.w.fail("%s, as %s, is fenced", c.name, c.memberID)
	default:
		c.phase = "join"
	}
}

// sync hands in an assignment, when this is the leader: every partition to one member.
func (c *modelClient) sync() {
	set := map[string]string{"group": "g", "member": c.memberID, "gen": strconv.Itoa(int(c.gen))}
	if c.instance != nil {
		set["instance"] = *c.instance
	}
	q := syncOf(set)
	if c.leader {
		parts := map[string][]string{}
		for p := range modelPartitions {
			m := c.members[c.w.rng.IntN(len(c.members))]
			parts[m] = append(parts[m], strconv.Itoa(p))
		}
		for _, m := range c.members {
			q.Assignments = append(q.Assignments, wire.SyncGroupRequestAssignment{MemberID: m, Assignment: []byte(strings.Join(parts[m], ","))})
		}
	}
	c.phase = "syncing"
	life := c.life
	k := newCall()
	c.w.note("%s syncs as %q gen %d", c.name, c.memberID, c.gen)
	c.w.send(k, &syncRequest{call: k, q: q}, func(res result) {
		if c.life == life {
			c.synced(res)
		}
	})
}

func (c *modelClient) synced(res result) {
	if res.err != nil {
		c.phase = "join"
		return
	}
	resp := res.body.(*wire.SyncGroupResponse)
	c.w.note("%s: %s", c.name, describeResult(res))
	if resp.ErrorCode != model.None {
		c.react(resp.ErrorCode)
		return
	}
	c.phase, c.share = "in", nil
	if len(resp.Assignment) > 0 {
		c.share = strings.Split(string(resp.Assignment), ",")
	}
	owners := c.w.shares[c.gen]
	if owners == nil {
		owners = map[string]string{}
		c.w.shares[c.gen] = owners
	}
	who := c.memberID
	if c.instance != nil {
		who = "instance " + *c.instance
	}
	for _, p := range c.share {
		if other, taken := owners[p]; taken && other != who {
			c.w.fail("G3: in generation %d partition %s belongs to %s and to %s", c.gen, p, other, who)
		}
		owners[p] = who
	}
}

func (c *modelClient) heartbeat() {
	k := newCall()
	q := &wire.HeartbeatRequest{GroupID: "g", GenerationID: c.gen, MemberID: c.memberID, GroupInstanceID: c.instance}
	c.w.send(k, &heartbeatRequest{call: k, q: q}, func(res result) {
		if code, _ := res.body.(model.ErrorCode); c.phase == "in" && code != model.None {
			c.w.note("%s hears %v", c.name, code)
			c.react(code)
		}
	})
}

// commit commits some partition, sometimes one that is not the client's and sometimes an older offset.
func (c *modelClient) commit() {
	if c.memberID == "" {
		return
	}
	p, offset := int32(c.w.rng.IntN(modelPartitions)), int64(c.w.rng.IntN(1000))
	q := wire.NewOffsetCommitRequest()
	q.GroupID, q.MemberID, q.GroupInstanceID, q.GenerationIDOrMemberEpoch = "g", c.memberID, c.instance, c.gen
	part := wire.NewOffsetCommitRequestTopicPartition()
	part.PartitionIndex, part.CommittedOffset = p, offset
	q.Topics = []wire.OffsetCommitRequestTopic{{Name: "t", Partitions: []wire.OffsetCommitRequestTopicPartition{part}}}
	g := c.w.st.find("g")
	may := false
	if g != nil {
		m := g.members[c.memberID]
		may = m != nil && g.generation == c.gen && g.phase != completing && g.phase != empty
	}
	k := newCall()
	c.w.send(k, &commitRequest{call: k, version: 9, q: &q}, func(res result) {
		if res.err != nil {
			return
		}
		code := res.body.(*wire.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
		c.w.note("%s commits %d=%d as %s gen %d: %v", c.name, p, offset, c.memberID, c.gen, code)
		if code == model.None {
			c.w.offsets[p] = offset
			if !may {
				c.w.fail("G2: %s committed as %s in generation %d", c.name, c.memberID, c.gen)
			}
		} else if c.phase == "in" {
			c.react(code)
		}
	})
}

// crash forgets everything but the instance. Requests on their way still arrive: a zombie remembers.
func (c *modelClient) crash() {
	if c.phase == "out" {
		return
	}
	c.w.note("%s crashes", c.name)
	z := *c
	z.name, z.phase = "zombie of "+c.name, "dead"
	c.w.zombies = append(c.w.zombies, &z)
	c.life++
	c.memberID, c.gen, c.phase, c.share = "", 0, "out", nil
}

func (c *modelClient) leave() {
	if c.memberID == "" || c.instance != nil {
		return // static members do not leave
	}
	c.w.note("%s leaves", c.name)
	k := newCall()
	r := &leaveRequest{call: k, group: "g", members: []wire.LeaveGroupRequestMember{{MemberID: c.memberID, GroupInstanceID: c.instance}}}
	c.life++
	c.memberID, c.gen, c.phase, c.share = "", 0, "out", nil
	c.w.send(k, r, func(result) {})
}

// verify looks at the shard from outside after every step.
func (w *world) verify() {
	for _, line := range w.out {
		if strings.HasPrefix(line, "BROKEN") || strings.HasPrefix(line, "replay") {
			w.fail("%s", line)
		}
	}
	w.out = w.out[:0]
	if w.st.find("g") == nil {
		clear(w.shares) // the group's life is over; the next one counts generations anew
	}
	k := newCall()
	w.send(k, &fetchRequest{call: k, q: &wire.OffsetFetchRequestGroup{GroupID: "g"}}, func(res result) {
		got := map[int32]int64{}
		for _, t := range res.body.(*wire.OffsetFetchResponseGroup).Topics {
			for _, p := range t.Partitions {
				got[p.PartitionIndex] = p.CommittedOffset
			}
		}
		for p := range int32(modelPartitions) {
			want, ok := w.offsets[p]
			have, is := got[p]
			if ok != is || want != have {
				w.fail("G1: partition %d is at %d (%v), acknowledged %d (%v)", p, have, is, want, ok)
			}
		}
	})
}

// heal ends all faults and lets every client go on: within two session timeouts and a rebalance, all must be in one generation that
// hands out every partition once.
func (w *world) heal() {
	w.refuse = nil
	w.note("heal")
	for range 90 {
		for _, c := range w.clients {
			for range 3 {
				c.act()
			}
		}
		w.advance(time.Second)
		w.verify()
		if w.t.Failed() {
			return
		}
	}
	var shares []string
	for _, c := range w.clients {
		if c.phase != "in" || c.gen != w.clients[0].gen {
			w.fail("G5: %s is %s in generation %d after everything was well for long", c.name, c.phase, c.gen)
			return
		}
		shares = append(shares, c.share...)
	}
	slices.Sort(shares)
	if len(shares) != modelPartitions || len(slices.Compact(shares)) != modelPartitions {
		w.fail("G5: the shares are %v", shares)
	}
}
