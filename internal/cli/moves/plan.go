package moves

import (
	"cmp"
	"fmt"
	"slices"
)

// Partition is where a partition's replicas are.
type Partition struct {
	Topic     string
	Partition int32
	Replicas  []int32 // in order of preference
}

// Broker is one that may hold replicas.
type Broker struct {
	ID   int32
	Rack string
	// Cordoned brokers get no more replicas than they have (KIP-1066): they are being drained.
	Cordoned bool
}

// Move is a partition that gets other replicas, or the same in another order.
type Move struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	From      []int32 `json:"from"`
	To        []int32 `json:"to"`
}

// Adding are the brokers that have to copy the partition.
func (m *Move) Adding() []int32 { return less(m.To, m.From) }

func less(a, b []int32) (out []int32) {
	for _, id := range a {
		if !slices.Contains(b, id) {
			out = append(out, id)
		}
	}
	return out
}

// planner counts as the plan grows.
type planner struct {
	brokers  []Broker // those that may take replicas
	rack     map[int32]string
	replicas map[int32]int
	leaders  map[int32]int // partitions by their preferred leader
	parts    []Partition   // as planned, in order
	from     [][]int32
}

func newPlanner(parts []Partition, brokers []Broker) *planner {
	open := slices.DeleteFunc(slices.Clone(brokers), func(b Broker) bool { return b.Cordoned })
	p := &planner{brokers: open, rack: map[int32]string{}, replicas: map[int32]int{}, leaders: map[int32]int{}}
	slices.SortFunc(p.brokers, func(a, b Broker) int { return cmp.Compare(a.ID, b.ID) })
	for _, b := range brokers {
		p.rack[b.ID] = b.Rack
	}
	p.parts = slices.Clone(parts)
	slices.SortFunc(p.parts, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	for i := range p.parts {
		q := &p.parts[i]
		p.from = append(p.from, q.Replicas)
		q.Replicas = slices.Clone(q.Replicas)
		for _, id := range q.Replicas {
			p.replicas[id]++
		}
		if len(q.Replicas) > 0 {
			p.leaders[q.Replicas[0]]++
		}
	}
	return p
}

// replace puts broker to in the place of the i-th replica.
func (p *planner) replace(q *Partition, i int, to int32) {
	old := q.Replicas[i]
	p.replicas[old]--
	p.replicas[to]++
	if i == 0 {
		p.leaders[old]--
		p.leaders[to]++
	}
	q.Replicas[i] = to
}

// candidate is the broker with the fewest replicas that can take the i-th replica of a partition. A rack that holds no other replica of it
// comes first.
func (p *planner) candidate(q *Partition, i int) (int32, bool) {
	best, found := int32(0), false
	rank := func(id int32) (shared, load int) {
		for j, r := range q.Replicas {
			if j != i && p.rack[id] != "" && p.rack[r] == p.rack[id] {
				shared++
			}
		}
		return shared, p.replicas[id]
	}
	for _, b := range p.brokers {
		if slices.Contains(q.Replicas, b.ID) {
			continue
		}
		s, l := rank(b.ID)
		bs, bl := rank(best)
		if !found || s < bs || s == bs && l < bl {
			best, found = b.ID, true
		}
	}
	return best, found
}

// plan is what differs from what was.
func (p *planner) plan() (out []Move) {
	for i := range p.parts {
		q := &p.parts[i]
		if !slices.Equal(q.Replicas, p.from[i]) {
			out = append(out, Move{q.Topic, q.Partition, p.from[i], q.Replicas})
		}
	}
	return out
}

// Drain moves every replica of a broker to others. An error names a partition that no other broker can take.
func Drain(parts []Partition, brokers []Broker, id int32) ([]Move, error) {
	others := slices.DeleteFunc(slices.Clone(brokers), func(b Broker) bool { return b.ID == id })
	p := newPlanner(parts, others)
	for i := range p.parts {
		q := &p.parts[i]
		at := slices.Index(q.Replicas, id)
		if at < 0 {
			continue
		}
		to, ok := p.candidate(q, at)
		if !ok {
			return nil, fmt.Errorf("%s-%d has %d replicas, and no broker is left to take the one of broker %d", q.Topic, q.Partition, len(q.Replicas), id)
		}
		p.replace(q, at, to)
	}
	return p.plan(), nil
}

// Rebalance moves as few replicas as it takes for all brokers to hold as many as each other, give or take one, and orders replicas so that
// each is the preferred leader of its share. Replicas stay in as many racks as they were in.
func Rebalance(parts []Partition, brokers []Broker) []Move {
	if len(brokers) == 0 {
		return nil
	}
	p := newPlanner(parts, brokers)
	for p.level() {
	}
	p.lead()
	return p.plan()
}

// level moves one replica from a broker that has too many to one that has too few, and reports whether there was one to move.
func (p *planner) level() bool {
	most := slices.Clone(p.brokers)
	slices.SortStableFunc(most, func(a, b Broker) int { return cmp.Compare(p.replicas[b.ID], p.replicas[a.ID]) })
	for _, from := range most {
		for k := len(most) - 1; k >= 0; k-- {
			to := most[k]
			if p.replicas[from.ID]-p.replicas[to.ID] < 2 {
				break
			}
			if p.shift(from.ID, to.ID) {
				return true
			}
		}
	}
	return false
}

// shift moves one replica from a broker to another, if a partition can spare its rack.
func (p *planner) shift(from, to int32) bool {
	for i := range p.parts {
		q := &p.parts[i]
		at := slices.Index(q.Replicas, from)
		if at < 0 || slices.Contains(q.Replicas, to) {
			continue
		}
		after := slices.Clone(q.Replicas)
		after[at] = to
		if p.racks(after) >= p.racks(q.Replicas) {
			p.replace(q, at, to)
			return true
		}
	}
	return false
}

func (p *planner) racks(replicas []int32) int {
	seen := map[string]bool{}
	for _, id := range replicas {
		seen[p.rack[id]] = true
	}
	return len(seen)
}

// lead gives preferred leadership away where another replica has at least two partitions less to lead.
func (p *planner) lead() {
	for changed := true; changed; {
		changed = false
		for i := range p.parts {
			q := &p.parts[i]
			if len(q.Replicas) == 0 {
				continue
			}
			best := 0
			for j, id := range q.Replicas {
				if p.leaders[id] < p.leaders[q.Replicas[best]] {
					best = j
				}
			}
			if first := q.Replicas[0]; p.leaders[first]-p.leaders[q.Replicas[best]] >= 2 {
				p.leaders[first]--
				p.leaders[q.Replicas[best]]++
				q.Replicas[0], q.Replicas[best] = q.Replicas[best], first
				changed = true
			}
		}
	}
}
