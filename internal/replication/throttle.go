package replication

import (
	"sync"
	"time"

	"github.com/klamm/klamm/internal/clock"
)

// Throttle bounds the bytes per second that replicas on the move take, all partitions of a node together (KIP-73): one for what it sends as a
// leader, one for what it takes as a follower. A transfer may begin while there is any credit and may overdraw it; the next one waits until that
// is paid back. So a fetch is never too large to pass, and what passes over time is the rate.
//
// The zero Throttle is not usable; a nil one lets everything pass.
type Throttle struct {
	clock clock.Clock
	mu    struct {
		sync.Mutex
		rate   float64 // bytes per second; 0 lets everything pass
		credit float64
		at     time.Time
	}
}

// throttleBurst is for how long credit is saved up. A throttled follower asks twice a second, so less would let some of the rate go to waste.
const throttleBurst = time.Second

// NewThrottle makes one that lets everything pass.
func NewThrottle(c clock.Clock) *Throttle { return &Throttle{clock: c} }

// SetRate changes the bytes per second; 0 or less lets everything pass.
func (t *Throttle) SetRate(bytesPerSecond int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rate := max(float64(bytesPerSecond), 0)
	if rate == t.mu.rate {
		return
	}
	// No credit at the start: a new rate holds from its first second.
	t.mu.rate, t.mu.credit, t.mu.at = rate, 0, t.clock.Now()
}

// Limited reports that there is a rate.
func (t *Throttle) Limited() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.rate > 0
}

// Wait is how long until something may pass, 0 for now.
func (t *Throttle) Wait() time.Duration {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.rate == 0 {
		return 0
	}
	now := t.clock.Now()
	most := t.mu.rate * throttleBurst.Seconds()
	t.mu.credit = min(t.mu.credit+now.Sub(t.mu.at).Seconds()*t.mu.rate, most)
	t.mu.at = now
	if t.mu.credit > 0 {
		return 0
	}
	return max(time.Duration(-t.mu.credit/t.mu.rate*float64(time.Second)), time.Millisecond)
}

// Took notes bytes that passed.
func (t *Throttle) Took(bytes int) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.rate > 0 {
		t.mu.credit -= float64(bytes)
	}
}

// Throttled says in which roles this node's replica counts against the throttles: leader.replication.throttled.replicas and
// follower.replication.throttled.replicas.
type Throttled struct{ Leader, Follower bool }

// SetThrottled changes that.
func (p *Partition) SetThrottled(t Throttled) {
	p.throttled.Store(&t)
}

// heldBack reports that a follower may be sent nothing at the moment. Those in the ISR always may: holding them back would hold producers back.
func (p *Partition) heldBack(r *Read) bool {
	return p.countsSent(r) && p.sending.Wait() > 0
}

// countsSent reports that what a follower is sent counts against the leader's throttle.
func (p *Partition) countsSent(r *Read) bool {
	t := p.throttled.Load()
	return r.ReplicaID >= 0 && t != nil && t.Leader && !p.view.Load().inSync(r.ReplicaID)
}

// CountsTaken reports that what this node takes as a follower counts against its throttle.
func (p *Partition) CountsTaken() bool {
	t := p.throttled.Load()
	return t != nil && t.Follower && !p.view.Load().inSync(p.me)
}
