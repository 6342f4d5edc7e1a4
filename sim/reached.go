package main

import (
	"fmt"
	"strings"
)

// sometimes are states that a thousand seeds must reach, each at least once for so many seeds: a simulation that never gets there proves
// nothing about them.
var sometimes = map[string]int{
	"a leader was elected": 1, "the controller changed": 10, "the ISR was not whole": 2, "a replica was in the ELR": 20,
	"a partition had no leader": 20, "a disk was wiped": 50, "log truncated": 20, "torn tail": 20, "acknowledged": 1, "read": 1,
	"durable records missing": 200, "metadata snapshot installed": 200, "segments deleted": 1000,
}

// enough checks that the seeds were about something.
func enough(reached map[string]uint64, seeds int) error {
	var missing []string
	for what, per := range sometimes {
		if seeds >= 4*per && reached[what] == 0 {
			missing = append(missing, what)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("never reached in %d seeds: %s", seeds, strings.Join(missing, "; "))
	}
	return nil
}
