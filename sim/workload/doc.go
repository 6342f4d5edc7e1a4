// Package workload drives any cluster that speaks Kafka's protocol with real clients, and records what they see in a history.
//
// Owns:        idempotent producers, consumers by assignment and by group, the prober of offsets, admin churn, the final reads.
// Never:       knows whether the cluster is simulated or real, makes a fault, draws randomness or time that it was not given: all of it comes
//
//	from Options.Rand, drawn client by client when the workload is built, and from package time, which a synctest bubble replaces.
//
// Concurrency: one goroutine for each client, and those of kgo; all end when the context of Start ends or Close is called.
// Invariants:  an op is begun before anything of it can leave, and ended after its answer came; it fails only when it certainly did not happen.
// Start at:    workload.go; producer.go.
package workload
