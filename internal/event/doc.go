// Package event is what happened to the cluster, and why, in words for people.
//
// Owns:        the kinds of events, and a bounded list of them with counts.
// Never:       decides anything, and nothing decides by it: an event that is lost changes nothing.
// Concurrency: a List may be used from any goroutine.
// Start at:    event.go.
package event
