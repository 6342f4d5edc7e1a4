// Package wire turns Kafka's requests, responses and metadata records into Go structs and back.
//
// Owns:        the generated codec (*_gen.go, written by `go run ./gen` from gen/defs), request and response
//
//	headers, the decode budget, and hand-shaped paths for Produce and Fetch that do not allocate.
//
// Never:       does I/O, keeps state between messages, decides which versions are offered (the api room does).
// Concurrency: values only. A Decoder belongs to one goroutine.
// Invariants:  no input makes a decoder panic or allocate more than its Limits allow; what Decode accepts,
//
//	Append writes back as the same message; bytes fields alias the input, strings never do.
//
// Start at:    decoder.go (budget and primitives), header.go, registry_gen.go (keys and versions), then any
//
//	api_*_gen.go; visit_produce.go and visit_fetch.go for the hot paths. gen/README.md tells the format.
package wire
