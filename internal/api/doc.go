// Package api answers Kafka's requests: one file per API, one table that says which are served.
//
// Owns:        the handler table (ApiVersions answers from it), fetch sessions, the mapping of engine errors to Kafka's codes.
// Never:       holds data, opens files, talks raft; engine logic lives in the rooms below.
// Concurrency: a handler runs on its connection's read goroutine. Produce and Fetch may leave a reply open and let the next request
//
//	in (their waits overlap, their answers stay in order); every other API is answered before the next request is read,
//	so a client that pipelines sees what Kafka, which handles one request of a connection at a time, would show it.
//
// Invariants:  what is not in the table is neither advertised nor answered with anything but UNSUPPORTED_VERSION;
//
//	a request reads one metadata image and keeps it.
//
// Start at:    table.go, request.go, then produce.go and fetch.go.
package api
