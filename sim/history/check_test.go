package history

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// tape writes small histories: each method is something a client does, one millisecond after what was before.
type tape struct {
	*Recorder
	ns int64
}

func newTape() *tape {
	t := &tape{}
	t.Recorder = NewRecorder(func() int64 { t.ns += int64(time.Millisecond); return t.ns })
	return t
}

func key(p int32) Key { return Key{"t", p} }

func rec(offset, value int64) Mop { return Mop{Key: key(0), Offset: offset, Value: value, Epoch: -1} }

func (t *tape) wait(d time.Duration) { t.ns += int64(d) }

func (t *tape) sending(p int, value int64) *Call {
	return t.Begin(Op{Process: p, F: Send, Mops: []Mop{rec(None, value)}})
}

func (t *tape) send(p int, offset, value int64) { t.sending(p, value).OK(rec(offset, value)) }

func (t *tape) assign(p int, from int64) {
	t.Note(Op{Process: p, F: Assign, Type: OK, Mops: []Mop{rec(from, 0)}})
}

func (t *tape) poll(p int, mops ...Mop) { t.Begin(Op{Process: p, F: Poll}).OK(mops...) }

func (t *tape) probe(p int, at Probe, epoch int32, offset int64) {
	m := Mop{Key: key(0), Probe: at, Epoch: epoch, Offset: offset}
	t.Begin(Op{Process: p, F: ListOffsets, Mops: []Mop{{Key: key(0), Probe: at, Offset: None}}}).OK(m)
}

func in(member string, generation int32) *Membership {
	return &Membership{Group: "g", Member: member, Generation: generation}
}

func (t *tape) given(p int, m *Membership, keys ...int32) {
	op := Op{Process: p, F: Assign, Type: OK, Group: m}
	for _, k := range keys {
		op.Mops = append(op.Mops, Mop{Key: key(k), Offset: None})
	}
	t.Note(op)
}

func (t *tape) groupPoll(p int, m *Membership, mops ...Mop) {
	t.Begin(Op{Process: p, F: Poll, Group: m}).OK(mops...)
}

func (t *tape) committing(p int, m *Membership, offset int64) *Call {
	return t.Begin(Op{Process: p, F: Commit, Group: m, Mops: []Mop{rec(offset, 0)}})
}

func (t *tape) commit(p int, m *Membership, offset int64) { t.committing(p, m, offset).OK() }

func (t *tape) committed(offset int64) {
	t.Begin(Op{Process: 9, F: Committed, Group: in("", -1), Mops: []Mop{rec(None, 0)}}).OK(rec(offset, 0))
}

func (t *tape) writesAs(p int, id int64, epoch int32) {
	t.Note(Op{Process: p, F: ProducerID, Type: OK, Mops: []Mop{{Value: id, Epoch: epoch, Offset: None}}})
}

func (t *tape) admin(c Change) *Call { return t.Begin(Op{Process: 5, F: Admin, Change: &c}) }

func (t *tape) describe(c Change) {
	c.Verb, c.Topic = Describe, "x"
	t.admin(Change{Verb: Describe, Topic: "x"}).Describe(c).OK()
}

var (
	errTest = errors.New("test")
	errGap  = errors.New("OUT_OF_ORDER_SEQUENCE_NUMBER: refused")
)

// three writes values 1, 2, 3 to offsets 0, 1, 2.
func (t *tape) three() {
	for i := range int64(3) {
		t.send(0, i, i+1)
	}
}

// anomalies: for each kind, the smallest history that has it and one beside it that is legal.
func anomalies() []struct {
	kind      Kind
	o         Options
	bad, good func(t *tape)
} {
	final := Options{Final: true}
	window := Options{Windows: []Window{{FromNs: 0, ToNs: int64(time.Minute), F: Send}}}
	create := Change{Verb: CreateTopic, Topic: "x", Partitions: 2}
	return []struct {
		kind      Kind
		o         Options
		bad, good func(t *tape)
	}{
		{InconsistentOffsets, Options{},
			func(t *tape) { t.sending(0, 1); t.sending(0, 2); t.poll(1, rec(0, 1)); t.poll(2, rec(0, 2)) },
			func(t *tape) { t.sending(0, 1); t.sending(0, 2); t.poll(1, rec(0, 1)); t.poll(2, rec(1, 2)) }},
		{InconsistentOffsets, Options{},
			func(t *tape) { t.send(0, 0, 1); t.sending(0, 2).OK(rec(0, 2)) },
			func(t *tape) { t.send(0, 0, 1); t.sending(0, 2).Info(errTest) }},
		{DifferentBytes, Options{},
			func(t *tape) {
				t.send(0, 0, 1)
				t.poll(1, Mop{Key: key(0), Value: 1, Sum: 7})
				t.poll(2, Mop{Key: key(0), Value: 1, Sum: 8})
			},
			func(t *tape) {
				t.send(0, 0, 1)
				t.poll(1, Mop{Key: key(0), Value: 1, Sum: 7})
				t.poll(2, Mop{Key: key(0), Value: 1, Sum: 7})
			}},
		{DifferentBytes, Options{},
			func(t *tape) {
				t.send(0, 0, 1)
				t.poll(1, Mop{Key: key(0), Value: 1, Epoch: 3})
				t.poll(2, Mop{Key: key(0), Value: 1, Epoch: 4})
			},
			func(t *tape) {
				t.send(0, 0, 1)
				t.poll(1, Mop{Key: key(0), Value: 1, Epoch: 3})
				t.poll(2, Mop{Key: key(0), Value: 1, Epoch: -1})
			}},
		{Duplicate, Options{},
			func(t *tape) { t.send(0, 0, 1); t.assign(1, 0); t.poll(1, rec(0, 1), rec(1, 1)) },
			func(t *tape) { t.send(0, 0, 1); t.poll(1, rec(0, 1)); t.poll(2, rec(0, 1)) }},
		{AbortedRead, Options{},
			func(t *tape) { t.sending(0, 1).Fail(errTest); t.poll(1, rec(0, 1)) },
			func(t *tape) { t.sending(0, 1).Info(errTest); t.poll(1, rec(0, 1)) }},
		{LostWrite, Options{},
			func(t *tape) { t.three(); t.poll(1, rec(0, 1)); t.poll(2, rec(2, 3)) },
			func(t *tape) { t.three(); t.poll(1, rec(0, 1)); t.poll(2, rec(1, 2)) }},
		{LostWrite, final,
			func(t *tape) { t.three(); t.poll(1, rec(1, 2), rec(2, 3)) },
			func(t *tape) { t.three(); t.sending(0, 9).Info(errTest); t.poll(1, rec(0, 1), rec(1, 2), rec(2, 3)) }},
		{Unseen, final,
			func(t *tape) { t.three(); t.poll(1, rec(0, 1), rec(1, 2)) },
			func(t *tape) { t.three(); t.poll(1, rec(0, 1), rec(1, 2)); t.poll(1, rec(2, 3)) }},
		{Unseen, final, // it was read once, and is gone
			func(t *tape) {
				t.three()
				t.poll(1, rec(0, 1), rec(1, 2), rec(2, 3))
				t.Note(Op{Process: 9, F: Final, Type: OK})
				t.poll(9, rec(0, 1), rec(1, 2))
			},
			func(t *tape) {
				t.three()
				t.Note(Op{Process: 9, F: Final, Type: OK})
				t.poll(9, rec(0, 1), rec(1, 2))
				t.Note(Op{Process: 1009, F: Final, Type: OK})
				t.poll(1009, rec(0, 1), rec(1, 2), rec(2, 3))
			}},
		{Misplaced, Options{},
			func(t *tape) { t.send(0, 0, 1); t.poll(1, Mop{Key: key(1), Value: 1, Epoch: -1}) },
			func(t *tape) { t.send(0, 0, 1); t.poll(1, rec(0, 1)) }},
		{Phantom, Options{},
			func(t *tape) { t.poll(1, rec(0, 1)) },
			func(t *tape) { t.sending(0, 1); t.poll(1, rec(0, 1)) }},
		{Damaged, Options{},
			func(t *tape) { t.send(0, 0, 1); t.poll(1, Mop{Key: key(0), Damaged: true}) },
			func(t *tape) { t.send(0, 0, 1); t.poll(1, rec(0, 1)) }},
		{EpochOrder, Options{},
			func(t *tape) {
				t.three()
				t.poll(1, Mop{Key: key(0), Value: 1, Epoch: 2}, Mop{Key: key(0), Offset: 1, Value: 2, Epoch: 1})
			},
			func(t *tape) {
				t.three()
				t.poll(1, Mop{Key: key(0), Value: 1, Epoch: 2}, Mop{Key: key(0), Offset: 1, Value: 2, Epoch: 4})
			}},
		{PollSkip, Options{},
			func(t *tape) {
				t.three()
				t.assign(1, 0)
				t.poll(1, rec(0, 1))
				t.poll(1, rec(2, 3))
				t.poll(2, rec(1, 2))
			},
			func(t *tape) { // an offset without a value is a gap: legal
				t.send(0, 0, 1)
				t.send(0, 2, 3)
				t.assign(1, 0)
				t.poll(1, rec(0, 1))
				t.poll(1, rec(2, 3))
			}},
		{PollSkip, Options{}, // behind what was assigned
			func(t *tape) { t.three(); t.assign(1, 1); t.poll(1, rec(2, 3)); t.poll(2, rec(1, 2)) },
			func(t *tape) {
				t.three()
				t.assign(1, 1)
				t.poll(1, rec(1, 2))
				t.assign(1, 0)
				t.poll(1, rec(0, 1))
			}},
		{PollSkip, Options{}, // a group's members are given and lose partitions between two polls
			func(t *tape) { t.three(); t.poll(1, rec(0, 1)); t.poll(1, rec(2, 3)); t.poll(2, rec(1, 2)) },
			func(t *tape) {
				t.three()
				t.Note(Op{Process: 1, F: Subscribe, Type: OK})
				t.poll(1, rec(0, 1))
				t.poll(1, rec(2, 3))
				t.poll(2, rec(1, 2))
			}},
		{NonmonotonicPoll, Options{},
			func(t *tape) { t.three(); t.poll(1, rec(0, 1), rec(1, 2)); t.poll(1, rec(1, 2), rec(2, 3)) },
			func(t *tape) {
				t.three()
				t.poll(1, rec(0, 1), rec(1, 2))
				t.given(1, in("a", 1), 0)
				t.poll(1, rec(1, 2), rec(2, 3))
			}},
		{IntPollSkip, Options{},
			func(t *tape) { t.three(); t.poll(1, rec(0, 1), rec(2, 3)); t.poll(2, rec(1, 2)) },
			func(t *tape) {
				t.three()
				other := Mop{Key: key(1), Offset: 9, Value: 7, Epoch: -1}
				t.Begin(Op{F: Send, Mops: []Mop{other}}).OK(other)
				t.poll(1, rec(0, 1), other, rec(1, 2), rec(2, 3))
			}},
		{IntNonmonotonicPoll, Options{},
			func(t *tape) { t.three(); t.poll(1, rec(1, 2), rec(0, 1)) },
			func(t *tape) { t.three(); t.poll(1, rec(0, 1), rec(1, 2)) }},
		{NonmonotonicSend, Options{},
			func(t *tape) {
				a, b := t.sending(0, 1), t.sending(0, 2)
				b.OK(rec(0, 2))
				a.OK(rec(1, 1))
			},
			func(t *tape) { // two producers
				a, b := t.sending(0, 1), t.sending(1, 2)
				b.OK(rec(0, 2))
				a.OK(rec(1, 1))
			}},
		{NonmonotonicSend, Options{}, // also when only a reader saw where it went
			func(t *tape) { t.sending(0, 1); t.sending(0, 2); t.poll(1, rec(0, 2), rec(1, 1)) },
			func(t *tape) { t.sending(0, 1); t.sending(0, 2); t.poll(1, rec(0, 2)) }},
		{IntNonmonotonicSend, Options{},
			func(t *tape) {
				t.Begin(Op{F: Send, Mops: []Mop{rec(None, 1), rec(None, 2)}}).OK(rec(1, 1), rec(0, 2))
			},
			func(t *tape) {
				t.Begin(Op{F: Send, Mops: []Mop{rec(None, 1), rec(None, 2)}}).OK(rec(0, 1), rec(5, 2))
			}},
		{OutOfRange, Options{},
			func(t *tape) {
				t.Begin(Op{F: Poll}).Info(errors.New("OFFSET_OUT_OF_RANGE: The requested offset is not within the range of offsets maintained by the server."))
			},
			func(t *tape) { t.Begin(Op{F: Poll}).Info(errors.New("connection refused")) }},
		{ReadTruncated, Options{},
			func(t *tape) {
				t.Begin(Op{F: Poll}).Info(errors.New("topic t partition 0 lost records; the client consumed to offset 7 but was reset to offset 5"))
			},
			func(t *tape) { t.Begin(Op{F: Poll}).Info(errTest) }},
		{RealtimeStale, Options{},
			func(t *tape) { t.assign(1, 0); t.send(0, 0, 1); t.wait(11 * time.Second); t.poll(1) },
			func(t *tape) { t.assign(1, 0); t.send(0, 0, 1); t.wait(9 * time.Second); t.poll(1) }},
		{RealtimeStale, Options{Healed: int64(5 * time.Second)},
			func(t *tape) { t.assign(1, 0); t.send(0, 0, 1); t.wait(16 * time.Second); t.poll(1) },
			func(t *tape) { t.assign(1, 0); t.send(0, 0, 1); t.wait(14 * time.Second); t.poll(1) }},
		{RealtimeStale, Options{},
			func(t *tape) { t.send(0, 0, 1); t.wait(11 * time.Second); t.probe(1, HighWatermark, 1, 0) },
			func(t *tape) { t.send(0, 0, 1); t.wait(11 * time.Second); t.probe(1, HighWatermark, 1, 1) }},
		{SequenceRefused, Options{},
			func(t *tape) { t.send(0, 0, 1); t.sending(0, 2).Info(errGap) },
			func(t *tape) { t.sending(0, 1).Fail(errTest); t.sending(0, 2).Info(errGap) }},
		{ProducerReused, Options{},
			func(t *tape) { t.writesAs(1, 7, 0); t.writesAs(2, 7, 1) },
			func(t *tape) { t.writesAs(1, 7, 0); t.writesAs(1, 7, 1); t.writesAs(2, 8, 0) }},
		{OffsetRealtime, Options{},
			func(t *tape) { t.send(0, 5, 1); t.send(1, 4, 2) },
			func(t *tape) { a := t.sending(1, 2); t.send(0, 5, 1); a.OK(rec(4, 2)) }},
		{OffsetRealtime, Options{},
			func(t *tape) { t.probe(2, HighWatermark, 1, 5); t.sending(1, 2); t.poll(1, rec(4, 2)) },
			func(t *tape) { t.probe(2, HighWatermark, 1, 5); t.sending(1, 2); t.poll(1, rec(5, 2)) }},
		{HWRegression, Options{},
			func(t *tape) { t.probe(1, HighWatermark, 1, 5); t.probe(1, HighWatermark, 2, 4) },
			func(t *tape) { // a leader that was replaced and does not know
				t.probe(1, HighWatermark, 2, 5)
				t.probe(1, HighWatermark, 1, 4)
				t.probe(2, HighWatermark, 1, 4)
			}},
		{LSORegression, Options{},
			func(t *tape) { t.probe(1, LastStable, 1, 5); t.probe(1, LastStable, 1, 4) },
			func(t *tape) { t.probe(1, LastStable, 1, 5); t.probe(1, LastStable, 1, 5) }},
		{LogStartRegression, Options{},
			func(t *tape) { t.probe(1, LogStart, 1, 5); t.probe(1, LogStart, 1, 0) },
			func(t *tape) { t.probe(1, LogStart, 1, 0); t.probe(1, LogStart, 1, 5) }},
		{OffsetsOrder, Options{},
			func(t *tape) { t.probe(1, LastStable, 1, 5); t.probe(1, HighWatermark, 1, 4) },
			func(t *tape) { t.probe(1, HighWatermark, 1, 4); t.probe(1, LastStable, 1, 5) }},
		{CommitRegression, Options{},
			func(t *tape) { t.commit(1, in("a", 1), 5); t.commit(1, in("a", 1), 7); t.committed(5) },
			func(t *tape) { t.commit(1, in("a", 1), 7); t.commit(1, in("a", 1), 5); t.committed(5) }},
		{CommitRegression, Options{},
			func(t *tape) { t.commit(1, in("a", 1), 5); t.committed(None) },
			func(t *tape) { t.committed(None); c := t.committing(1, in("a", 1), 5); t.committed(None); c.OK() }},
		{CommitRegression, Options{}, // an undecided commit that was seen has happened
			func(t *tape) {
				t.commit(1, in("a", 1), 5)
				t.committing(1, in("a", 1), 7).Info(errTest)
				t.committed(7)
				t.committed(5)
			},
			func(t *tape) {
				t.commit(1, in("a", 1), 5)
				t.committing(1, in("a", 1), 7).Info(errTest)
				t.committed(5)
				t.committed(7)
			}},
		{CommitRegression, Options{Healed: int64(time.Second), ZombieReads: true},
			func(t *tape) { t.commit(1, in("a", 1), 5); t.wait(time.Second); t.committed(None) },
			func(t *tape) { t.commit(1, in("a", 1), 5); t.committed(None); t.wait(time.Second); t.committed(5) }},
		{CommitPhantom, Options{},
			func(t *tape) {
				t.commit(1, in("a", 1), 5)
				t.committing(1, in("a", 1), 6).Fail(errTest)
				t.committed(6)
			},
			func(t *tape) {
				t.commit(1, in("a", 1), 5)
				t.committing(1, in("a", 1), 6).Info(errTest)
				t.committed(6)
			}},
		{StaleCommit, Options{},
			func(t *tape) { t.given(1, in("a", 1)); t.given(2, in("b", 2)); t.commit(1, in("a", 1), 5) },
			func(t *tape) { // it began before anybody was told
				t.given(1, in("a", 1))
				c := t.committing(1, in("a", 1), 5)
				t.given(2, in("b", 2))
				c.OK()
				t.committing(1, in("a", 1), 5).Info(errTest)
			}},
		{StaleCommit, Options{ConsumerProtocol: true},
			func(t *tape) { t.given(1, in("a", 1)); t.given(1, in("a", 2)); t.commit(1, in("a", 1), 5) },
			func(t *tape) { t.given(1, in("a", 1)); t.given(2, in("b", 2)); t.commit(1, in("a", 1), 5) }},
		{DoubleOwnership, Options{},
			func(t *tape) { t.given(1, in("a", 4), 0, 1); t.given(2, in("b", 4), 1, 2) },
			func(t *tape) { t.given(1, in("a", 4), 0, 1); t.given(2, in("b", 5), 1); t.given(1, in("a", 5), 0) }},
		{GenerationOrder, Options{},
			func(t *tape) { t.given(1, in("a", 4)); t.given(1, in("a", 3)) },
			func(t *tape) { t.given(1, in("a", 4)); t.given(1, in("b", 3)) }},
		{GroupSkip, Options{},
			func(t *tape) {
				t.three()
				t.groupPoll(1, in("a", 1), rec(0, 1))
				t.poll(7, rec(1, 2))
				t.commit(1, in("a", 1), 2)
			},
			func(t *tape) { // another member had it
				t.three()
				t.groupPoll(1, in("a", 1), rec(0, 1))
				t.groupPoll(2, in("b", 1), rec(1, 2))
				t.commit(1, in("a", 2), 2)
			}},
		{NoProgress, window,
			func(t *tape) { t.send(0, 0, 1); c := t.sending(0, 2); t.wait(11 * time.Second); c.OK(rec(1, 2)) },
			func(t *tape) { // nothing was wanted
				t.send(0, 0, 1)
				t.wait(11 * time.Second)
				t.send(0, 1, 2)
				c := t.sending(0, 3)
				t.wait(time.Second)
				c.Info(errTest)
			}},
		{NoProgress, window,
			func(t *tape) { t.sending(0, 1) },
			func(t *tape) { t.wait(55 * time.Second); t.sending(0, 1) }},
		{AdminLost, Options{},
			func(t *tape) { t.admin(create).OK(); t.describe(Change{}) },
			func(t *tape) {
				t.admin(create).OK()
				t.describe(Change{})
				t.describe(Change{Exists: true, Partitions: 2})
			}},
		{AdminLost, Options{},
			func(t *tape) {
				t.admin(create).OK()
				t.admin(Change{Verb: CreatePartitions, Topic: "x", Partitions: 4}).OK()
				t.describe(Change{Exists: true, Partitions: 2})
			},
			func(t *tape) {
				t.admin(create).OK()
				t.admin(Change{Verb: CreatePartitions, Topic: "x", Partitions: 4}).Info(errTest)
				t.describe(Change{Exists: true, Partitions: 2})
			}},
		{AdminLost, Options{},
			func(t *tape) {
				t.admin(create).OK()
				t.admin(Change{Verb: AlterConfig, Topic: "x", Config: "c", Value: "1"}).OK()
				t.describe(Change{Exists: true, Partitions: 2, Config: "c", Value: "0"})
			},
			func(t *tape) {
				t.admin(create).OK()
				t.admin(Change{Verb: AlterConfig, Topic: "x", Config: "c", Value: "0"}).Info(errTest)
				t.admin(Change{Verb: AlterConfig, Topic: "x", Config: "c", Value: "1"}).OK()
				t.describe(Change{Exists: true, Partitions: 2, Config: "c", Value: "0"})
			}},
		{AdminUndone, Options{},
			func(t *tape) {
				t.admin(create).OK()
				t.admin(Change{Verb: DeleteTopic, Topic: "x"}).OK()
				t.describe(Change{Exists: true, Partitions: 2})
			},
			func(t *tape) {
				t.admin(create).OK()
				t.admin(Change{Verb: DeleteTopic, Topic: "x"}).Info(errTest)
				t.describe(Change{Exists: true, Partitions: 2})
			}},
	}
}

func TestEachAnomalyIsFoundAndItsLegalNeighbourIsNot(t *testing.T) {
	seen := map[Kind]int{}
	for _, tc := range anomalies() {
		seen[tc.kind]++
		bad, good := newTape(), newTape()
		tc.bad(bad)
		found := Check(bad.History(), tc.o)
		has := false
		for _, a := range found {
			has = has || a.Kind == tc.kind
			if a.Text == "" || len(a.Ops) == 0 {
				t.Errorf("%s %d: anomaly without text or ops: %+v", tc.kind, seen[tc.kind], a)
			}
		}
		if !has {
			t.Errorf("%s %d: not found, but %v", tc.kind, seen[tc.kind], found)
		}
		tc.good(good)
		for _, a := range Check(good.History(), tc.o) {
			t.Errorf("%s %d: a legal history has %v", tc.kind, seen[tc.kind], a)
		}
	}
	t.Logf("%d kinds, %d pairs", len(seen), len(anomalies()))
}

// TestLegalHistoryHasNoAnomaly: what a good cluster does under faults, in a long run with everything legal that looks odd.
func TestLegalHistoryHasNoAnomaly(t *testing.T) {
	for seed := range uint64(5) {
		h := legal(seed, 20_000)
		if found := Check(h, Options{Final: true}); len(found) > 0 {
			t.Fatalf("seed %d: %v", seed, found)
		}
	}
}

// legal is a history of a cluster that does everything right: pipelined producers whose sends may end undecided, offsets with gaps, consumers that
// begin anew, final polls.
func legal(seed uint64, ops int) History {
	rng := rand.New(rand.NewPCG(seed, 0))
	tp := newTape()
	const keys, producers, consumers = 8, 4, 4
	type flying struct {
		c *Call
		m Mop
	}
	var logs [keys][]Mop
	var next [keys]int64
	var open [producers][]flying
	at := [consumers][keys]int{}
	value := int64(0)
	land := func(p int) {
		f := open[p][0]
		open[p] = open[p][1:]
		k := f.m.Key.Partition
		switch n := rng.IntN(20); n {
		case 0: // lost on its way
			f.c.Info(errTest)
		case 1:
			f.c.Fail(errTest)
		default:
			f.m.Offset = next[k]
			f.m.Epoch = 3
			next[k] += 1 + int64(rng.IntN(2)*rng.IntN(3)) // control records and compaction leave gaps
			logs[k] = append(logs[k], f.m)
			if n == 2 {
				f.c.Info(errTest)
			} else {
				f.c.OK(f.m)
			}
		}
	}
	poll := func(c, limit int) {
		var got []Mop
		call := tp.Begin(Op{Process: 100 + c, F: Poll})
		for k := range logs {
			to := min(len(logs[k]), at[c][k]+limit)
			got = append(got, logs[k][at[c][k]:to]...)
			at[c][k] = to
		}
		call.OK(got...)
	}
	for tp.Len() < ops {
		switch p := rng.IntN(producers); rng.IntN(8) {
		case 0, 1, 2:
			value++
			m := Mop{Key: key(int32(rng.IntN(keys))), Value: value, Offset: None}
			open[p] = append(open[p], flying{tp.Begin(Op{Process: p, F: Send, Mops: []Mop{m}}), m})
		case 3, 4, 5, 6:
			if len(open[p]) > 0 {
				land(p)
			}
		default:
			c := rng.IntN(consumers)
			if rng.IntN(50) == 0 {
				op := Op{Process: 100 + c, F: Assign, Type: OK}
				for k := range logs {
					at[c][k] = 0
					op.Mops = append(op.Mops, Mop{Key: key(int32(k))})
				}
				tp.Note(op)
			}
			poll(c, rng.IntN(10))
		}
	}
	for c := range consumers {
		poll(c, ops)
	}
	return tp.History()
}

func BenchmarkCheckMillionOps(b *testing.B) {
	h := legal(1, 1_000_000)
	b.ResetTimer()
	for b.Loop() {
		if found := Check(h, Options{Final: true}); len(found) > 0 {
			b.Fatal(found[0])
		}
	}
	b.ReportMetric(float64(len(h)), "ops")
}
