// Package replicas compares the copies of partitions byte by byte (R8): below the high watermark all replicas of a partition that is not
// compacted hold the same batches.
//
// Owns:        First, the comparison of readers; Compare, which reads stopped nodes' data directories.
// Never:       asks a running node, repairs anything.
// Start at:    first.go, directories.go.
package replicas
