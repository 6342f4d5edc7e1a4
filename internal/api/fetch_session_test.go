package api

import (
	"testing"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
)

func sessionParts(topic string, n int) []*sessionPartition {
	parts := make([]*sessionPartition, n)
	for i := range parts {
		parts[i] = &sessionPartition{topic: topic, partition: int32(i), toldHW: model.NoOffset, toldStart: model.NoOffset}
	}
	return parts
}

func TestSessionEpochsAreInStep(t *testing.T) {
	c := newSessionCache(clock.NewManual(time.Unix(0, 0)), 10)
	s := c.open(sessionParts("t", 2), false)
	if _, code := c.take(s.id, 1); code != model.InvalidFetchSessionEpoch {
		t.Fatalf("taken while the opening request is not answered: %v", code)
	}
	s.yield()
	for _, tc := range []struct {
		id, epoch int32
		want      model.ErrorCode
	}{
		{s.id, 2, model.InvalidFetchSessionEpoch},
		{s.id + 1, 1, model.FetchSessionIDNotFound},
		{s.id, 1, model.None},
		{s.id, 2, model.InvalidFetchSessionEpoch}, // the first has its turn
	} {
		if _, code := c.take(tc.id, tc.epoch); code != tc.want {
			t.Fatalf("session %d epoch %d: %v, want %v", tc.id, tc.epoch, code, tc.want)
		}
	}
	s.yield()
	if _, code := c.take(s.id, 2); code != model.None {
		t.Fatal(code)
	}
	c.close(s.id)
	if _, code := c.take(s.id, 3); code != model.FetchSessionIDNotFound || c.size() != 0 {
		t.Fatalf("closed, yet %v, %d sessions", code, c.size())
	}
	if e := nextSessionEpoch(1<<31 - 1); e != 1 {
		t.Fatalf("epochs wrap to %d", e)
	}
}

func TestSessionSlotsAreTakenFromTheIdle(t *testing.T) {
	clk := clock.NewManual(time.Unix(0, 0))
	c := newSessionCache(clk, 2)
	a := c.open(sessionParts("a", 1), false)
	a.yield()
	clk.Advance(time.Second)
	b := c.open(sessionParts("b", 1), false)
	b.yield()
	if c.open(sessionParts("c", 1), false) != nil {
		t.Fatal("a session in use lost its slot")
	}
	clk.Advance(sessionIdle)
	if c.open(sessionParts("c", 1), false) == nil {
		t.Fatal("no slot although both are idle")
	}
	if _, code := c.take(a.id, 1); code != model.FetchSessionIDNotFound {
		t.Fatal("the longest idle session kept its slot")
	}
	if _, code := c.take(b.id, 1); code != model.None {
		t.Fatal("the other one lost its slot")
	}
	if newSessionCache(clk, -1).open(sessionParts("d", 1), false) != nil {
		t.Fatal("a session without slots")
	}
}

func TestSessionsRememberSoManyPartitionsTogether(t *testing.T) {
	c := newSessionCache(clock.NewManual(time.Unix(0, 0)), 10)
	c.limit = 5
	a := c.open(sessionParts("a", 3), false)
	if c.open(sessionParts("b", 3), false) != nil {
		t.Fatal("six partitions of five")
	}
	b := c.open(sessionParts("b", 2), false)
	if b == nil {
		t.Fatal("five of five must do")
	}
	b.update([]sessionPartition{{topic: "c"}}, nil, func(*sessionPartition) {})
	c.recount(b)
	if c.size() != 1 || c.mu.partitions != 3 {
		t.Fatalf("%d sessions of %d partitions after one grew too large", c.size(), c.mu.partitions)
	}
	a.update(nil, []sessionKey{{topic: "a", partition: 1}}, nil)
	c.recount(a)
	if c.mu.partitions != 2 {
		t.Fatalf("%d partitions", c.mu.partitions)
	}
	c.close(a.id)
	if c.mu.partitions != 0 {
		t.Fatalf("%d partitions", c.mu.partitions)
	}
}

// A follower that does not wait for the answer that opens its session never hears of the session, and opens another.
func TestFollowerHasOneSession(t *testing.T) {
	c := newSessionCache(clock.NewManual(time.Unix(0, 0)), 10)
	consumer := c.open(sessionParts("t", 3), true)
	other := c.open(sessionParts("t", 3), true)
	c.own(other, 3)
	var last *session
	for range 5 {
		last = c.open(sessionParts("t", 3), true)
		c.own(last, 2)
	}
	if n := c.size(); n != 3 || c.mu.partitions != 9 {
		t.Fatalf("%d sessions of %d partitions, want one of each follower and the consumer's", n, c.mu.partitions)
	}
	for _, s := range []*session{consumer, other, last} {
		s.yield()
		if _, code := c.take(s.id, 1); code != model.None {
			t.Fatal(code)
		}
	}
}

func TestSessionUpdates(t *testing.T) {
	c := newSessionCache(clock.NewManual(time.Unix(0, 0)), 10)
	s := c.open(append(sessionParts("t", 3), sessionParts("t", 1)...), false)
	if n := len(s.snapshot(nil)); n != 3 {
		t.Fatalf("%d partitions of 3 and a double", n)
	}
	added := 0
	s.update([]sessionPartition{
		{topic: "t", partition: 1, offset: 50, maxBytes: 9, leaderEpoch: 4, lastEpoch: 3},
		{topic: "u", partition: 0, offset: 7},
	}, []sessionKey{{topic: "t", partition: 0}, {topic: "never seen"}}, func(*sessionPartition) { added++ })
	got := s.snapshot(nil)
	if len(got) != 3 || added != 1 {
		t.Fatalf("%d partitions, %d added", len(got), added)
	}
	if p := got[0]; p.partition != 1 || p.offset != 50 || p.maxBytes != 9 || p.leaderEpoch != 4 || p.lastEpoch != 3 {
		t.Fatalf("updated to %+v", p)
	}
	s.rotate(func(p *sessionPartition) bool { return p.topic == "t" && p.partition == 1 }, nil)
	got = s.snapshot(nil)
	if got[2].partition != 1 || got[0].partition != 2 || got[1].topic != "u" {
		t.Fatal("what was answered with records did not move to the end")
	}
	s.update(nil, []sessionKey{got[0].key(), got[1].key(), got[2].key()}, nil)
	if s.len() != 0 {
		t.Fatal("everything was forgotten")
	}
}

func TestSessionTellsOnlyNews(t *testing.T) {
	p := sessionParts("t", 1)[0]
	res := func(hw, start model.Offset, bytes int64, code model.ErrorCode) *fetchResult {
		r := &fetchResult{code: code, read: replication.ReadResult{HW: hw, LogStart: start}}
		if code != model.None {
			r.read = replication.NoRead()
		}
		r.read.Slice.Len = bytes
		return r
	}
	for i, step := range []struct {
		r    *fetchResult
		want bool
	}{
		{res(0, 0, 0, model.None), true}, // never told
		{res(0, 0, 0, model.None), false},
		{res(5, 0, 100, model.None), true}, // records
		{res(5, 0, 100, model.None), true}, // records again: the client did not take them
		{res(5, 0, 0, model.None), false},
		{res(6, 0, 0, model.None), true},                // high watermark
		{res(6, 2, 0, model.None), true},                // log start
		{res(0, 0, 0, model.NotLeaderOrFollower), true}, // an error
		{res(0, 0, 0, model.NotLeaderOrFollower), true}, // still
		{res(6, 2, 0, model.None), true},                // over
		{res(6, 2, 0, model.None), false},
	} {
		if got := p.tell(step.r); got != step.want {
			t.Fatalf("step %d: told %v, want %v", i, got, step.want)
		}
	}
}

// TestSessionTellsAgainWhatWasRefused: a follower does not take the answer of an older leader epoch, nor the high watermark of one that has it cut its
// log. It never heard of it again while the leader's high watermark stood still.
func TestSessionTellsAgainWhatWasRefused(t *testing.T) {
	c := newSessionCache(clock.NewManual(time.Unix(0, 0)), 10)
	s := c.open(sessionParts("t", 1), false)
	p := s.snapshot(nil)[0]
	said := func() *fetchResult { return &fetchResult{read: replication.ReadResult{HW: 5}} }
	for _, step := range []struct {
		what  string
		named sessionPartition
		want  bool
	}{
		{"the next offset", sessionPartition{offset: 5}, false},
		{"a newer epoch", sessionPartition{offset: 5, leaderEpoch: 1}, true},
		{"the same offset again", sessionPartition{offset: 5, leaderEpoch: 1}, true},
		{"an offset further on", sessionPartition{offset: 6, leaderEpoch: 1}, false},
		{"an offset before", sessionPartition{offset: 4, leaderEpoch: 1}, true},
	} {
		p.tell(said())
		if p.tell(said()) {
			t.Fatal("told the same twice")
		}
		step.named.topic = "t"
		s.update([]sessionPartition{step.named}, nil, nil)
		if got := p.tell(said()); got != step.want {
			t.Errorf("%s: told %v, want %v", step.what, got, step.want)
		}
	}
	cut := said()
	cut.read.Diverging.Set = true
	p.tell(cut)
	if !p.tell(said()) {
		t.Error("not told after a cut")
	}
}
