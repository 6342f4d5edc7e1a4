// Package abuse attacks a running klamm with everything the network can bring: garbage, half frames, bombs, crowds, broken batches, a full
// disk. Whatever comes, the process must live, stay within its memory, and serve the clients that behave (invariants L7, S4, S9, A4).
//
// Owns:        the attacks, a raw connection to send them on, a client that behaves and notices when it suffers.
// Never:       knows the house from inside: what an answer must be was asked of Apache Kafka 4.3.1. ABUSE_BROKER=host:port runs what
//
//	needs no process of its own against any broker, Kafka included, so that one can ask again.
//
// Concurrency: each test has its own broker and may run beside others.
// Start at:    target_test.go (the broker under attack), frames_test.go, then the rest by subject.
package abuse
