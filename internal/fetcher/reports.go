package fetcher

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/wire"
)

// reports are a loop's word on the disk while its fetch waits with the leader. A fetch says what was synced when it was sent; what is synced
// behind it would not be known before its end, and producers wait for it. A report is a fetch outside of the session that wants nothing: the
// leader checks it like any other, so it can claim no more than a fetch could.
//
// A loop gives the disk a moment (patience) before it fetches on: when the disk is fast the fetch itself says that the sync is done, and there
// is one message instead of two. When it is slow, the next records come in meanwhile, and the next sync covers them.
type reports struct {
	l       *loop
	signal  chan struct{} // something is due
	settled chan struct{} // no sync is open any more, or patience is over
	mu      struct {
		sync.Mutex
		open int // syncs that were asked for
		due  []*followed
		// fetching says that no fetch will carry the news soon.
		fetching bool
	}
}

// patience is how long a loop waits for the disk before it fetches on.
const patience = time.Millisecond

func newReports(l *loop) *reports {
	return &reports{l: l, signal: make(chan struct{}, 1), settled: make(chan struct{}, 1)}
}

// expect asks for a sync of what was appended.
func (r *reports) expect(fp *followed) {
	r.mu.Lock()
	r.mu.open++
	r.mu.Unlock()
	fp.p.AwaitSynced(fp, 0)
}

// Wake implements replication.Waiter: what was appended is on the disk, or the replica has another leader or none. A failed log shows at the
// next fetch position.
func (fp *followed) Wake(_ int, err error) { fp.l.reports.synced(fp, err) }

func (r *reports) synced(fp *followed, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.open--; r.mu.open == 0 {
		poke(r.settled)
	}
	if err != nil || !r.mu.fetching {
		return
	}
	if !slices.Contains(r.mu.due, fp) {
		r.mu.due = append(r.mu.due, fp)
	}
	poke(r.signal)
}

// poke leaves a word in a channel that holds one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// fetching says whether a fetch is under way, or none is to come soon. It is set before the fetch's positions are looked up: what is synced
// later is reported, perhaps besides.
func (r *reports) fetching(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.fetching = on
}

// settle waits for the disk, but not for long.
func (r *reports) settle(ctx context.Context) {
	r.mu.Lock()
	select {
	case <-r.settled: // of an earlier round
	default:
	}
	open := r.mu.open
	r.mu.Unlock()
	if open == 0 {
		return
	}
	t := r.l.f.o.Clock.AfterFunc(patience, func() { poke(r.settled) })
	defer t.Stop()
	select {
	case <-r.settled:
	case <-ctx.Done():
	}
}

// run sends reports until the fetcher is closed. One that is lost does no harm: the next fetch says the same.
func (r *reports) run() {
	f := r.l.f
	for {
		select {
		case <-r.signal:
		case <-f.ctx.Done():
			return
		}
		q := r.request()
		if q == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(f.ctx, callSlack)
		var answer wire.FetchResponse
		if err := f.o.Report(ctx, r.l.leader, q, fetchVersion, &answer); err != nil {
			f.o.Logger.Debug("report of what is synced was lost", "leader", r.l.leader, "err", err)
		}
		cancel()
	}
}

// request is a report of everything that is due, nil when nothing is any more.
func (r *reports) request() *wire.FetchRequest {
	r.mu.Lock()
	due := r.mu.due
	r.mu.due = nil
	r.mu.Unlock()
	slices.SortFunc(due, func(a, b *followed) int { return compareIDs(a.id, b.id) })
	o := &r.l.f.o
	q := wire.NewFetchRequest()
	q.ReplicaState = wire.FetchRequestReplicaState{ReplicaID: int32(o.Me), ReplicaEpoch: int64(o.Epoch())}
	q.SessionEpoch, q.MaxBytes = -1, 0 // no session, and no records
	for _, fp := range due {
		pos, err := fp.p.FetchPosition()
		if err == nil && pos.Leader == r.l.leader && pos.LeaderEpoch == fp.epoch {
			name(&q, &wanted{fp.id, pos}, 0)
		}
	}
	if len(q.Topics) == 0 {
		return nil
	}
	return &q
}
