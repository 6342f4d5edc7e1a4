// Package metadata is what every node knows of the cluster: topics, partitions, brokers, configurations, features.
//
// Owns:        the records of the metadata log and their frame, Image (what the log says up to an offset), Delta (what changed
// between two images), Replay (the only way to get from one image to the next).
// Never:       decides anything (the controller room does), does I/O, reads the clock, lets anybody change an Image.
// Concurrency: an Image never changes once published; any goroutine may read it for as long as it likes. A Replay belongs to one.
// Invariants:  image + records = next image, on every node alike; the records of Image.Records replayed on an empty image give the
// same image (M4); a topic id that was removed is never created again (M5); partition epochs only grow;
// ISR and ELR are disjoint subsets of the replicas; a leader is a member of the ISR, or none.
// Start at:    image.go, replay.go, then tree.go (how images share structure) and docs/format/metadata-log.md.
package metadata
