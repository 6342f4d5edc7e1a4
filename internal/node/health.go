package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/admin"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// ailments are the partitions of the cluster that are not as they should be, as this node's metadata has it.
type ailments struct {
	offline, underMinISR, under ailing
	// unpreferred are led by another replica than the preferred one.
	unpreferred ailing
	leaders     map[model.BrokerID]int
	partitions  int
}

// ailing are the partitions of one ailment: the first few by name, with the reason.
type ailing struct {
	count int
	first []string
}

// namedAiling is how many partitions are named.
const namedAiling = 5

func (a *ailing) add(t *metadata.Topic, index int, why func() string) {
	if a.count++; len(a.first) < namedAiling {
		a.first = append(a.first, fmt.Sprintf("%s-%d (%s)", t.Name, index, why()))
	}
}

func (a *ailing) note(name, fine, wrong string) admin.Check {
	if a.count == 0 {
		return admin.Check{Name: name, OK: true, Detail: fine}
	}
	text := fmt.Sprintf("%d %s: %s", a.count, wrong, strings.Join(a.first, ", "))
	if more := a.count - len(a.first); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return admin.Check{Name: name, Detail: text}
}

// ail looks at every partition: some milliseconds for 100,000.
func ail(img *metadata.Image, minISR func(topic string) int) *ailments {
	a := &ailments{leaders: map[model.BrokerID]int{}}
	for t := range img.Topics() {
		least := minISR(t.Name)
		for i := range t.Partitions {
			p := &t.Partitions[i]
			a.partitions++
			why := func() string { return absent(img, p) }
			if p.Leader == model.NoBroker {
				a.offline.add(t, i, why)
			} else if a.leaders[p.Leader]++; p.Leader != p.PreferredLeader() {
				a.unpreferred.add(t, i, func() string { return fmt.Sprintf("%d leads, not %d", p.Leader, p.PreferredLeader()) })
			}
			if len(p.ISR) < min(least, len(p.Replicas)) {
				a.underMinISR.add(t, i, func() string { return fmt.Sprintf("%d in sync of the %d it takes; %s", len(p.ISR), least, why()) })
			}
			// What a reassignment still copies is not missing.
			if slices.ContainsFunc(p.Replicas, func(id model.BrokerID) bool { return !slices.Contains(p.ISR, id) && !slices.Contains(p.Adding, id) }) {
				a.under.add(t, i, why)
			}
		}
	}
	return a
}

// absent says what is the matter with the replicas that are not in sync.
func absent(img *metadata.Image, p *metadata.Partition) string {
	var out []string
	for _, id := range p.Replicas {
		if slices.Contains(p.ISR, id) && p.Leader != model.NoBroker {
			continue
		}
		b := img.Broker(id)
		what := "catches up"
		switch {
		case b == nil:
			what = "is not registered"
		case b.Fenced:
			what = "is fenced"
		case b.InControlledShutdown:
			what = "is stopping"
		case slices.Contains(p.Adding, id):
			what = "is being filled"
		case p.Leader == model.NoBroker:
			what = "lives, but may lack records"
		}
		out = append(out, fmt.Sprintf("broker %d %s", id, what))
	}
	return strings.Join(out, ", ")
}

// notes are what /readyz?verbose shows of the cluster besides this node's readiness.
func (n *Node) notes() []admin.Check {
	img := n.image.Load()
	resolve := n.resolver.Topics(img)
	a := ail(img, func(topic string) int { return resolve(topic).MinInsyncReplicas })
	return []admin.Check{
		a.offline.note("cluster: leaders", "every partition has one", "partitions without a leader"),
		a.underMinISR.note("cluster: min.insync.replicas", "reached everywhere", "partitions take no acks=all"),
		a.under.note("cluster: replicas", "all in sync", "partitions under-replicated"),
		a.skew(img),
	}
}

// skew is how unevenly leadership lies on the brokers.
func (a *ailments) skew(img *metadata.Image) admin.Check {
	c := a.unpreferred.note("cluster: leader skew", "every partition is led by its preferred replica", "partitions not led by their preferred replica")
	var per []string
	for _, b := range img.Brokers() {
		if !b.Fenced {
			per = append(per, fmt.Sprintf("%d: %d", b.ID, a.leaders[b.ID]))
		}
	}
	c.Detail += "; leaders by broker " + strings.Join(per, ", ")
	return c
}
