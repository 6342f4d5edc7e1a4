package controller

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// TestPlacementSpreadsOverRacksAndBrokers: whatever the cluster looks like, a partition's replicas are different brokers in as many racks as
// possible, and over many topics nobody leads or holds much more than others of the same rack size.
func TestPlacementSpreadsOverRacksAndBrokers(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 5))
	for range 50 {
		racks := 1 + rng.IntN(4)
		perRack := 1 + rng.IntN(4)
		var records []metadata.Record
		rackOf := map[model.BrokerID]string{}
		for i := range racks * perRack {
			rack := string(rune('a' + i%racks))
			rackOf[model.BrokerID(i)] = rack
			records = append(records, &metadata.RegisterBroker{BrokerID: int32(i), BrokerEpoch: 1, Rack: &rack})
		}
		img, _, err := metadata.Empty("c").Apply(1, records)
		if err != nil {
			t.Fatal(err)
		}
		replicas := 1 + rng.IntN(racks*perRack)
		leads, holds := map[model.BrokerID]int{}, map[model.BrokerID]int{}
		const topics, partitions = 60, 12
		for range topics {
			id, err := newTopicID(img, rand.NewChaCha8([32]byte{byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32())}))
			if err != nil {
				t.Fatal(err)
			}
			placement, out := place(img, id, 0, partitions, replicas)
			if !out.OK() {
				t.Fatal(out)
			}
			if more, _ := place(img, id, 5, partitions-5, replicas); !slices.EqualFunc(more, placement[5:], slices.Equal) {
				t.Fatal("partitions added later stand elsewhere than if they had been there from the start")
			}
			for _, p := range placement {
				seenRacks, seen := map[string]bool{}, map[model.BrokerID]bool{}
				for _, b := range p {
					seenRacks[rackOf[b]], seen[b] = true, true
					holds[b]++
				}
				if len(seen) != replicas || len(seenRacks) != min(racks, replicas) {
					t.Fatalf("%d racks of %d, %d replicas: %v", racks, perRack, replicas, p)
				}
				leads[p[0]]++
			}
		}
		for id := range rackOf {
			wantLeads, wantHolds := topics*partitions/len(rackOf), topics*partitions*replicas/len(rackOf)
			if d := leads[id] - wantLeads; d > wantLeads/2+5 || -d > wantLeads/2+5 {
				t.Errorf("%d racks of %d, %d replicas: broker %d leads %d, fair is %d", racks, perRack, replicas, id, leads[id], wantLeads)
			}
			if d := holds[id] - wantHolds; d > wantHolds/4+5 || -d > wantHolds/4+5 {
				t.Errorf("%d racks of %d, %d replicas: broker %d holds %d, fair is %d", racks, perRack, replicas, id, holds[id], wantHolds)
			}
		}
	}
}

// TestCordonedBrokersGetNothing (KIP-1066): while they are drained, and until somebody lets them in again.
func TestCordonedBrokersGetNothing(t *testing.T) {
	all := "*"
	img, _, err := metadata.Empty("c").Apply(1, []metadata.Record{
		&metadata.RegisterBroker{BrokerID: 1, BrokerEpoch: 1}, &metadata.RegisterBroker{BrokerID: 2, BrokerEpoch: 1}, &metadata.RegisterBroker{BrokerID: 3, BrokerEpoch: 1},
		&metadata.ConfigRecord{ResourceType: int8(model.ResourceBroker), ResourceName: "2", Name: "cordoned.log.dirs", Value: &all},
	})
	if err != nil {
		t.Fatal(err)
	}
	placement, out := place(img, model.TopicID{1}, 0, 20, 2)
	if !out.OK() {
		t.Fatal(out)
	}
	for _, p := range placement {
		if slices.Contains(p, 2) {
			t.Fatal(placement)
		}
	}
	if _, out := place(img, model.TopicID{1}, 0, 1, 3); out.Code != model.InvalidReplicationFactor {
		t.Fatal(out)
	}
}
