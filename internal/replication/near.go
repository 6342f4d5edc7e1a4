package replication

import (
	"slices"

	"github.com/klamm/klamm/internal/model"
)

// Near picks the replica that a consumer had better read from, among those that suit it: none while the leader, which this node is, is one of them;
// else the one in sync that has most, if it has what the consumer wants (KIP-392). ok is false where the leader is to be read from.
func (p *Partition) Near(offset model.Offset, suits func(model.BrokerID) bool) (id model.BrokerID, ok bool) {
	v := p.view.Load()
	if v.role != roleLeader || suits(p.me) || !slices.ContainsFunc(v.isr, suits) {
		return model.NoBroker, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	best := model.NoOffset
	for i := range p.mu.followers {
		f := &p.mu.followers[i]
		if f.end >= offset && f.end > best && slices.Contains(p.mu.isr, f.id) && suits(f.id) {
			id, ok, best = f.id, true, f.end
		}
	}
	return id, ok
}
