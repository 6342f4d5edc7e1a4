package history

import (
	"slices"
	"sync"
)

// Recorder collects ops from many clients at once.
type Recorder struct {
	now func() int64
	mu  struct {
		sync.Mutex
		ops History
	}
}

// NewRecorder takes the time, in nanoseconds, from now; it need not begin at 0.
func NewRecorder(now func() int64) *Recorder { return &Recorder{now: now} }

// Call is an op that has begun.
type Call struct {
	r     *Recorder
	index int
	op    Op // what its completion repeats
}

func (r *Recorder) add(op Op, begun int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	op.Index = len(r.mu.ops)
	op.Begun = begun
	if begun < 0 {
		op.Begun = op.Index
	}
	// The time is read under the lock, so that it never goes back along the history.
	op.TimeNs = r.now()
	r.mu.ops = append(r.mu.ops, op)
	return op.Index
}

// Begin records that an op is about to start: before its request can leave. Index, Begun, Type and TimeNs are the recorder's. A call that is
// never ended counts as info.
func (r *Recorder) Begin(op Op) *Call {
	op.Type = Invoke
	return &Call{r: r, index: r.add(op, -1), op: op}
}

// Note records something that has no beginning, such as an assignment that a group gave.
func (r *Recorder) Note(op Op) { r.add(op, -1) }

// OK records that the op happened. mops replace those of the invoke, unless there are none.
func (c *Call) OK(mops ...Mop) { c.end(OK, nil, mops) }

// Fail records that the op certainly did not happen.
func (c *Call) Fail(err error) { c.end(Fail, err, nil) }

// Info records that nobody knows; mops are what was seen nevertheless (records polled before an error).
func (c *Call) Info(err error, mops ...Mop) { c.end(Info, err, mops) }

// Describe sets what an admin op found, before OK.
func (c *Call) Describe(found Change) *Call {
	c.op.Change = &found
	return c
}

func (c *Call) end(t Type, err error, mops []Mop) {
	op := c.op
	op.Type = t
	if err != nil {
		op.Err = err.Error()
	}
	if len(mops) > 0 || op.F == Poll {
		op.Mops = mops
	}
	c.r.add(op, c.index)
}

// History is a copy of what was recorded so far.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mu.ops)
}

// Since is a copy of what was recorded from index from on: for who watches while it goes on.
func (r *Recorder) Since(from int) History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mu.ops[from:])
}

// Len is how many ops were recorded so far.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.mu.ops)
}
