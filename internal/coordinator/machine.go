package coordinator

import "time"

// Machine is the state of one shard. It is called from one goroutine at a time.
//
// What has to outlive the node changes only in Replay. A machine may keep other state beside it, such as who is waiting: that is lost
// with the shard, and changes in steps.
type Machine interface {
	// Replay takes one record of the log into the state: when the shard loads, and after each append. A nil value is a tombstone. Key
	// and value are valid during the call only. An error says that the record cannot be read; it is logged and skipped.
	Replay(key, value []byte) error
	// Loaded is called once, after the last record of the log and before the first step.
	Loaded(now time.Time)
	// Next is when Tick wants to be called; ok is false when there is nothing to wait for.
	Next() (at time.Time, ok bool)
	// Tick does one thing that is due. It is called again until Next lies in the future.
	Tick(now time.Time) Step
	// Abandon fails whatever waits in the machine: the shard is over.
	Abandon(err error)
}

// Event is a request on its way to a machine.
type Event[M Machine] interface {
	// Step decides what the event does.
	Step(m M, now time.Time) Step
	// Independent says that Step may run while records of other independent events are decided but not yet appended: it neither reads
	// what they change nor leaves anything behind that a failure of their append would make wrong. Such events share batches.
	Independent() bool
	// Refuse tells the event that it will never run.
	Refuse(err error)
}

// Record is a key and a value to append; a nil value is a tombstone.
type Record struct{ Key, Value []byte }

// Reply is an answer that is ready but may have to wait.
type Reply interface {
	// Deliver gives the answer, or err in its place. It does not block.
	Deliver(err error)
}

// Step is a machine's decision. The shard does, in this order: give Now; append Records in one batch and Replay them; call Then; give
// Replies, and what Then returned, once the records are committed. When the append fails, Replies get the error, Then is told, and what
// it returns is given at once.
type Step struct {
	// Now are answers that rest on no record.
	Now []Reply
	// Records are appended together, whole or not at all, unless Divisible allows several batches. Then a failure can leave the first
	// ones appended.
	Records   []Record
	Divisible bool
	// Replies wait for everything appended so far, Records among it: what they tell has been decided upon uncommitted state otherwise.
	Replies []Reply
	// Then, when set, continues the step after the append. Nothing runs between.
	Then func(err error) []Reply
}
