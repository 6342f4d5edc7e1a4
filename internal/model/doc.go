// Package model holds the nouns every other room shares: identifiers, offsets, epochs and Kafka's error codes.
//
// Owns:        small value types. They are distinct types so that an offset cannot be passed for an epoch.
// Never:       does I/O, reads configuration, keeps state.
// Concurrency: values only.
// Start at:    ids.go, then errorcode.go.
package model
