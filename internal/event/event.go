package event

import (
	"slices"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/model"
)

// Kind is what sort of thing happened. The names are part of the HTTP API and of the metrics.
type Kind string

// Kinds of events.
const (
	Registered   Kind = "broker-registered"
	Unregistered Kind = "broker-unregistered"
	Fenced       Kind = "broker-fenced"
	Unfenced     Kind = "broker-unfenced"
	Stopping     Kind = "broker-stopping"
	Leader       Kind = "leader-moved"
	Leaderless   Kind = "partition-offline"
	Unclean      Kind = "leader-unclean"
	Left         Kind = "isr-left"
	Entered      Kind = "isr-entered"
	MoveBegun    Kind = "reassignment-begun"
	MoveEnded    Kind = "reassignment-ended"
	Voter        Kind = "voter-added"
	NoVoter      Kind = "voter-removed"
	Active       Kind = "controller-active"
	DirOffline   Kind = "directory-offline"
)

// Event is one thing that happened.
type Event struct {
	Time time.Time
	Node model.BrokerID // that tells
	Kind Kind
	// Reason is why, in a word or two that metrics count by; "" when nobody knows.
	Reason string
	// Broker, Topic and Partition are what it is about: NoBroker, "" and -1 when it is about none. Of several partitions they are the first.
	Broker    model.BrokerID
	Topic     string
	Partition int32
	// Text is the whole story in one line.
	Text string
}

// Count is how often something happened since the process started.
type Count struct {
	Kind   Kind
	Reason string
	N      int64
}

// List keeps the newest events, and counts all.
type List struct {
	max int
	mu  struct {
		sync.Mutex
		events []Event // oldest first; the first is dropped when there are twice as many as wanted
		counts map[Count]int64
	}
}

// NewList makes a list that keeps at least the newest max events, and at most twice as many.
func NewList(most int) *List {
	l := &List{max: most}
	l.mu.counts = map[Count]int64{}
	return l
}

// Add appends an event.
func (l *List) Add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mu.events) >= 2*l.max {
		l.mu.events = append(l.mu.events[:0], l.mu.events[len(l.mu.events)-l.max+1:]...)
	}
	l.mu.events = append(l.mu.events, e)
	l.mu.counts[Count{Kind: e.Kind, Reason: e.Reason}]++
}

// Newest are the newest events, at most n, that are not older than since; oldest first.
func (l *List) Newest(since time.Time, n int) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := len(l.mu.events)
	for from > 0 && len(l.mu.events)-from < n && !l.mu.events[from-1].Time.Before(since) {
		from--
	}
	return slices.Clone(l.mu.events[from:])
}

// Counts are all counts, in no order.
func (l *List) Counts() []Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Count, 0, len(l.mu.counts))
	for c, n := range l.mu.counts {
		c.N = n
		out = append(out, c)
	}
	return out
}
