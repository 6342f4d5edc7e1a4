package moves

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func random(rng *rand.Rand) (parts []Partition, brokers []Broker) {
	n := 2 + rng.IntN(6)
	for i := range n {
		brokers = append(brokers, Broker{ID: int32(i + 1), Rack: []string{"", "a", "b", "c"}[rng.IntN(4)]})
	}
	for i := range 1 + rng.IntN(40) {
		ids := rng.Perm(n)[:1+rng.IntN(min(n, 3))]
		p := Partition{Topic: fmt.Sprint("t", i%3), Partition: int32(i)}
		for _, id := range ids {
			p.Replicas = append(p.Replicas, int32(id+1))
		}
		parts = append(parts, p)
	}
	return parts, brokers
}

// after is the cluster when a plan has been carried out.
func after(t *testing.T, parts []Partition, plan []Move) map[string][]int32 {
	t.Helper()
	out := map[string][]int32{}
	for _, p := range parts {
		out[fmt.Sprint(p.Topic, p.Partition)] = p.Replicas
	}
	for _, m := range plan {
		key := fmt.Sprint(m.Topic, m.Partition)
		if !slices.Equal(out[key], m.From) || slices.Equal(m.From, m.To) || len(m.From) != len(m.To) {
			t.Fatalf("move of %s from %v to %v, it is at %v", key, m.From, m.To, out[key])
		}
		if s := slices.Compact(slices.Sorted(slices.Values(m.To))); len(s) != len(m.To) {
			t.Fatalf("two replicas on one broker: %v", m.To)
		}
		out[key] = m.To
	}
	return out
}

func TestPlansHoldWhatTheyPromise(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		parts, brokers := random(rng)
		for i := range brokers {
			brokers[i].Rack = "" // racks may forbid an even spread
		}
		got := after(t, parts, Rebalance(parts, brokers))
		replicas := map[int32]int{}
		for _, r := range got {
			for _, id := range r {
				replicas[id]++
			}
		}
		low, high := 1<<30, 0
		for _, b := range brokers {
			low, high = min(low, replicas[b.ID]), max(high, replicas[b.ID])
		}
		if high-low > 1 {
			t.Fatalf("replicas %v", replicas)
		}
		if again := Rebalance(applied(parts, got), brokers); len(again) > 0 {
			t.Fatalf("a balanced cluster is balanced again: %+v", again)
		}
	}
}

func applied(parts []Partition, to map[string][]int32) (out []Partition) {
	for _, p := range parts {
		out = append(out, Partition{p.Topic, p.Partition, to[fmt.Sprint(p.Topic, p.Partition)]})
	}
	return out
}

func TestDrainLeavesNothing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		parts, brokers := random(rng)
		id := brokers[rng.IntN(len(brokers))].ID
		plan, err := Drain(parts, brokers, id)
		if err != nil {
			if !strings.Contains(err.Error(), "no broker is left") || len(brokers) > 3 {
				t.Fatal(err)
			}
			continue
		}
		for key, r := range after(t, parts, plan) {
			if slices.Contains(r, id) {
				t.Fatalf("%s still has a replica on %d: %v", key, id, r)
			}
		}
		for i := range plan {
			if len(plan[i].Adding()) != 1 {
				t.Fatalf("moves more than it has to: %+v", plan[i])
			}
		}
	}
}

func TestRackOfADrainedReplicaIsFilledFirst(t *testing.T) {
	brokers := []Broker{{ID: 1, Rack: "a"}, {ID: 2, Rack: "b"}, {ID: 3, Rack: "c"}, {ID: 4, Rack: "b"}, {ID: 5, Rack: "c"}}
	plan, err := Drain([]Partition{{"t", 0, []int32{1, 2, 3}}}, brokers, 3)
	if err != nil || !reflect.DeepEqual(plan, []Move{{"t", 0, []int32{1, 2, 3}, []int32{1, 2, 5}}}) {
		t.Fatalf("%+v %v", plan, err)
	}
}

func TestJSONIsKafkas(t *testing.T) {
	const file = `{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[4,3,2],"log_dirs":["any","any","any"]},{"topic":"t","partition":1,"replicas":[1]}]}`
	parts, err := Read(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Write(&b, parts); err != nil {
		t.Fatal(err)
	}
	if want := `{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[4,3,2]},{"topic":"t","partition":1,"replicas":[1]}]}` + "\n"; b.String() != want {
		t.Fatal(b.String())
	}
	for _, bad := range []string{`{}`, `{"version":2}`, `[`, `{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[]}]}`,
		`{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1]},{"topic":"t","partition":0,"replicas":[2]}]}`} {
		if _, err := Read(strings.NewReader(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// TestCordonedBrokersTakeNothing: a broker that is being drained gets nothing back from a rebalance, nor from another's drain.
func TestCordonedBrokersTakeNothing(t *testing.T) {
	brokers := []Broker{{ID: 1}, {ID: 2}, {ID: 3, Cordoned: true}, {ID: 4}}
	var parts []Partition
	for i := range int32(12) {
		parts = append(parts, Partition{"t", i, []int32{1, 2}})
	}
	for _, m := range Rebalance(parts, brokers) {
		if slices.Contains(m.To, 3) {
			t.Fatalf("%+v", m)
		}
	}
	plan, err := Drain(parts, brokers, 1)
	if err != nil || len(plan) != 12 {
		t.Fatalf("%+v %v", plan, err)
	}
	for _, m := range plan {
		if slices.Contains(m.To, 3) {
			t.Fatalf("%+v", m)
		}
	}
}

// TestRebalanceKeepsRacks: whatever a plan does, a partition is in no fewer racks than before, and a broker alone in its rack is not emptied.
func TestRebalanceKeepsRacks(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	for range 300 {
		parts, brokers := random(rng)
		rack := map[int32]string{}
		for _, b := range brokers {
			rack[b.ID] = b.Rack
		}
		racks := func(ids []int32) int {
			seen := map[string]bool{}
			for _, id := range ids {
				seen[rack[id]] = true
			}
			return len(seen)
		}
		for _, m := range Rebalance(parts, brokers) {
			if racks(m.To) < racks(m.From) {
				t.Fatalf("%+v leaves racks: %v", m, rack)
			}
		}
	}
}
