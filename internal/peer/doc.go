// Package peer serves the node port: what one node says to another (RFC 0001).
//
// Owns:        the table of that port, and the rule that Hello comes first and matches.
// Never:       decides: it decodes, asks the node, the controller or api, and encodes. What stands in its table cannot be reached from a
// client's port, nor the other way round.
// Concurrency: requests of a connection are taken in their order; those that may wait run on a goroutine each, so that a heartbeat is not
// held up by the topic creation before it. Their answers still leave in order.
// Invariants:  nothing but Hello is served to a connection before its node has said which cluster it belongs to, and it is ours.
// Start at:    peer.go.
package peer
