package quorum

import (
	"fmt"
	"slices"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// event is one thing for the applier, in the order it has to take them.
type event struct {
	// A committed entry.
	index, term uint64
	data        []byte
	conf        *pb.ConfState // the members after it
	done        func(model.Offset, error)
	lead        bool // it is the first of this node's own term

	// A snapshot of the leader, which takes the place of everything before.
	snapshot *metadata.Image
	head     snapshotHead

	// News of the leader: the term that has one, 0 for none.
	follow     bool
	leaderTerm uint64
	elsewhere  bool // another node leads

	// Proposals that came to nothing.
	failed []*proposal
	err    error

	resign bool
	watch  *watcher
	last   bool // nothing follows
}

type watcher struct {
	lead   func(term int32)
	resign func()
}

// applier replays committed batches, publishes images and answers proposals, on one goroutine. It takes everything that has gathered as one
// change, so that a slow Publish (opening a thousand logs) makes the next delta larger, not the queue longer.
type applier struct {
	q     *Quorum
	ready chan struct{}
	ended chan struct{}
	mu    struct {
		sync.Mutex
		queue []event
		over  bool
	}
	signal chan struct{}

	// What follows belongs to the goroutine.

	replay  *metadata.Replay // nil when nothing was added since the last publish
	at      snapshotHead     // of what was replayed last
	done    []answer         // waits for the publish
	watch   watcher
	leading bool
	term    int32
	current uint64 // the term that has a leader, 0 while none is known
	// elsewhere says that it is another node.
	elsewhere bool
	broken    error // a committed entry could not be replayed
}

// answer is a proposal that was committed.
type answer struct {
	at   model.Offset
	done func(model.Offset, error)
}

func newApplier(q *Quorum, found *opened) *applier {
	return &applier{
		q: q, ready: make(chan struct{}), ended: make(chan struct{}), signal: make(chan struct{}, 1),
		replay: found.replay, at: found.snapshot, watch: watcher{lead: func(int32) {}, resign: func() {}},
	}
}

func (a *applier) push(e event) {
	a.mu.Lock()
	over := a.mu.over
	if !over {
		a.mu.queue = append(a.mu.queue, e)
	}
	a.mu.Unlock()
	if over { // only proposals that came too late
		e.refuse()
		return
	}
	select {
	case a.signal <- struct{}{}:
	default:
	}
}

// refuse answers the proposals that came to nothing.
func (e *event) refuse() {
	for _, p := range e.failed {
		p.done(model.NoOffset, e.err)
	}
}

// stop waits until everything pushed was taken. The driver pushes a last event when it ends.
func (a *applier) stop() { <-a.ended }

func (a *applier) run() {
	defer close(a.ended)
	for {
		<-a.signal
		for {
			events, over := a.gather()
			if len(events) == 0 {
				break
			}
			for i := range events {
				a.take(&events[i])
			}
			a.publish()
			// The leader's first entry is behind everything from before its term.
			if a.current > 0 && a.at.Term >= a.current && a.broken == nil {
				a.setReady()
			}
			if over {
				return
			}
		}
	}
}

// gather takes all events there are, and closes the queue behind the last one.
func (a *applier) gather() (events []event, over bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	events, a.mu.queue = a.mu.queue, nil
	a.mu.over = slices.ContainsFunc(events, func(e event) bool { return e.last })
	return events, a.mu.over
}

func (a *applier) take(e *event) {
	if e.index > 0 {
		a.commit(e)
	}
	if e.snapshot != nil && a.broken == nil {
		a.publish()
		a.install(e.snapshot, e.head)
	}
	if e.follow {
		a.current, a.elsewhere = e.leaderTerm, e.elsewhere
	}
	if len(e.failed) > 0 || e.resign || e.watch != nil || e.lead {
		a.publish() // first things first: answers keep their order
	}
	e.refuse()
	if e.watch != nil {
		a.watch = *e.watch
		if a.leading {
			a.watch.lead(a.term)
		}
	}
	if a.elsewhere && !a.leading && (e.follow || e.watch != nil) {
		a.watch.resign()
	}
	if e.lead && a.broken == nil {
		a.leading, a.term = true, int32(e.term)
		a.watch.lead(a.term)
		a.setReady()
	}
	if e.resign && a.leading {
		a.leading = false
		a.watch.resign()
	}
}

func (a *applier) setReady() {
	select {
	case <-a.ready:
	default:
		close(a.ready)
		a.q.keep.wake()
	}
}

// commit replays one entry.
func (a *applier) commit(e *event) {
	if a.broken == nil {
		a.broken = a.replayEntry(e)
		if a.broken != nil {
			// Every node reads the same log: to skip what one cannot read would let their images drift apart.
			a.replay = nil
			a.q.drive.fail(a.broken)
		}
	}
	if e.done != nil && a.broken == nil {
		a.done = append(a.done, answer{offsetOf(e.index), e.done})
	} else if e.done != nil {
		e.done(model.NoOffset, a.broken)
	}
}

func (a *applier) replayEntry(e *event) error {
	var records []metadata.Record
	if len(e.data) > 0 {
		var err error
		if records, err = metadata.DecodeBatch(e.data); err != nil {
			return fmt.Errorf("metadata log at offset %d: %w", e.index, err)
		}
	}
	if a.replay == nil {
		a.replay = metadata.NewReplay(a.q.Image())
	}
	a.at.Index, a.at.Term, a.at.Conf = e.index, e.term, e.conf
	return a.replay.Add(offsetOf(e.index), records)
}

// install publishes a snapshot as one change from what was published last.
func (a *applier) install(img *metadata.Image, head snapshotHead) {
	d := metadata.Diff(a.q.Image(), img)
	a.at = head
	a.q.image.Store(img)
	a.q.o.Publish(img, d)
	a.q.keep.published(a.at, img)
}

// publish shows what was replayed since the last time, then answers who waited for it.
func (a *applier) publish() {
	if a.replay != nil {
		img, delta := a.replay.Done()
		a.replay = nil
		a.q.image.Store(img)
		a.q.o.Publish(img, delta)
		a.q.keep.published(a.at, img)
	}
	for _, d := range a.done {
		d.done(d.at, nil)
	}
	clear(a.done)
	a.done = a.done[:0]
}
