package event

import (
	"testing"
	"time"
)

func TestListKeepsTheNewestAndCountsAll(t *testing.T) {
	l := NewList(10)
	begin := time.Unix(1000, 0)
	for i := range 1000 {
		l.Add(Event{Time: begin.Add(time.Duration(i) * time.Second), Kind: Left, Reason: "slow", Partition: int32(i)})
		got := l.Newest(time.Time{}, 1000)
		if len(got) < min(10, i+1) || len(got) > 20 || got[len(got)-1].Partition != int32(i) || got[0].Partition != int32(i-len(got)+1) {
			t.Fatalf("after %d: %d events, the last of partition %d", i, len(got), got[len(got)-1].Partition)
		}
	}
	if got := l.Newest(begin.Add(997*time.Second), 100); len(got) != 3 {
		t.Errorf("%d events since", len(got))
	}
	if got := l.Newest(time.Time{}, 2); len(got) != 2 || got[1].Partition != 999 {
		t.Errorf("newest two: %v", got)
	}
	if c := l.Counts(); len(c) != 1 || c[0] != (Count{Left, "slow", 1000}) {
		t.Errorf("%v", c)
	}
}
