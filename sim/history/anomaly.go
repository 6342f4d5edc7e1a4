package history

import (
	"cmp"
	"fmt"
	"slices"
)

// Kind names what went wrong.
type Kind string

// What a client of Kafka must never see. The first names are those of jepsen.tests.kafka; the ids are those of the house's invariants.
const (
	InconsistentOffsets Kind = "inconsistent-offsets"  // L2: two values at one offset
	DifferentBytes      Kind = "different-bytes"       // L2: one value at one offset, with other bytes or another leader epoch
	Duplicate           Kind = "duplicate"             // P1: one value at two offsets
	AbortedRead         Kind = "aborted-read"          // a value was read whose send certainly failed
	LostWrite           Kind = "lost-write"            // R1: acknowledged, and readers went past it without it
	Unseen              Kind = "unseen"                // R1: acknowledged, and the final polls never came to it
	Misplaced           Kind = "misplaced"             // a value was read from another partition than it was sent to
	Phantom             Kind = "phantom"               // a value was read that nobody sent
	Damaged             Kind = "damaged"               // L7: a record was read that is not what its producer wrote
	EpochOrder          Kind = "epoch-order"           // a record's leader epoch is lower than that of one before it
	PollSkip            Kind = "poll-skip"             // a consumer's second poll left out records behind its first
	NonmonotonicPoll    Kind = "nonmonotonic-poll"     // a consumer's second poll went back
	IntPollSkip         Kind = "int-poll-skip"         // the same within one poll
	IntNonmonotonicPoll Kind = "int-nonmonotonic-poll" // the same within one poll
	NonmonotonicSend    Kind = "nonmonotonic-send"     // L5, P1: a producer's records stand in another order than sent
	IntNonmonotonicSend Kind = "int-nonmonotonic-send" // the same within one op
	OutOfRange          Kind = "offset-out-of-range"   // L4: a consumer that reads on from what it was given was told that this is out of range
	ReadTruncated       Kind = "read-truncated"        // L2: a consumer was told that what it had read is gone (KIP-320)
	RealtimeStale       Kind = "realtime-stale"        // long after the heal a reader does not get what was acknowledged long ago
	SequenceRefused     Kind = "sequence-refused"      // P2: a producer that left no gap was told that it had
	ProducerReused      Kind = "producer-id-reused"    // P3: two processes were given the same producer id
	OffsetRealtime      Kind = "offset-realtime"       // L5: a send got an offset that was known before it began
	HWRegression        Kind = "hw-regression"         // L3
	LSORegression       Kind = "lso-regression"        // L3
	LogStartRegression  Kind = "log-start-regression"  // L3
	OffsetsOrder        Kind = "offsets-order"         // L3: not log start <= last stable offset <= high watermark
	CommitRegression    Kind = "commit-regression"     // G1: a committed offset was lost, or an older one came back
	CommitPhantom       Kind = "commit-phantom"        // an offset is committed that nobody committed
	StaleCommit         Kind = "stale-commit"          // G2: a commit of an old generation was accepted
	DoubleOwnership     Kind = "double-ownership"      // G3: two members own a partition in one generation
	GenerationOrder     Kind = "generation-regression" // a member's generation went back
	GroupSkip           Kind = "group-skip"            // a group committed past records that none of its members was given
	NoProgress          Kind = "no-progress"           // liveness: nothing succeeded for too long in a window in which it must
	AdminLost           Kind = "admin-lost"            // M1: an acknowledged admin op is not there at the end
	AdminUndone         Kind = "admin-undone"          // M1: an acknowledged deletion is undone
)

// Anomaly is one thing that must not be.
type Anomaly struct {
	Kind Kind
	Key  Key
	// Ops are the indices of the ops that show it, in order.
	Ops []int
	// Text is one sentence for a person.
	Text string
}

// String is the anomaly in one line.
func (a Anomaly) String() string {
	if a.Key == (Key{}) {
		return fmt.Sprintf("%s: %s (ops %v)", a.Kind, a.Text, a.Ops)
	}
	return fmt.Sprintf("%s in %s: %s (ops %v)", a.Kind, a.Key, a.Text, a.Ops)
}

// report adds an anomaly, unless there are enough of its kind: the first ones tell the story.
func (c *checker) report(kind Kind, key Key, ops []int, format string, args ...any) {
	c.counts[kind]++
	if c.counts[kind] > c.o.Limit {
		return
	}
	ops = slices.DeleteFunc(ops, func(i int) bool { return i < 0 })
	slices.Sort(ops)
	c.out = append(c.out, Anomaly{Kind: kind, Key: key, Ops: slices.Compact(ops), Text: fmt.Sprintf(format, args...)})
}

// sorted puts anomalies in an order that depends on the history alone.
func (c *checker) sorted() []Anomaly {
	slices.SortStableFunc(c.out, func(a, b Anomaly) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key.Topic, b.Key.Topic), cmp.Compare(a.Key.Partition, b.Key.Partition),
			slices.Compare(a.Ops, b.Ops), cmp.Compare(a.Text, b.Text))
	})
	return c.out
}
