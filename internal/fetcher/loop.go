package fetcher

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

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
	mu     struct {
		sync.Mutex
		parts map[model.TopicIDPartition]*followed
	}

	// What follows belongs to the goroutine.

	session session
	want    []wanted
	synced  syncs
}

// followed is a partition of a loop.
type followed struct {
	p *replication.Partition
	// until is when it is asked for again after an error; zero without one.
	until time.Time
}

func newLoop(f *Fetcher, leader model.BrokerID) *loop {
	l := &loop{f: f, leader: leader, wake: make(chan struct{}, 1)}
	l.mu.parts = map[model.TopicIDPartition]*followed{}
	l.synced.done = make(chan struct{}, 1)
	return l
}

func (l *loop) add(id model.TopicIDPartition, p *replication.Partition) {
	l.mu.Lock()
	l.mu.parts[id] = &followed{p: p}
	l.mu.Unlock()
	l.nudge()
}

func (l *loop) remove(id model.TopicIDPartition) {
	l.mu.Lock()
	delete(l.mu.parts, id)
	l.mu.Unlock()
}

func (l *loop) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run fetches until the fetcher is closed. A loop without partitions sleeps: the next one for this leader wakes it.
func (l *loop) run() {
	for l.f.ctx.Err() == nil {
		if !l.collect() {
			l.sleep(l.f.o.BackOff)
			continue
		}
		if err := l.round(); err != nil && l.f.ctx.Err() == nil {
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
func (l *loop) pause(d time.Duration) {
	over := make(chan struct{})
	t := l.f.o.Clock.AfterFunc(d, func() { close(over) })
	defer t.Stop()
	select {
	case <-over:
	case <-l.f.ctx.Done():
	}
}

// collect lists what the next fetch asks for.
func (l *loop) collect() bool {
	l.want = l.want[:0]
	now := l.f.o.Clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, fp := range l.mu.parts {
		if now.Before(fp.until) {
			continue
		}
		// A partition that has another leader by now comes to another loop.
		if pos, err := fp.p.FetchPosition(); err == nil && pos.Leader == l.leader {
			l.want = append(l.want, wanted{id, pos})
		}
	}
	slices.SortFunc(l.want, func(a, b wanted) int {
		if c := slices.Compare(a.id.ID[:], b.id.ID[:]); c != 0 {
			return c
		}
		return cmp.Compare(a.id.Partition, b.id.Partition)
	})
	return len(l.want) > 0
}

// callSlack is how much longer than the wait it asks for a fetch may take before the leader counts as gone.
const callSlack = 10 * time.Second

func (l *loop) round() error {
	ctx, cancel := context.WithTimeout(l.f.ctx, l.f.o.MaxWait+callSlack)
	defer cancel()
	var r wire.FetchResponse
	if err := l.f.o.Call(ctx, l.leader, l.session.request(&l.f.o, l.want), fetchVersion, &r); err != nil {
		return err
	}
	if r.ErrorCode != model.None {
		return r.ErrorCode
	}
	l.session.answered(&r)
	for i := range r.Responses {
		t := &r.Responses[i]
		for j := range t.Partitions {
			l.take(model.TopicIDPartition{ID: t.TopicID, Partition: t.Partitions[j].PartitionIndex}, &t.Partitions[j])
		}
	}
	return l.synced.wait(l.f.ctx)
}

// take brings one partition's answer to the partition.
func (l *loop) take(id model.TopicIDPartition, r *wire.FetchResponseTopicPartition) {
	i, ok := slices.BinarySearchFunc(l.want, id, func(w wanted, id model.TopicIDPartition) int {
		if c := slices.Compare(w.id.ID[:], id.ID[:]); c != 0 {
			return c
		}
		return cmp.Compare(w.id.Partition, id.Partition)
	})
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
		if err == nil && len(r.Records) > 0 {
			l.synced.expect(fp.p)
		}
	}
	if err != nil {
		l.failed(id, fp, err)
	}
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

// failed leaves a partition alone for a while. News of its leader puts it back at once.
func (l *loop) failed(id model.TopicIDPartition, fp *followed, err error) {
	level := l.f.o.Logger.Debug
	if errors.Is(err, commitlog.ErrInvalidAppend) || errors.Is(err, commitlog.ErrCorrupt) {
		level = l.f.o.Logger.Error
	}
	level("partition is not followed for a moment", "topic", fp.p.TP().Topic, "partition", id.Partition, "leader", l.leader, "err", err)
	until := l.f.o.Clock.Now().Add(l.f.o.BackOff / 5)
	l.mu.Lock()
	fp.until = until
	l.mu.Unlock()
}

// syncs waits until what a round appended is on disk: only then does the next fetch tell the leader so.
type syncs struct {
	done  chan struct{}
	parts []*replication.Partition
	mu    struct {
		sync.Mutex
		open int
	}
}

func (s *syncs) expect(p *replication.Partition) { s.parts = append(s.parts, p) }

// Wake implements replication.Waiter. A failed log shows at the next fetch position.
func (s *syncs) Wake(int, error) {
	s.mu.Lock()
	s.mu.open--
	last := s.mu.open == 0
	s.mu.Unlock()
	if last {
		s.done <- struct{}{}
	}
}

func (s *syncs) wait(ctx context.Context) error {
	if len(s.parts) == 0 {
		return nil
	}
	s.mu.open = len(s.parts) + 1
	for i, p := range s.parts {
		p.AwaitSynced(s, i)
	}
	clear(s.parts)
	s.parts = s.parts[:0]
	s.Wake(0, nil)
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
