package controller

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/event"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// What a decision has changed is told as events, once it is committed. They are read off the images before and after, so nothing that changes
// is forgotten; why it changed the decision says itself.

// cause is why a decision is made: a word for counting, and the rest of a sentence for people.
type cause struct {
	reason, text string
	brief        string // of what becomes of a broker, where text says more than that
	// lost is why each member left an ISR that its leader wants smaller.
	lost map[lostMember]cause
}

type lostMember struct {
	tp model.TopicIDPartition
	id model.BrokerID
}

// because notes why the decision that is being made is made. For use in decide alone.
func (c *Controller) because(reason, format string, args ...any) {
	c.why = cause{reason: reason, text: fmt.Sprintf(format, args...)}
}

// teller gathers the events of one change.
type teller struct {
	why    cause
	out    []event.Event
	groups map[group]*folded
	order  []group
}

// group is what happened to several partitions in the same way: it is told once.
type group struct {
	kind     event.Kind
	reason   string
	broker   model.BrokerID
	from, to model.BrokerID
}

// folded are the partitions of a group, the first few by name, and what is said before and after them.
type folded struct {
	before, after string
	first         []model.TopicPartition
	count         int
}

// namedPartitions is how many partitions an event names.
const namedPartitions = 5

// tell says what changed from one image to the next.
func tell(from, to *metadata.Image, d *metadata.Delta, why cause) []event.Event {
	t := &teller{why: why, groups: map[group]*folded{}}
	if d.Controller {
		t.add(event.Active, "elected", to.ActiveController().ID, "node %d is the active controller (term %d)", to.ActiveController().ID, to.ActiveController().Epoch)
	}
	for _, id := range d.Brokers {
		t.broker(from.Broker(id), to.Broker(id))
	}
	if d.Voters {
		t.voters(from.Voters(), to.Voters())
	}
	for i := range d.Topics {
		c := &d.Topics[i]
		if c.Old == nil || c.New == nil {
			continue
		}
		for _, p := range c.Partitions {
			if int(p) < len(c.Old.Partitions) {
				t.partition(c.New, p, &c.Old.Partitions[p], &c.New.Partitions[p])
			}
		}
	}
	t.unfold()
	return t.out
}

func (t *teller) add(kind event.Kind, reason string, broker model.BrokerID, format string, args ...any) {
	t.out = append(t.out, event.Event{Kind: kind, Reason: reason, Broker: broker, Partition: -1, Text: fmt.Sprintf(format, args...)})
}

// so is the reason as the end of a sentence.
func (c cause) so() string {
	if c.text == "" {
		return ""
	}
	return ": " + c.text
}

func (t *teller) broker(old, now *metadata.Broker) {
	switch {
	case now == nil:
		t.add(event.Unregistered, t.why.reason, old.ID, "broker %d unregistered", old.ID)
	case old == nil:
		t.add(event.Registered, "new", now.ID, "broker %d registered, at %s", now.ID, addressOf(now))
	case old.Epoch != now.Epoch:
		t.add(event.Registered, "restart", now.ID, "broker %d registered again, at %s: its process is new", now.ID, addressOf(now))
	case now.Fenced && !old.Fenced:
		t.add(event.Fenced, t.why.reason, now.ID, "broker %d fenced: %s", now.ID, t.why.brief)
	case old.Fenced && !now.Fenced:
		t.add(event.Unfenced, "caught up", now.ID, "broker %d takes part: it has caught up with the metadata", now.ID)
	case now.InControlledShutdown && !old.InControlledShutdown:
		t.add(event.Stopping, t.why.reason, now.ID, "broker %d is stopping", now.ID)
	}
	if old != nil && now != nil && len(now.Dirs) < len(old.Dirs) {
		t.add(event.DirOffline, "failed", now.ID, "%d of %d data directories of broker %d are offline", len(old.Dirs)-len(now.Dirs), len(old.Dirs), now.ID)
	}
}

func addressOf(b *metadata.Broker) string {
	if len(b.Endpoints) == 0 {
		return "no address"
	}
	return net.JoinHostPort(b.Endpoints[0].Host, fmt.Sprint(b.Endpoints[0].Port))
}

func (t *teller) voters(old, now []*metadata.Voter) {
	votes := func(list []*metadata.Voter, v *metadata.Voter) bool {
		return slices.ContainsFunc(list, func(x *metadata.Voter) bool { return keyOf(x) == keyOf(v) && !x.Learner })
	}
	for _, v := range now {
		if !v.Learner && !votes(old, v) {
			t.add(event.Voter, t.why.reason, v.NodeID, "node %d votes in the metadata quorum (directory %s)%s", v.NodeID, v.DirectoryID, t.why.so())
		}
	}
	for _, v := range old {
		if !v.Learner && !votes(now, v) {
			t.add(event.NoVoter, t.why.reason, v.NodeID, "node %d votes no more in the metadata quorum (directory %s)%s", v.NodeID, v.DirectoryID, t.why.so())
		}
	}
}

func (t *teller) partition(topic *metadata.Topic, index int32, old, now *metadata.Partition) {
	tp := model.TopicPartition{Topic: topic.Name, Partition: index}
	if old.Leader != now.Leader {
		t.leader(tp, old, now)
	}
	for _, id := range old.ISR {
		if slices.Contains(now.ISR, id) || !slices.Contains(now.Replicas, id) {
			continue
		}
		why := t.why
		if lost, ok := t.why.lost[lostMember{model.TopicIDPartition{ID: topic.ID, Partition: index}, id}]; ok {
			why = lost
		}
		t.fold(tp, group{kind: event.Left, reason: why.reason, broker: id}, func() (string, string) {
			return fmt.Sprintf("broker %d left the ISR of ", id), why.so()
		})
	}
	for _, id := range now.ISR {
		if !slices.Contains(old.ISR, id) && now.Leader != id {
			t.fold(tp, group{kind: event.Entered, reason: "caught up", broker: id}, func() (string, string) {
				return fmt.Sprintf("broker %d entered the ISR of ", id), ": it has caught up"
			})
		}
	}
	g := group{kind: event.MoveEnded, broker: model.NoBroker}
	switch {
	case now.Reassigning() && !slices.Equal(old.Adding, now.Adding):
		g.kind, g.reason = event.MoveBegun, t.why.reason
		t.fold(tp, g, func() (string, string) { return "reassignment begun of ", "" })
	case old.Reassigning() && !now.Reassigning() && len(without(old.Adding, now.Replicas...)) > 0:
		g.reason = "cancelled"
		t.fold(tp, g, func() (string, string) { return "reassignment cancelled of ", "" })
	case !now.Reassigning() && (old.Reassigning() || !slices.Equal(old.Replicas, now.Replicas)): // taking replicas away takes no time
		g.reason = "done"
		t.fold(tp, g, func() (string, string) { return "reassignment done of ", "" })
	}
}

func (t *teller) leader(tp model.TopicPartition, old, now *metadata.Partition) {
	g := group{kind: event.Leader, reason: t.why.reason, broker: now.Leader, from: old.Leader, to: now.Leader}
	before, after := fmt.Sprintf, t.why.so()
	switch {
	case now.Leader == model.NoBroker:
		g.kind, g.broker = event.Leaderless, old.Leader
		t.fold(tp, g, func() (string, string) { return before("no leader, after broker %d, for ", old.Leader), after })
	case slices.Contains(old.Replicas, now.Leader) && !slices.Contains(old.ISR, now.Leader) && !slices.Contains(old.ELR, now.Leader):
		g.kind = event.Unclean
		t.fold(tp, g, func() (string, string) {
			return before("unclean election of broker %d, which may lack acknowledged records, for ", now.Leader), after
		})
	case old.Leader == model.NoBroker:
		t.fold(tp, g, func() (string, string) { return before("leader again, broker %d, for ", now.Leader), after })
	default:
		t.fold(tp, g, func() (string, string) {
			return before("leader moved from %d to %d for ", old.Leader, now.Leader), after
		})
	}
}

// fold adds a partition to its group. say is asked once per group: what it says must not depend on the partition.
func (t *teller) fold(tp model.TopicPartition, g group, say func() (before, after string)) {
	f := t.groups[g]
	if f == nil {
		f = &folded{}
		f.before, f.after = say()
		t.groups[g], t.order = f, append(t.order, g)
	}
	if f.count++; len(f.first) < namedPartitions {
		f.first = append(f.first, tp)
	}
}

func (t *teller) unfold() {
	for _, g := range t.order {
		f := t.groups[g]
		var names []string
		for _, tp := range f.first {
			names = append(names, fmt.Sprintf("%s-%d", tp.Topic, tp.Partition))
		}
		text := f.before + strings.Join(names, ", ")
		if more := f.count - len(names); more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		t.out = append(t.out, event.Event{
			Kind: g.kind, Reason: g.reason, Broker: g.broker, Topic: f.first[0].Topic, Partition: f.first[0].Partition, Text: text + f.after,
		})
	}
}

// lostCauses says why a leader wants members out of its ISRs.
func lostCauses(q *AlterISR) map[lostMember]cause {
	out := map[lostMember]cause{}
	for i := range q.Partitions {
		p := &q.Partitions[i]
		for _, l := range p.Lost {
			c := cause{reason: "slow", text: fmt.Sprintf("%d records behind its leader for %s", l.Records, round(l.Behind))}
			if 2*l.Silent > l.Behind {
				c = cause{reason: "silent", text: "no fetch for " + round(l.Silent).String()}
			}
			out[lostMember{p.TopicIDPartition, l.ID}] = c
		}
	}
	return out
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
