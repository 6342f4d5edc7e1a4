package fetcher

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
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
		// fetching says that no fetch will carry the news soon; round counts the fetches.
		fetching bool
		round    int
	}
}

// patience is how long a loop waits for the disk before it fetches on.
const patience = time.Millisecond

func newReports(l *loop) *reports {
	return &reports{l: l, signal: make(chan struct{}, 1), settled: make(chan struct{}, 1)}
}

// expect asks for a sync of the log, which ends at end.
func (r *reports) expect(fp *followed, end model.Offset) {
	fp.tail = end
	r.mu.Lock()
	r.mu.open++
	r.mu.Unlock()
	fp.p.AwaitSynced(fp, 0)
}

// cover sees to it that a fetch does not leave with less than the whole log synced and nobody to report the rest: besides what a loop has
// appended itself, that is the tail of when this node led, or followed another leader or an earlier epoch, whose waits have ended with that.
func (r *reports) cover(fp *followed, pos *replication.Position) {
	if pos.Synced >= 0 && pos.Synced < pos.Offset && fp.tail != pos.Offset {
		r.expect(fp, pos.Offset)
	}
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
	if err == nil && r.mu.fetching {
		r.dueLocked(fp)
	}
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
	if r.mu.fetching = on; on {
		r.mu.round++
	}
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

// run sends reports until the fetcher is closed. One that is lost, or refused because the leader does not know yet that it leads, is sent again
// until a fetch has left since, which says the same: the fetch that is under way may have been sent before, and have come behind.
func (r *reports) run() {
	f := r.l.f
	fails := 0
	for {
		select {
		case <-r.signal:
		case <-f.ctx.Done():
			return
		}
		q, due, round := r.request()
		if q == nil {
			continue
		}
		if err := r.send(q); err != nil {
			f.o.Logger.Debug("report of what is synced was lost", "leader", r.l.leader, "err", err)
			f.o.Clock.AfterFunc(rest(fails, f.o.BackOff), func() { r.again(due, round) })
			fails++
			continue
		}
		fails = 0
	}
}

// send sends a report. It fails if the leader did not take all of it.
func (r *reports) send(q *wire.FetchRequest) error {
	ctx, cancel := context.WithTimeout(r.l.f.ctx, callSlack)
	defer cancel()
	var answer wire.FetchResponse
	if err := r.l.f.o.Report(ctx, r.l.leader, q, fetchVersion, &answer); err != nil {
		return err
	}
	if answer.ErrorCode != model.None {
		return answer.ErrorCode
	}
	for i := range answer.Responses {
		for j := range answer.Responses[i].Partitions {
			if code := answer.Responses[i].Partitions[j].ErrorCode; code != model.None {
				return code
			}
		}
	}
	return nil
}

// again puts back what a report did not bring to the leader, if no fetch has since.
func (r *reports) again(due []*followed, round int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if round != r.mu.round {
		return
	}
	for _, fp := range due {
		r.dueLocked(fp)
	}
}

// dueLocked has a partition reported.
func (r *reports) dueLocked(fp *followed) {
	if !slices.Contains(r.mu.due, fp) {
		r.mu.due = append(r.mu.due, fp)
	}
	poke(r.signal)
}

// request is a report of everything that is due, nil when nothing is any more; and what that was, and after which fetch.
func (r *reports) request() (_ *wire.FetchRequest, due []*followed, round int) {
	r.mu.Lock()
	due, round = r.mu.due, r.mu.round
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
		return nil, nil, round
	}
	return &q, due, round
}
