package fetcher

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/wire"
)

// loop fetches from one leader.
type loop struct {
	f      *Fetcher
	leader model.BrokerID
	wake   chan struct{}
	// reports has a goroutine of its own.
	reports *reports
	mu      struct {
		sync.Mutex
		parts map[model.TopicIDPartition]*followed
		// order has parts as requests name them, nil when it has to be made again.
		order []*followed
		// cancel ends the fetch under way, and urging is the timer that will: see urgeLocked. missed says that a partition has come since the
		// last time the next fetch was put together.
		cancel context.CancelFunc
		urging clock.Timer
		missed bool
	}

	// What follows belongs to the goroutine.

	session session
	want    []wanted
	answer  answer
}

// followed is a partition of a loop.
type followed struct {
	l     *loop
	id    model.TopicIDPartition
	p     *replication.Partition
	epoch model.LeaderEpoch
	// until is when it is asked for again after an error, fails how many there were in a row; zero without one.
	until time.Time
	fails int
	// tail is the log's end up to which a sync was last asked for, in the hands of the loop's goroutine.
	tail model.Offset
}

func newLoop(f *Fetcher, leader model.BrokerID) *loop {
	l := &loop{f: f, leader: leader, wake: make(chan struct{}, 1)}
	l.mu.parts = map[model.TopicIDPartition]*followed{}
	l.reports = newReports(l)
	return l
}

// add takes a partition in, or hears that there is news of one.
func (l *loop) add(id model.TopicIDPartition, p *replication.Partition) {
	epoch := p.Info().LeaderEpoch
	l.mu.Lock()
	old := l.mu.parts[id]
	if fresh := old == nil || old.p != p || old.epoch != epoch; fresh {
		l.mu.parts[id] = &followed{l: l, id: id, p: p, epoch: epoch}
		l.mu.order, l.mu.missed = nil, true
		l.urgeLocked()
	} else {
		old.until, old.fails = time.Time{}, 0
	}
	l.mu.Unlock()
	l.nudge()
}

func (l *loop) remove(id model.TopicIDPartition) {
	l.mu.Lock()
	delete(l.mu.parts, id)
	l.mu.order = nil
	l.mu.Unlock()
}

func (l *loop) nudge() {
	poke(l.wake)
}

// urgency is how long a fetch under way may go on without a partition that has come since. News of leaders come in bursts.
const urgency = 5 * time.Millisecond

// urgeLocked ends the fetch under way if it is still waiting a moment later without a partition that has come since: an acks=all produce to a
// partition that is not fetched for would wait for its end. It may be another fetch than now that has missed one by then.
func (l *loop) urgeLocked() {
	if l.mu.cancel == nil || l.mu.urging != nil {
		return
	}
	l.mu.urging = l.f.o.Clock.AfterFunc(urgency, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.mu.urging = nil; l.mu.missed && l.mu.cancel != nil {
			l.mu.cancel()
		}
	})
}

// run fetches until the fetcher is closed. A loop without partitions sleeps: the next one for this leader wakes it.
func (l *loop) run() {
	for l.f.ctx.Err() == nil {
		l.reports.fetching(true)
		again := l.collect()
		if len(l.want) == 0 {
			l.sleep(again)
			continue
		}
		switch err := l.round(again); {
		case err == nil:
		case errors.Is(err, errUrged):
			l.session.reopen()
		case l.session.lost(err):
			l.session.reset() // the next fetch opens another one
		default:
			l.f.o.Logger.Debug("fetch failed", "leader", l.leader, "err", err)
			l.session.reset()
			l.pause(l.f.o.BackOff / 10)
		}
	}
}

// sleep waits for a new partition or for the time.
func (l *loop) sleep(d time.Duration) {
	t := l.f.o.Clock.AfterFunc(d, l.nudge)
	defer t.Stop()
	select {
	case <-l.wake:
	case <-l.f.ctx.Done():
	}
}

// pause waits for the time: a leader that cannot be reached is not asked again at once whatever happens here.
func (l *loop) pause(d time.Duration) { clock.Sleep(l.f.ctx, l.f.o.Clock, d) }

// collect lists what the next fetch asks for, and says when to look again at the latest: when a partition's back-off ends.
func (l *loop) collect() (again time.Duration) {
	l.want = l.want[:0]
	again = l.f.o.BackOff
	if l.f.o.Epoch() < 0 {
		// Before this process is registered no leader can tell it from the one before, which may have had more.
		return min(again, untilRegistered)
	}
	now, held := l.f.o.Clock.Now(), l.f.o.Taking.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.missed = false
	for _, fp := range l.orderLocked() {
		left := fp.until.Sub(now)
		if held > 0 && fp.p.CountsTaken() {
			left = max(left, held)
		}
		if left > 0 {
			again = min(again, left)
			continue
		}
		pos, err := fp.p.FetchPosition()
		switch {
		case err != nil || pos.Leader != l.leader:
			// Failed; or it has another leader by now, and comes to another loop.
		default:
			l.want = append(l.want, wanted{fp.id, pos})
			l.reports.cover(fp, &pos)
		}
	}
	return again
}

func (l *loop) orderLocked() []*followed {
	if l.mu.order == nil {
		l.mu.order = slices.SortedFunc(maps.Values(l.mu.parts), func(a, b *followed) int { return compareIDs(a.id, b.id) })
	}
	return l.mu.order
}

// untilRegistered is how soon something that is about to happen is looked for again.
const untilRegistered = 10 * time.Millisecond

func compareIDs(a, b model.TopicIDPartition) int {
	if c := bytes.Compare(a.ID[:], b.ID[:]); c != 0 {
		return c
	}
	return cmp.Compare(a.Partition, b.Partition)
}

// callSlack is how much longer than the wait it asks for a fetch may take before the leader counts as gone.
const callSlack = 10 * time.Second

var errUrged = errors.New("a partition has come that the fetch under way does not ask for")

// round is one fetch and what follows from it. The leader may hold it for wait at most.
func (l *loop) round(wait time.Duration) error {
	wait = min(wait, l.f.o.MaxWait)
	ctx, cancel := context.WithTimeout(l.f.ctx, wait+callSlack)
	defer cancel()
	urged := l.begin(cancel)
	r := &l.answer
	err := l.f.o.Call(ctx, l.leader, l.session.request(&l.f.o, l.want, wait), fetchVersion, r)
	l.reports.fetching(false) // the next one is near
	if l.end(); err != nil {
		if urged(ctx) {
			return errUrged
		}
		return err
	}
	if r.ErrorCode != model.None {
		return r.ErrorCode
	}
	l.session.answered(&r.FetchResponse)
	for i := range r.Responses {
		t := &r.Responses[i]
		for j := range t.Partitions {
			l.take(model.TopicIDPartition{ID: t.TopicID, Partition: t.Partitions[j].PartitionIndex}, &t.Partitions[j])
		}
	}
	l.reports.settle(l.f.ctx)
	return nil
}

// begin makes the fetch one that can be urged. The result tells whether that is why it failed.
func (l *loop) begin(cancel context.CancelFunc) (urged func(context.Context) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.cancel = cancel
	if l.mu.missed { // between its putting together and now
		l.urgeLocked()
	}
	return func(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) && l.f.ctx.Err() == nil }
}

func (l *loop) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.cancel = nil
}

// take brings one partition's answer to the partition.
func (l *loop) take(id model.TopicIDPartition, r *wire.FetchResponseTopicPartition) {
	i, ok := slices.BinarySearchFunc(l.want, id, func(w wanted, id model.TopicIDPartition) int { return compareIDs(w.id, id) })
	l.mu.Lock()
	fp := l.mu.parts[id]
	l.mu.Unlock()
	if !ok || fp == nil {
		return
	}
	pos := l.want[i].pos
	var err error
	switch {
	case r.ErrorCode == model.OffsetOutOfRange:
		err = fp.p.StartOver(pos.LeaderEpoch, model.Offset(r.LogStartOffset))
	case r.ErrorCode != model.None:
		err = r.ErrorCode
	case r.DivergingEpoch.Epoch >= 0 || r.DivergingEpoch.EndOffset >= 0:
		err = l.cut(fp.p, pos, r)
	default:
		err = fp.p.AppendAsFollower(&replication.Replicated{
			LeaderEpoch: pos.LeaderEpoch, Records: r.Records, HW: model.Offset(r.HighWatermark), LogStart: model.Offset(r.LogStartOffset),
		})
		if err == nil && len(r.Records) > 0 && fp.p.CountsTaken() {
			l.f.o.Taking.Took(len(r.Records))
		}
		if err == nil && pos.Synced >= 0 && len(r.Records) > 0 {
			l.reports.expect(fp, fp.p.LogEnd())
		}
	}
	if err != nil {
		l.session.refused(i)
	}
	l.note(id, fp, err)
}

// cut follows the leader's word on where the logs part.
func (l *loop) cut(p *replication.Partition, pos replication.Position, r *wire.FetchResponseTopicPartition) error {
	lost, err := p.Diverged(pos.LeaderEpoch, model.LeaderEpoch(r.DivergingEpoch.Epoch), model.Offset(r.DivergingEpoch.EndOffset))
	if err == nil && lost {
		l.f.o.Logger.Warn("records below the high watermark were cut: an unclean election lost them", "topic", p.TP().Topic, "partition", p.TP().Partition,
			"leader", l.leader, "leader_epoch", pos.LeaderEpoch, "end", p.LogEnd())
	}
	return err
}

// firstRest is how long a partition is left alone after its first failure; each further one doubles it. Most often a leader has just not heard
// yet that it is one.
const firstRest = 10 * time.Millisecond

func rest(fails int, limit time.Duration) time.Duration {
	return min(firstRest<<min(fails, 10), limit)
}

// note leaves a partition alone for a while after an error. News of its leader puts it back at once.
func (l *loop) note(id model.TopicIDPartition, fp *followed, err error) {
	now := l.f.o.Clock.Now()
	l.mu.Lock()
	if err == nil {
		fp.fails = 0
		l.mu.Unlock()
		return
	}
	fp.until = now.Add(rest(fp.fails, l.f.o.BackOff))
	fp.fails++
	l.mu.Unlock()
	level := slog.LevelDebug
	if errors.Is(err, commitlog.ErrInvalidAppend) || errors.Is(err, commitlog.ErrCorrupt) {
		level = slog.LevelError
	}
	l.f.o.Logger.Log(l.f.ctx, level, "partition is not followed for a moment", "topic", fp.p.TP().Topic, "partition", id.Partition, "leader", l.leader, "err", err)
}
