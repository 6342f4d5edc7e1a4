// Package reset plans new offsets for a group, for `klamm group reset` and kafka-consumer-groups --reset-offsets.
//
// Owns:        what --to-earliest, --to-datetime, --shift-by and their siblings mean, partition by partition; their formats of time.
// Never:       commits anything, prints.
// Concurrency: functions only.
// Start at:    plan.go.
package reset
