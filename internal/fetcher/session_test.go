package fetcher

import (
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/wire"
)

// A leader that applies every request to what it remembers always asks itself for what the follower wants.
func TestSessionSaysWhatIsWanted(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	o := Options{Me: 2, Epoch: func() model.BrokerEpoch { return 1 }}.withDefaults()
	var s session
	leader := map[model.TopicIDPartition]int64{}
	follower := map[model.TopicIDPartition]int64{}
	for range 2000 {
		for range rng.IntN(4) {
			id := model.TopicIDPartition{ID: model.TopicID{byte(rng.IntN(3))}, Partition: int32(rng.IntN(300))}
			if rng.IntN(3) == 0 {
				delete(follower, id)
			} else {
				follower[id] = rng.Int64N(100)
			}
		}
		switch rng.IntN(20) {
		case 0:
			s.reset()
		case 1:
			s.reopen()
		}
		if s.epoch == 0 {
			clear(leader)
		}
		var want []wanted
		for topic := range byte(3) {
			for p := range int32(300) {
				id := model.TopicIDPartition{ID: model.TopicID{topic}, Partition: p}
				if at, ok := follower[id]; ok {
					want = append(want, wanted{id, replication.Position{Offset: model.Offset(at)}})
				}
			}
		}
		q := s.request(&o, want, time.Second)
		apply(t, leader, q)
		for id, at := range follower {
			if leader[id] != at {
				t.Fatalf("%v: %d, want %d", id, leader[id], at)
			}
		}
		if len(leader) != len(follower) {
			t.Fatalf("the leader serves %d partitions, the follower wants %d", len(leader), len(follower))
		}
		s.answered(&wire.FetchResponse{SessionID: 7})
	}
}

func apply(t *testing.T, leader map[model.TopicIDPartition]int64, q *wire.FetchRequest) {
	t.Helper()
	for _, f := range q.ForgottenTopicsData {
		for _, p := range f.Partitions {
			id := model.TopicIDPartition{ID: f.TopicID, Partition: p}
			if _, ok := leader[id]; !ok {
				t.Fatalf("forgets %v, which was not asked for", id)
			}
			delete(leader, id)
		}
	}
	for i := range q.Topics {
		for j := range q.Topics[i].Partitions {
			p := &q.Topics[i].Partitions[j]
			leader[model.TopicIDPartition{ID: q.Topics[i].TopicID, Partition: p.Partition}] = p.FetchOffset
		}
	}
}

func BenchmarkIdleRequest(b *testing.B) {
	o := Options{Me: 2, Epoch: func() model.BrokerEpoch { return 1 }}.withDefaults()
	var s session
	var want []wanted
	for p := range int32(1700) {
		want = append(want, wanted{id: idOf(p)})
	}
	s.request(&o, want, time.Second)
	b.ReportAllocs()
	for b.Loop() {
		s.request(&o, want, time.Second)
	}
}

// What a loop does at each fetch for partitions that nothing happens to.
func BenchmarkIdleCollect(b *testing.B) {
	s := newStage(b, 2, time.Minute)
	const partitions = 1000
	for p := range int32(partitions) {
		s.elect(p, 1, []model.BrokerID{1, 2})
	}
	f := s.brokers[2].fetcher
	f.mu.Lock()
	l := f.mu.loops[1]
	f.mu.Unlock()
	own := newLoop(l.f, l.leader)
	l.mu.Lock()
	own.mu.parts = maps.Clone(l.mu.parts)
	l.mu.Unlock()
	b.ReportAllocs()
	for b.Loop() {
		own.collect()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/partitions, "ns/partition")
}

// TestRefusedAnswersAreAskedForAgain: what the leader counts as told this node may not have taken.
func TestRefusedAnswersAreAskedForAgain(t *testing.T) {
	o := Options{Me: 2, Epoch: func() model.BrokerEpoch { return 1 }}.withDefaults()
	var s session
	want := []wanted{{model.TopicIDPartition{Partition: 0}, replication.Position{Offset: 5}}, {model.TopicIDPartition{Partition: 1}, replication.Position{Offset: 6}}}
	s.request(&o, want, time.Second)
	s.answered(&wire.FetchResponse{SessionID: 7})
	if q := s.request(&o, want, time.Second); len(q.Topics) != 0 {
		t.Fatalf("nothing has changed, yet %+v", q.Topics)
	}
	s.refused(1)
	q := s.request(&o, want, time.Second)
	if len(q.Topics) != 1 || len(q.Topics[0].Partitions) != 1 || q.Topics[0].Partitions[0].Partition != 1 {
		t.Fatalf("%+v", q.Topics)
	}
	s.refused(0)
	if q := s.request(&o, want[1:], time.Second); len(q.Topics) != 0 || len(q.ForgottenTopicsData) != 1 {
		t.Fatalf("%+v, %+v", q.Topics, q.ForgottenTopicsData)
	}
}
