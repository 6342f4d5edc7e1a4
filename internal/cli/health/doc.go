// Package health reads how a cluster is, over Kafka's protocol alone: its brokers, partitions that ail and why, its metadata quorum.
//
// Owns:        the questions, and what their answers come to.
// Never:       prints.
// Concurrency: none.
// Start at:    state.go, quorum.go.
package health
