//go:build race

package batch

// raceEnabled: pools forget on purpose under the race detector, so allocations cannot be counted.
const raceEnabled = true
