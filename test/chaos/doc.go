// Package chaos breaks real klamm processes under load and checks what their clients were promised.
//
// Owns:        the faults and when they come, the checks at the end: what clients saw (sim/history), replicas byte by byte, logs, memory.
// Never:       knows the house from inside, waits for anything without a bound.
// Concurrency: tests run one after the other; a campaign acts from one goroutine, its clients from theirs.
// Start at:    campaign_test.go (five machines), the faults by kind, finish_test.go; kill, groups and damage are about one node.
package chaos
