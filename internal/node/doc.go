// Package node builds a node from its rooms, and stops it again.
//
// Owns:        the order of starting and stopping; the set of replicas this node holds; the adapters between rooms.
// Never:       decides anything a room decides; parses requests; touches segment files.
// Concurrency: Start and Stop are called once. publish runs on the quorum's apply goroutine, one image after the other. The set of
// replicas is read without a lock by every request.
// Invariants:  nothing is listened on before every log is open; what was started is stopped in reverse; an image is visible to requests
// only after the logs it names are open.
// Start at:    run.go, then node.go, publish.go.
package node
