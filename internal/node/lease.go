package node

import (
	"sync"
	"time"
)

// lease is until when this node knows that it leads what it leads: nobody takes that away from a broker before its session has ended, which begins
// anew with each heartbeat that the controller takes.
type lease struct {
	sync.Mutex
	since time.Time // when the last heartbeat was sent that was answered; it has a monotonic reading, which goes on while the process is stopped
}

func (l *lease) renew(sent time.Time) {
	l.Lock()
	defer l.Unlock()
	if sent.After(l.since) {
		l.since = sent
	}
}

func (l *lease) last() time.Time {
	l.Lock()
	defer l.Unlock()
	return l.since
}

// lapsed reports that this node may have been replaced without having heard of it: it was stopped, or cut off, for longer than its session lasts. The
// node that has the controller asks itself, so there the voters' answers count.
func (n *Node) lapsed() bool {
	if n.alone() {
		return false
	}
	n.links.lease.renew(n.quorum.Backed())
	return n.clock.Now().Sub(n.links.lease.last()) > n.static.Duration("broker.session.timeout.ms")
}
