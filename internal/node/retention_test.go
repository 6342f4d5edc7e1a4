package node_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/klammtest"
)

// often makes the node look for old segments all the time.
func often() klammtest.Option { return klammtest.Set("log.retention.check.interval.ms", "20") }

// A retention that is set while the node runs counts at once, for the segment that is being written too; what was deleted stays deleted.
func TestRetentionByTimeChangesLive(t *testing.T) {
	t.Parallel()
	r := start(t, often())
	r.create("logs")
	for i := range 5 {
		r.send("logs", "k", fmt.Sprint(i))
	}
	r.alter("logs", "retention.ms", "1")
	r.soon("retention by time", func() (bool, string) {
		from, to := r.bounds("logs")
		return from == 5 && to == 5, fmt.Sprintf("%d to %d", from, to)
	})
	r.alter("logs", "retention.ms", "-1")
	if o := r.send("logs", "k", "after"); o != 5 {
		t.Errorf("the next offset is %d, want 5", o)
	}
	r.broker.Restart()
	if from, to := r.bounds("logs"); from != 5 || to != 6 {
		t.Errorf("after a restart the log is %d to %d, want 5 to 6", from, to)
	}
	r.wantLog("what is left", "logs", map[int64]string{5: "k=after"})
}

// retention.bytes gives up whole segments, the oldest first, as long as what remains is at least that large; segments roll by size.
func TestRetentionBySize(t *testing.T) {
	t.Parallel()
	r := start(t, often())
	r.create("logs", "internal.segment.bytes", "2000")
	value := strings.Repeat("x", 700)
	for range 10 { // two batches to a segment
		r.send("logs", "k", value)
	}
	if n := segments(t, r, "logs"); n != 5 {
		t.Fatalf("%d segments, want 5", n)
	}
	r.alter("logs", "retention.bytes", "3000")
	r.soon("retention by size", func() (bool, string) {
		from, to := r.bounds("logs")
		return from == 6 && to == 10, fmt.Sprintf("%d to %d", from, to)
	})
	for i, rec := range r.read("logs") {
		if rec.Offset != int64(6+i) {
			t.Errorf("record %d has offset %d", i, rec.Offset)
		}
	}
}

// The retention of the broker counts for topics without one of their own, live.
func TestRetentionOfTheBrokerChangesLive(t *testing.T) {
	t.Parallel()
	r := start(t, often())
	r.create("inherits")
	r.create("keeps", "retention.ms", "-1")
	r.send("inherits", "k", "v")
	r.send("keeps", "k", "v")
	r.alterBroker("log.retention.ms", "1")
	r.soon("retention of the broker", func() (bool, string) {
		from, _ := r.bounds("inherits")
		return from == 1, fmt.Sprint(from)
	})
	if from, _ := r.bounds("keeps"); from != 0 {
		t.Errorf("the topic with a retention of its own begins at %d", from)
	}
}

// segment.ms ends a segment at the first record that is that much younger than its first; changed live.
func TestSegmentsRollByTime(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.create("logs")
	at := time.Now().Add(-time.Hour)
	sendAt := func(d time.Duration) {
		t.Helper()
		rec := record("logs", "k", "v")
		rec.Timestamp = at.Add(d)
		r.ok(r.trySend(rec))
	}
	sendAt(0)
	sendAt(20 * time.Second)
	if n := segments(t, r, "logs"); n != 1 {
		t.Fatalf("%d segments, want 1", n)
	}
	r.alter("logs", "segment.ms", "10000")
	sendAt(21 * time.Second)
	sendAt(25 * time.Second)
	if n := segments(t, r, "logs"); n != 2 {
		t.Fatalf("%d segments, want 2", n)
	}
}

// DeleteRecords takes effect at once and for ever, and says what it must when it cannot.
func TestDeletedRecordsStayDeleted(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.create("logs")
	for i := range 10 {
		r.send("logs", "k", fmt.Sprint(i))
	}
	r.deleteRecords("logs", 4)
	r.broker.Restart()
	if from, to := r.bounds("logs"); from != 4 || to != 10 {
		t.Fatalf("the log is %d to %d, want 4 to 10", from, to)
	}
	if got := r.read("logs"); len(got) != 6 || got[0].Offset != 4 {
		t.Fatalf("%d records read: %s", len(got), show(keyed(got)))
	}
	r.deleteRecords("logs", -1)
	if from, to := r.bounds("logs"); from != 10 || to != 10 {
		t.Fatalf("the log is %d to %d, want 10 to 10", from, to)
	}
}

// segments counts the segment files of partition 0.
func segments(t *testing.T, r *rig, topic string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(r.dir, topic+"-0", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
