package controller

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// TestPartitionsLiveThroughAnything does random things to a small cluster and holds every decision against what must always be so. Set
// KLAMM_TEST_SEED to repeat a life.
func TestPartitionsLiveThroughAnything(t *testing.T) {
	lives, first := 150, rand.Uint64()
	if s := os.Getenv("KLAMM_TEST_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		lives, first = 1, n
	}
	var seen sightings
	for i := range lives {
		seed := first + uint64(i)
		if err := newLife(t, seed).run(200, &seen); err != nil {
			t.Fatalf("KLAMM_TEST_SEED=%d: %v", seed, err)
		}
	}
	if lives > 1 {
		seen.check(t)
	}
}

// sightings count the states worth reaching: a test that never gets there proves nothing.
type sightings struct{ finished, cancelled, waitedBack, fromELR, leaderless, refused, lossy int }

func (s *sightings) check(t *testing.T) {
	for _, x := range []struct {
		what string
		n    int
	}{
		{"reassignment finished", s.finished}, {"reassignment cancelled", s.cancelled}, {"cancelling waited", s.waitedBack}, {"elected from the ELR", s.fromELR},
		{"no leader", s.leaderless}, {"ISR refused", s.refused}, {"came back with less", s.lossy},
	} {
		if x.n == 0 {
			t.Errorf("never: %s", x.what)
		}
	}
}

// life is a cluster with two topics, and for every partition a model of who has what is committed.
type life struct {
	*script
	rng   *rand.Rand
	had   map[model.TopicPartition]map[model.BrokerID]bool // who has every committed record
	fresh map[model.BrokerID]bool                          // processes that are up, as far as the world knows
	story []string
}

const lifeBrokers = 5

func newLife(t *testing.T, seed uint64) *life {
	l := &life{script: newScript(t), rng: rand.New(rand.NewPCG(seed, 1)), had: map[model.TopicPartition]map[model.BrokerID]bool{}, fresh: map[model.BrokerID]bool{}}
	var out strings.Builder
	l.command(&out, "cluster brokers=1,2,3,4,5")
	l.command(&out, "create fsynced assign=1,2,3;4,5,1 min.insync.replicas:2")
	l.command(&out, "create cached assign=3,4,5;1,2,3 min.insync.replicas:2 log.durability:page-cache")
	for id := model.BrokerID(1); id <= lifeBrokers; id++ {
		l.fresh[id] = true
	}
	l.commit()
	return l
}

// commit lets every partition commit a record where it may: who is not in the ISR lacks it from then on.
func (l *life) commit() {
	l.each(func(tp model.TopicPartition, p *metadata.Partition) {
		if p.Leader == model.NoBroker || !l.fresh[p.Leader] || len(p.ISR) < min(2, len(p.Replicas)) {
			return
		}
		for _, id := range p.ISR {
			if !l.fresh[id] {
				return // the high watermark waits for it
			}
		}
		had := map[model.BrokerID]bool{}
		for _, id := range p.ISR {
			had[id] = true
		}
		l.had[tp] = had
	})
}

func (l *life) each(f func(model.TopicPartition, *metadata.Partition)) {
	for t := range l.img.Topics() {
		for i := range t.Partitions {
			f(model.TopicPartition{Topic: t.Name, Partition: int32(i)}, &t.Partitions[i])
		}
	}
}

func (l *life) run(steps int, seen *sightings) error {
	for range steps {
		before := l.img
		what := l.step(seen)
		l.story = append(l.story, what)
		if err := l.holds(before, what); err != nil {
			return err
		}
		l.each(func(tp model.TopicPartition, p *metadata.Partition) { l.look(before, tp, p, what, seen) })
		if l.rng.IntN(2) == 0 {
			l.commit()
		}
	}
	return nil
}

func (l *life) look(before *metadata.Image, tp model.TopicPartition, p *metadata.Partition, what string, seen *sightings) {
	old := &before.Topic(tp.Topic).Partitions[tp.Partition]
	switch {
	case p.Leader == model.NoBroker:
		seen.leaderless++
	case slices.Contains(old.ELR, p.Leader):
		seen.fromELR++
	}
	if old.Reassigning() && !p.Reassigning() {
		if strings.HasPrefix(what, "cancel") {
			seen.cancelled++
		} else {
			seen.finished++
		}
	}
	if strings.HasPrefix(what, "cancel "+tp.String()) && old.Reassigning() && p.Reassigning() {
		seen.waitedBack++
	}
}

// step does one thing and says what.
func (l *life) step(seen *sightings) string {
	var out strings.Builder
	id := model.BrokerID(1 + l.rng.IntN(lifeBrokers))
	tp := []model.TopicPartition{{Topic: "fsynced"}, {Topic: "fsynced", Partition: 1}, {Topic: "cached"}, {Topic: "cached", Partition: 1}}[l.rng.IntN(4)]
	b := l.img.Broker(id)
	line := ""
	switch k := l.rng.IntN(20); {
	case k < 2 && l.fresh[id]:
		l.fresh[id] = false
		line = fmt.Sprintf("stop %d", id)
	case k < 4 && !l.fresh[id] && !b.Fenced:
		line = fmt.Sprintf("crash %d", id)
	case k < 7 && !l.fresh[id]:
		line = l.comeBack(id, seen)
	case k < 9 && l.fresh[id]:
		line = fmt.Sprintf("heartbeat %d", id)
	case k == 9 && l.fresh[id]:
		line = fmt.Sprintf("heartbeat %d shutdown", id)
	case k < 16:
		line = l.propose(tp)
	case k == 16:
		line = "reassign " + tp.String() + " " + l.someBrokers()
	case k == 17:
		line = "cancel " + tp.String()
	case k == 18:
		line = "balance"
	case k == 19:
		line = "elect preferred " + tp.String()
	}
	if line == "" {
		return "nothing"
	}
	l.command(&out, line)
	if strings.Contains(out.String(), "INELIGIBLE") {
		seen.refused++
	}
	return line + "\n" + out.String()
}

// comeBack starts a broker again, in one of the ways that can go. What it loses is what its topics do not protect.
func (l *life) comeBack(id model.BrokerID, seen *sightings) string {
	l.fresh[id], l.alive[id] = true, false
	how := []string{"", " unclean", " unclean", " wiped"}[l.rng.IntN(4)]
	if how != "" {
		for tp, had := range l.had {
			if had[id] && (how == " wiped" || tp.Topic == "cached") {
				delete(had, id)
				seen.lossy++
			}
			// Whom the cluster trusted lost it all. Whoever else happens to have it cannot be known to.
			p := &l.img.Topic(tp.Topic).Partitions[tp.Partition]
			if !slices.ContainsFunc(slices.Concat(p.ISR, p.ELR), func(id model.BrokerID) bool { return had[id] }) {
				delete(l.had, tp)
			}
		}
	}
	return fmt.Sprintf("register %d fenced%s", id, how)
}

// propose is a leader's change of its ISR: whom it lost, or who has caught up.
func (l *life) propose(tp model.TopicPartition) string {
	p := &l.img.Topic(tp.Topic).Partitions[tp.Partition]
	if p.Leader == model.NoBroker || !l.fresh[p.Leader] {
		return ""
	}
	isr := slices.Clone(p.ISR)
	other := p.Replicas[l.rng.IntN(len(p.Replicas))]
	switch {
	case other == p.Leader:
		return ""
	case slices.Contains(isr, other):
		isr = without(isr, other)
	case l.fresh[other]:
		isr = append(isr, other)
		l.catchUp(tp, p.Leader, other)
	default:
		return ""
	}
	return "isr " + tp.String() + " " + list(isr)
}

// catchUp copies what the leader has.
func (l *life) catchUp(tp model.TopicPartition, leader, to model.BrokerID) {
	if had := l.had[tp]; had != nil && had[leader] {
		had[to] = true
	}
}

func (l *life) someBrokers() string {
	ids := []model.BrokerID{1, 2, 3, 4, 5}
	l.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return list(ids[:1+l.rng.IntN(4)])
}

func list(ids []model.BrokerID) string {
	var s []string
	for _, id := range ids {
		s = append(s, strconv.Itoa(int(id)))
	}
	return strings.Join(s, ",")
}

// holds checks what must be so after every step.
func (l *life) holds(before *metadata.Image, what string) (err error) {
	l.each(func(tp model.TopicPartition, p *metadata.Partition) {
		old := &before.Topic(tp.Topic).Partitions[tp.Partition]
		fail := func(why string) {
			if err == nil {
				story := l.story[max(0, len(l.story)-80):]
				err = fmt.Errorf("%v: %s\nbefore: %+v\nafter:  %+v\nby what came last:\n%s", tp, why, *old, *p, strings.Join(story, "\n"))
			}
		}
		l.holdsOne(tp, old, p, what, fail)
	})
	return err
}

func (l *life) holdsOne(tp model.TopicPartition, old, p *metadata.Partition, what string, fail func(string)) {
	changed := fmt.Sprint(*old) != fmt.Sprint(*p)
	switch {
	case p.Leader != model.NoBroker && !slices.Contains(p.ISR, p.Leader):
		fail("the leader is not in the ISR")
	case changed && p.PartitionEpoch <= old.PartitionEpoch:
		fail("the partition epoch did not grow")
	case p.Leader != old.Leader && p.LeaderEpoch <= old.LeaderEpoch || p.LeaderEpoch < old.LeaderEpoch:
		fail("the leader epoch did not grow")
	case len(without(old.Replicas, p.Replicas...)) > 0 && p.LeaderEpoch == old.LeaderEpoch:
		fail("a replica was taken away and may go on fetching")
	case len(p.Adding) > 0 && len(without(p.Adding, p.Replicas...)) > 0 || len(without(p.Removing, p.Replicas...)) > 0:
		fail("adding or removing is not among the replicas")
	}
	// R7: of reassignments and their end only; a broker that dies takes its copy with it.
	if ours := strings.HasPrefix(what, "reassign") || strings.HasPrefix(what, "cancel") || old.Reassigning() && !p.Reassigning(); ours {
		asked := old.ISR
		if strings.HasPrefix(what, "isr "+tp.String()) {
			asked = parseIDs(strings.Fields(what)[2])
		}
		if len(p.ISR) < len(asked) && len(p.ISR) < min(2, len(p.Replicas)) {
			fail("R7: too few copies in sync are left")
		}
	}
	had := l.had[tp]
	if had == nil {
		return
	}
	for _, id := range slices.Concat(p.ISR, p.ELR) {
		if !had[id] {
			fail(fmt.Sprintf("R6: %d is a candidate and lacks committed records; %v have them", id, had))
		}
	}
}
