// Package client is how a node talks to other nodes: connections that are opened when needed, opened again after they broke, and carry many
// requests at once.
//
// Owns:        Client, and a Peer per address with its one connection.
// Never:       serves anything, repeats a request on its own (only the caller knows whether that is safe), interprets messages.
// Concurrency: any goroutine may call. A peer's requests go out in the order of the calls and are answered in that order.
// Invariants:  an answer belongs to the request it is given for, or the connection is closed; a broken connection fails every request
// on it at once; a peer that cannot be reached costs one dial per pause, however many callers there are.
// Start at:    client.go, then peer.go.
package client
