// Package vfs is the disk as the engines see it: the operating system's, one in memory that can crash, and one that fails on
// command.
//
// Owns:        FS and File, and their three implementations OS, Mem and Faulty.
// Never:       knows what is in a file, retries, or hides an error.
// Concurrency: an FS and its Files may be used from any goroutine; concurrent writes to one range have no defined order.
// Invariants:  what Sync, SyncData, SyncDir and SyncFS have confirmed survives a crash of Mem; the rest survives in any subset.
// Start at:    vfs.go (the interfaces and what each call promises), then mem.go.
package vfs
