package workload

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/klamm/klamm/sim/history"
)

// member is one consumer of a group. It commits what it was given, by hand, and asks now and then what is committed.
type member struct {
	body
	group    string
	balancer int
}

// seat is what a member owns during one life; callbacks of kgo change it.
type seat struct {
	m  *member
	mu struct {
		sync.Mutex
		owned []history.Key
		next  map[history.Key]int64 // where the member would go on, of owned keys that it was given something of
	}
}

func (m *member) run(ctx context.Context) {
	for !m.done(ctx) {
		m.live(ctx)
		m.die()
	}
}

func (m *member) live(ctx context.Context) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &seat{m: m}
	s.mu.next = map[history.Key]int64{}
	cl, err := m.join(inner, s)
	if err != nil {
		m.rest(ctx, m.w.o.Pace.Poll)
		return
	}
	m.w.rec.Note(history.Op{Process: m.process, F: history.Subscribe, Type: history.OK, Group: &history.Membership{Group: m.group, Generation: -1}})
	end := time.NewTimer(m.around(m.w.o.Pace.Life) + 2*m.w.o.Pace.Session)
	defer end.Stop()
	due := time.Now().Add(m.around(m.w.o.Pace.Commit))
	for !m.done(ctx) {
		got, err := m.poll(inner, cl, m.membership(cl))
		s.advance(got)
		if !time.Now().Before(due) {
			m.commit(inner, cl, s)
			due = time.Now().Add(m.around(m.w.o.Pace.Commit))
		}
		cl.AllowRebalance()
		if err != nil && !m.rest(ctx, m.w.o.Pace.Poll) {
			break
		}
		select {
		case <-end.C:
			if m.rng.IntN(2) == 0 {
				cancel() // as a process that was killed: it does not leave the group
			}
			m.leave(cancel, cl)
			return
		default:
		}
	}
	m.leave(cancel, cl)
}

// leave closes the client, which leaves the group, unless that takes too long: a member that is joining can only leave when all others have
// joined, or lost their session. One call does both: of two leaves of one client, kgo may park the second for ever.
func (m *member) leave(cancel context.CancelFunc, cl *kgo.Client) {
	late := time.AfterFunc(m.w.o.Pace.Timeout, cancel)
	cl.CloseAllowingRebalance()
	late.Stop()
	cancel()
}

func (m *member) join(ctx context.Context, s *seat) (*kgo.Client, error) {
	session := m.w.o.Pace.Session
	balancer := []kgo.GroupBalancer{kgo.RangeBalancer(), kgo.RoundRobinBalancer(), kgo.StickyBalancer(), kgo.CooperativeStickyBalancer()}[m.balancer]
	// Commits are built by hand, by topic name, which version 10 has no more.
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.OffsetCommit.Int16(), 9)
	return m.w.client(ctx, m.rng, kgo.MaxVersions(versions), kgo.ConsumerGroup(m.group), kgo.ConsumeTopics(m.w.o.Topic), kgo.Balancers(balancer),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.SessionTimeout(session), kgo.RebalanceTimeout(session), kgo.HeartbeatInterval(session/12),
		kgo.FetchMaxWait(m.w.o.Pace.Poll), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.OnPartitionsAssigned(func(_ context.Context, cl *kgo.Client, parts map[string][]int32) { s.assigned(cl, parts) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, cl *kgo.Client, parts map[string][]int32) { s.revoked(cl, parts) }),
		kgo.OnPartitionsLost(func(_ context.Context, cl *kgo.Client, parts map[string][]int32) { s.revoked(cl, parts) }))
}

func (m *member) membership(cl *kgo.Client) *history.Membership {
	id, generation := cl.GroupMetadata()
	return &history.Membership{Group: m.group, Member: id, Generation: generation}
}

// assigned is called after every rebalance with what is new, also when nothing is. The history has all that the member owns.
func (s *seat) assigned(cl *kgo.Client, parts map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keysOf(parts) {
		s.mu.owned = append(s.mu.owned, k)
		delete(s.mu.next, k)
	}
	s.note(history.Assign, cl, s.mu.owned)
}

func (s *seat) revoked(cl *kgo.Client, parts map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := keysOf(parts)
	s.mu.owned = slices.DeleteFunc(s.mu.owned, func(k history.Key) bool { return slices.Contains(gone, k) })
	for _, k := range gone {
		delete(s.mu.next, k)
	}
	s.note(history.Revoke, cl, gone)
}

func (s *seat) note(f history.Func, cl *kgo.Client, keys []history.Key) {
	op := history.Op{Process: s.m.process, F: f, Type: history.OK, Group: s.m.membership(cl)}
	for _, k := range keys {
		op.Mops = append(op.Mops, history.Mop{Key: k, Offset: history.None})
	}
	s.m.w.rec.Note(op)
}

func keysOf(parts map[string][]int32) []history.Key {
	var keys []history.Key
	for topic, ps := range parts {
		for _, p := range ps {
			keys = append(keys, history.Key{Topic: topic, Partition: p})
		}
	}
	slices.SortFunc(keys, func(a, b history.Key) int { return int(a.Partition - b.Partition) })
	return keys
}

func (s *seat) advance(got []history.Mop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range got {
		if slices.Contains(s.mu.owned, got[i].Key) {
			s.mu.next[got[i].Key] = got[i].Offset + 1
		}
	}
}

// positions is what the member could commit, in order of the keys.
func (s *seat) positions() []history.Mop {
	s.mu.Lock()
	defer s.mu.Unlock()
	var mops []history.Mop
	for _, k := range s.m.w.Keys() {
		if next, ok := s.mu.next[k]; ok {
			mops = append(mops, history.Mop{Key: k, Offset: next})
		}
	}
	return mops
}

// commit commits in the generation that the member is in, and now and then in the one before, as a member would that was thrown out and does
// not know it: that must be refused (G2).
func (m *member) commit(ctx context.Context, cl *kgo.Client, s *seat) {
	mops := s.positions()
	as := m.membership(cl)
	if len(mops) == 0 || as.Generation < 0 {
		return
	}
	if as.Generation > 1 && m.rng.IntN(20) == 0 {
		as.Generation--
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = as.Group, as.Member, as.Generation
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = m.w.o.Topic
	for i := range mops {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = mops[i].Key.Partition, mops[i].Offset
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	call := m.w.rec.Begin(history.Op{Process: m.process, F: history.Commit, Group: as, Mops: mops})
	ctx, cancel := context.WithTimeout(ctx, m.w.o.Pace.Timeout)
	defer cancel()
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = refusal(resp)
	}
	if err != nil {
		// Also a refusal is undecided: kgo may have asked before and not heard the answer.
		call.Info(err)
		return
	}
	call.OK()
	if m.rng.IntN(4) == 0 {
		_ = m.fetch(ctx, kadm.NewClient(cl), m.group)
	}
}

func refusal(resp *kmsg.OffsetCommitResponse) error {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetch asks what a group has committed.
func (b *body) fetch(ctx context.Context, adm *kadm.Client, group string) error {
	op := history.Op{Process: b.process, F: history.Committed, Group: &history.Membership{Group: group, Generation: -1}}
	call := b.w.rec.Begin(op)
	found, err := adm.FetchOffsets(ctx, group)
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		call.Info(err)
		return err
	}
	var mops []history.Mop
	for _, k := range b.w.Keys() {
		m := history.Mop{Key: k, Offset: history.None}
		if o, ok := found.Lookup(k.Topic, k.Partition); ok {
			m.Offset = o.At
		}
		mops = append(mops, m)
	}
	call.OK(mops...)
	return nil
}
