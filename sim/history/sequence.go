package history

import "strings"

// outOfOrder is how a broker tells a producer that a batch before is missing.
const outOfOrder = "OUT_OF_ORDER_SEQUENCE_NUMBER"

// writer is a producer's sends to one key, which its sequence numbers count.
type writer struct {
	process int
	key     int32
}

// checkSequences: a producer all of whose records to a key were taken, or are still asked for, has left no gap, so it must not be told of one: a
// client that is gives up, or sends again under a new epoch what may have been written (P2).
func (c *checker) checkSequences() {
	if c.o.NotIdempotent {
		return
	}
	gap := map[writer]bool{}
	for i := range c.h {
		op := &c.h[i]
		if op.F != Send || op.Type == Invoke || op.Type == OK {
			continue
		}
		for j := range c.h[op.Begun].Mops {
			l := c.log(c.h[op.Begun].Mops[j].Key)
			w := writer{op.Process, l.id}
			if !gap[w] && strings.HasPrefix(op.Err, outOfOrder) {
				c.report(SequenceRefused, l.key, []int{op.Begun, op.Index}, "process %d was told that its sequence has a gap, and had left none", op.Process)
			}
			gap[w] = true
		}
	}
}
