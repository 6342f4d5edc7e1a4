package replication

import "time"

// resignedLately is how long after this node gave up leadership a request that came to the wrong leader is taken for one of a client that
// does not know yet, rather than for one that knows more than this node. A producer at work has asked again by then, and leadership seldom
// comes back sooner.
const resignedLately = 200 * time.Millisecond

// AwaitLeadership waits until this node leads the partition, for limit at most, and reports whether it does. It is for requests that came
// here although another node leads: leadership that moves is known first to the old leader, which sends its clients here (KIP-951), and they
// come within a millisecond, where the metadata may take some. Refused, a Java client would wait its retry.backoff.ms, and twice that the next
// time. A node that has just given up leadership itself does not wait: then it is the client who is late.
func (p *Partition) AwaitLeadership(limit time.Duration) bool {
	p.mu.Lock()
	if p.mu.role != roleFollower || p.clock.Now().Sub(p.mu.resigned) < resignedLately {
		leads := p.mu.role == roleLeader
		p.mu.Unlock()
		return leads
	}
	if p.mu.handover == nil {
		p.mu.handover = make(chan struct{})
	}
	turn := p.mu.handover
	p.mu.Unlock()
	late := make(chan struct{})
	timer := p.clock.AfterFunc(limit, func() { close(late) })
	defer timer.Stop()
	select {
	case <-turn:
	case <-late:
	}
	return p.view.Load().role == roleLeader
}

// endHandoverLocked lets go whoever waits in AwaitLeadership: this node leads now, or never will.
func (p *Partition) endHandoverLocked() {
	if p.mu.handover != nil {
		close(p.mu.handover)
		p.mu.handover = nil
	}
}
