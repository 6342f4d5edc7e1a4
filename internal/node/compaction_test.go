package node_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/klamm/klamm/klammtest"
)

// fastCleaner lets the cleaner look all the time.
func fastCleaner() klammtest.Option { return klammtest.Set("log.cleaner.backoff.ms", "20") }

// compact are the configs of a topic that is compacted as soon as there is anything to win. A segment ends with every record.
func compact(more ...string) []string {
	return append([]string{"cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0.0", "internal.segment.bytes", "80"}, more...)
}

// Clients of a compacted topic see the last value of every key at its own offset. A tombstone is seen for delete.retention.ms after the pass
// that met it, and no longer; all of that also after a restart.
func TestCompactionAsClientsSeeIt(t *testing.T) {
	t.Parallel()
	r := start(t, fastCleaner())
	r.create("table", compact()...)
	for i, kv := range [][2]string{{"a", "1"}, {"b", "1"}, {"a", "2"}, {"c", "1"}, {"b", tombstone}, {"a", "3"}} {
		if o := r.send("table", kv[0], kv[1]); o != int64(i) {
			t.Fatalf("offset %d, want %d", o, i)
		}
	}
	r.send("table", "end", "") // in the segment that is written, which is not compacted
	want := map[int64]string{3: "c=1", 4: "b", 5: "a=3", 6: "end="}
	r.wantLog("compaction", "table", want)
	r.broker.Restart()
	if got := keyed(r.read("table")); !maps.Equal(got, want) {
		t.Fatalf("after a restart: %s", show(got))
	}

	// The horizon of a tombstone is set by the pass that met it: a new retention counts for tombstones from now on.
	r.alter("table", "delete.retention.ms", "0")
	r.send("table", "c", tombstone)
	r.send("table", "end", "2")
	r.soon("the new tombstone goes", func() (bool, string) {
		r.send("table", "end", "3") // gives the cleaner something to do: a pass that drops tombstones needs dirty records
		got := keyed(r.read("table"))
		_, old := got[3]
		_, gone := got[7]
		return !old && !gone, show(got)
	})
	if got := keyed(r.read("table")); got[5] != "a=3" || got[4] != "b" {
		t.Errorf("what is left: %s", show(got))
	}
}

// min.compaction.lag.ms keeps young records as they are; max.compaction.lag.ms cleans old ones whatever the ratio says. Both change live.
func TestCompactionLags(t *testing.T) {
	t.Parallel()
	r := start(t, fastCleaner())
	r.create("young", compact("min.compaction.lag.ms", "3600000")...)
	r.create("lazy", compact("min.cleanable.dirty.ratio", "1.0")...)
	r.create("plain", compact()...)
	for _, topic := range []string{"young", "lazy", "plain"} {
		r.send(topic, "a", "1")
		r.send(topic, "a", "2")
		r.send(topic, "end", "")
	}
	cleaned := map[int64]string{1: "a=2", 2: "end="}
	r.wantLog("the plain topic", "plain", cleaned)
	for _, topic := range []string{"young", "lazy"} {
		if got := r.read(topic); len(got) != 3 {
			t.Errorf("%s was compacted: %s", topic, show(keyed(got)))
		}
	}
	r.alter("young", "min.compaction.lag.ms", "0")
	r.alter("lazy", "max.compaction.lag.ms", "1")
	r.wantLog("without the minimal lag", "young", cleaned)
	// A segment whose records are due is closed by the next record.
	r.wantLog("with a maximal lag", "lazy", cleaned)
}

// compact,delete does both: keys keep their last value until the segment it lies in is too old.
func TestCompactAndDelete(t *testing.T) {
	t.Parallel()
	r := start(t, fastCleaner(), often())
	r.create("both", compact("cleanup.policy", "compact,delete", "retention.ms", "3600000")...)
	old := time.Now().Add(-2 * time.Hour)
	for _, v := range []string{"1", "2"} {
		rec := record("both", "old", v)
		rec.Timestamp = old
		r.ok(r.trySend(rec))
	}
	r.send("both", "a", "1")
	r.send("both", "a", "2")
	r.send("both", "end", "")
	r.wantLog("both policies", "both", map[int64]string{3: "a=2", 4: "end="})
	if from, _ := r.bounds("both"); from < 2 {
		t.Errorf("the log begins at %d, want the old segments gone", from)
	}
}

// A topic that becomes compacted while the node runs is compacted, and refuses records without a key from then on.
func TestTopicBecomesCompacted(t *testing.T) {
	t.Parallel()
	r := start(t, fastCleaner())
	r.create("later", "internal.segment.bytes", "80")
	r.send("later", "a", "1")
	r.send("later", "a", "2")
	r.send("later", "end", "")
	r.alter("later", "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0.0")
	if err := r.trySend(record("later", "", "no key")); err == nil {
		t.Error("a record without a key was taken")
	}
	r.wantLog("compaction", "later", map[int64]string{1: "a=2", 2: "end="})
}

// The pace of the cleaner is a key that may change while the node runs.
func TestCleanerPaceChangesLive(t *testing.T) {
	t.Parallel()
	r := start(t, klammtest.Set("log.cleaner.backoff.ms", "3600000"))
	r.create("table", compact()...)
	for i := range 3 {
		r.send("table", "a", fmt.Sprint(i))
	}
	r.alterBroker("log.cleaner.backoff.ms", "20")
	r.wantLog("compaction", "table", map[int64]string{1: "a=1", 2: "a=2"})
}
