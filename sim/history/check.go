package history

import (
	"time"
)

// Options say what a history may be held to. The zero value is the strictest for a history without final polls.
type Options struct {
	// Healed is the TimeNs from which no fault was at work any more; 0 when there never was one, Never when they did not end.
	Healed int64
	// Final says that fresh consumers read every key from its start to its end after the heal: then everything acknowledged, and everything that
	// anybody ever read, must have been read by them. Processes with a final op are these consumers; without any, all readers count.
	Final bool
	// Stale is how long after an acknowledgement (and the heal) a reader may still miss it; 10 s when it is 0.
	Stale time.Duration
	// Windows are the times in which the cluster had to make progress.
	Windows []Window
	// ZombieReads allows, before the heal, that a coordinator which does not know that it was replaced answers what is committed. Kafka has no
	// lease on coordinators, so a coordinator that is cut off from the controllers but not from a client does so.
	ZombieReads bool
	// NotIdempotent allows producers to write twice and out of order.
	NotIdempotent bool
	// LogStartMoves allows records below a log start that was listed to be gone.
	LogStartMoves bool
	// Foreign allows values that the history has no send of.
	Foreign bool
	// ConsumerProtocol says that groups are of KIP-848: members of one group may be in different epochs.
	ConsumerProtocol bool
	// Limit is how many anomalies of one kind are told; 100 when it is 0.
	Limit int
}

// Never is a Healed that never comes.
const Never = int64(1)<<62 - 1

// Window is a time in which an op of F had to succeed at least every Limit, whenever one was wanted.
type Window struct {
	FromNs, ToNs int64
	F            Func
	Limit        time.Duration // 10 s when it is 0
}

// defaultBound is the time after which correctness.md calls a reader stale and a cluster stuck.
const defaultBound = 10 * time.Second

// Check finds everything in h that no cluster may show, in an order that depends on h alone. It goes over the history twice: first it learns
// what stands at which offset, then, with the order of all records known, it follows each client.
func Check(h History, o Options) []Anomaly {
	if o.Stale == 0 {
		o.Stale = defaultBound
	}
	if o.Limit == 0 {
		o.Limit = 100
	}
	c := &checker{h: h, o: o, counts: map[Kind]int{}, ids: map[Key]int32{}, values: make(map[int64]int32, len(h)/4), done: completions(h),
		finals: map[int]bool{}}
	for i := range h {
		c.learn(&h[i])
	}
	for _, l := range c.logs {
		l.sort()
	}
	c.checkValues()
	c.checkFinal()
	c.checkEpochs()
	c.checkSequences()
	f := newFollower(c)
	for i := range h {
		f.follow(&h[i])
	}
	f.groups.checkSkips()
	f.groups.checkCommits()
	c.checkWindows()
	c.checkAdmin()
	return c.sorted()
}

// checker is what one Check knows.
type checker struct {
	h      History
	o      Options
	out    []Anomaly
	counts map[Kind]int
	// done is, for each invoke, the index of its completion; -1 while it has none.
	done []int32
	ids  map[Key]int32
	logs []*keyLog
	// values leads from a value to its place in sends.
	values map[int64]int32
	sends  []sent
	finals map[int]bool // processes of the final reads
}

func completions(h History) []int32 {
	done := make([]int32, len(h))
	for i := range h {
		done[i] = -1
		if h[i].Begun != i {
			done[h[i].Begun] = int32(i)
		}
	}
	return done
}

// log is what is known of a key.
func (c *checker) log(k Key) *keyLog {
	id, ok := c.ids[k]
	if !ok {
		id = int32(len(c.logs))
		c.ids[k] = id
		c.logs = append(c.logs, newKeyLog(k, id))
	}
	return c.logs[id]
}

// outcome is what became of the call that op i began.
func (c *checker) outcome(begun int) (t Type, at int) {
	d := c.done[begun]
	if d < 0 {
		return Info, -1
	}
	return c.h[d].Type, int(d)
}
