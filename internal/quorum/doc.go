// Package quorum keeps the metadata log: it drives raft, makes its log durable, and turns committed records into images.
//
// Owns:        the directory of the metadata log (one append-only log file, snapshots, a space reserve), the raft state machine
// (go.etcd.io/raft/v3), the published image.
// Never:       decides what to propose, looks into records beyond replaying them.
// Concurrency: three goroutines: the driver steps raft and writes the log; the applier replays committed batches and publishes; the
// keeper writes snapshots. Exported methods may be called from any goroutine.
// Invariants:  term, vote and entries are synced before anything is answered or counted because of them; an entry is applied
// once, in order, and only when committed; what a Done callback reports as committed survives every crash (M1, M2);
// a directory belongs to one voter for ever: another cluster, node or directory id is refused (M6); messages leave after the sync of what they
// promise; a membership change and the voter records that say the same are one entry.
// Start at:    quorum.go, driver.go, network.go, logfile.go, then docs/format/metadata-log.md.
package quorum
