// Package inspect reads a data directory whose node is stopped, without changing a byte of it.
//
// Owns:        finding partitions and segments; walking batches; what `klamm storage verify` calls damage.
// Never:       writes, recovers, or trusts an index: everything is read from the segments themselves.
// Concurrency: one reader.
// Start at:    directory.go, then verify.go; the files are drawn in docs/format.
package inspect
