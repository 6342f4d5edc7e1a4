package controller

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// place chooses brokers for count partitions, the first of which has index first. Replicas of a partition stand in as many racks as there
// are; leaders and followers spread evenly over racks, and over the brokers of a rack; fenced brokers get replicas only where there are
// too few others, and lead none. The choice depends on the topic's id and nothing else, so that it can be repeated.
func place(img *metadata.Image, id model.TopicID, first, count, replicas int) ([][]model.BrokerID, Outcome) {
	registered := 0
	for _, b := range img.Brokers() {
		if !cordoned(img, b.ID) {
			registered++
		}
	}
	if replicas > registered {
		return nil, failure(model.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): The target replication factor of %d cannot be "+
			"reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", replicas, replicas, registered)
	}
	racks := racksOf(img, rand.New(rand.NewPCG(binary.BigEndian.Uint64(id[:]), binary.BigEndian.Uint64(id[8:]))))
	if !slices.ContainsFunc(racks, func(r *rack) bool { return len(r.live) > 0 }) {
		return nil, failure(model.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): All brokers are currently fenced.", replicas)
	}
	out := make([][]model.BrokerID, count)
	for i := range out {
		out[i] = placeOne(racks, first+i, replicas)
	}
	return out, Outcome{}
}

// cordoned reports that a broker is to get no new replicas, unless somebody names it: all its directories are cordoned (KIP-1066).
func cordoned(img *metadata.Image, id model.BrokerID) bool {
	for _, name := range []string{strconv.Itoa(int(id)), ""} {
		if v, ok := img.Overrides(model.ResourceBroker, name)["cordoned.log.dirs"]; ok {
			return v == "*"
		}
	}
	return false
}

// rack is the brokers of one rack; brokers without a rack share a nameless one.
type rack struct {
	name         string
	live, fenced []model.BrokerID
}

// racksOf groups the brokers, in an order that differs from topic to topic: else every topic's first partition would burden the same broker.
func racksOf(img *metadata.Image, rng *rand.Rand) []*rack {
	byName := map[string]*rack{}
	var racks []*rack
	e := electorate{img: img}
	for _, b := range img.Brokers() {
		if cordoned(img, b.ID) {
			continue
		}
		name := ""
		if b.Rack != nil {
			name = *b.Rack
		}
		r := byName[name]
		if r == nil {
			r = &rack{name: name}
			byName[name] = r
			racks = append(racks, r)
		}
		if e.live(b.ID) {
			r.live = append(r.live, b.ID)
		} else {
			r.fenced = append(r.fenced, b.ID)
		}
	}
	slices.SortFunc(racks, func(a, b *rack) int { return cmp.Compare(a.name, b.name) })
	rng.Shuffle(len(racks), func(i, j int) { racks[i], racks[j] = racks[j], racks[i] })
	for _, r := range racks {
		rng.Shuffle(len(r.live), func(i, j int) { r.live[i], r.live[j] = r.live[j], r.live[i] })
	}
	return racks
}

// placeOne takes one replica from each rack in turn, then a second one, and so on. Each partition begins at another rack, and in each rack at another
// broker: when all racks have led once, the next broker of each begins.
func placeOne(racks []*rack, partition, replicas int) []model.BrokerID {
	out := make([]model.BrokerID, 0, replicas)
	for _, fenced := range []bool{false, true} {
		for round, took := 0, true; took; round++ {
			took = false
			for place := range racks {
				brokers := racks[(partition+place)%len(racks)].brokers(fenced)
				if round >= len(brokers) {
					continue
				}
				if len(out) == replicas {
					return out
				}
				out, took = append(out, brokers[(partition/len(racks)+place+round)%len(brokers)]), true
			}
		}
	}
	return out
}

func (r *rack) brokers(fenced bool) []model.BrokerID {
	if fenced {
		return r.fenced
	}
	return r.live
}
