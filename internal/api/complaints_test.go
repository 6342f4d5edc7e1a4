package api

import (
	"testing"
	"time"

	"github.com/klamm/klamm/internal/model"
)

// TestOneDamagedPartitionDoesNotFillTheLog: a consumer that retries a damaged range made 14,000 lines a second.
func TestOneDamagedPartitionDoesNotFillTheLog(t *testing.T) {
	var c complaints
	begin, tp := time.Unix(1000, 0), model.TopicPartition{Topic: "t"}
	lines, kept := 0, 0
	for i := range 3000 { // thirty seconds
		n, ok := c.due("read failed", tp, begin.Add(time.Duration(i)*10*time.Millisecond))
		if kept += n; ok {
			lines++
		}
	}
	if lines != 3 || kept != 1998 {
		t.Errorf("%d lines, %d kept back before them", lines, kept)
	}
	// Others are heard.
	at := begin.Add(30 * time.Second)
	for _, other := range []model.TopicPartition{{Topic: "t", Partition: 1}, {Topic: "u"}} {
		if _, ok := c.due("read failed", other, at); !ok {
			t.Errorf("nothing is said of %v", other)
		}
	}
	if _, ok := c.due("append failed", tp, at); !ok {
		t.Error("nothing is said of another failure")
	}
	if _, ok := c.due("read failed", tp, at.Add(time.Hour)); !ok || len(c.told) != 1 {
		t.Errorf("%d are remembered", len(c.told))
	}
}
