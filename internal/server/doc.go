// Package server carries Kafka's frames between sockets and a Handler: listeners, frames in, ordered replies out.
//
// Owns:        listeners, connections, the memory that requests wait in, the order of replies, limits and timeouts.
// Never:       interprets a request body, knows what an API does, touches a partition.
// Concurrency: one reader goroutine per connection; it reads, runs Handler.Serve and writes the replies that were completed inline.
//
//	Replies completed later are written by a goroutine that exists only while there is something to write; the writer role is
//	a flag under Conn.mu, held by one goroutine at a time. An idle connection is one parked goroutine without a buffer.
//
// Invariants:  replies leave in the order of their requests; a reply is completed exactly once; memory for a frame grows with the
//
//	bytes that arrived, not with the size it claims; nothing is called and nothing is written while Conn.mu is held.
//
// Start at:    handler.go (what a Handler sees), conn.go (life of a connection), inbound.go (frames), outbound.go (replies).
package server
