package fetcher

import (
	"context"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
)

// News of leaders come in bursts. A partition that came while the timer for an earlier one was running, but after that one's fetch had ended, was not
// fetched for before the end of the next fetch's wait: half a second in which no acks=all produce to it was answered. The same held for one that
// came between the moment a fetch was put together and the moment it was sent.
func TestNoPartitionIsMissedByAFetch(t *testing.T) {
	b := newStage(t, 1, time.Second).brokers[1]
	manual := clock.NewManual(time.Unix(1000, 0))
	f := New(Options{Me: 1, Clock: manual, Epoch: func() model.BrokerEpoch { return 1 }})
	defer f.Close()
	l := newLoop(f, 2)
	// fetch is what run does around one fetch.
	fetch := func(between func()) (ctx context.Context) {
		l.collect()
		between()
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		l.begin(cancel)
		return ctx
	}
	nothing := func() {}
	first := fetch(nothing)
	l.add(idOf(0), b.open(0))
	l.end() // it had records, and was answered before the timer was due
	second := fetch(nothing)
	l.add(idOf(1), b.open(1))
	manual.Advance(urgency)
	if first.Err() != nil || second.Err() == nil {
		t.Errorf("a partition came while the timer of another was running: first fetch %v, second %v", first.Err(), second.Err())
	}
	l.end()
	third := fetch(func() { l.add(idOf(2), b.open(2)) })
	manual.Advance(urgency)
	if third.Err() == nil {
		t.Error("a partition that came before the fetch was sent was left out")
	}
	l.end()
	fourth := fetch(nothing)
	manual.Advance(time.Minute)
	if fourth.Err() != nil {
		t.Error("a fetch that asks for everything was ended")
	}
	l.end()
}
