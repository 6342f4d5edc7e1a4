// Package dev runs a throwaway cluster of broker processes.
//
// Owns:        the processes, their directories and ports, until the cluster ends.
// Never:       looks into a broker: it starts the binary it is part of, and asks for /readyz.
// Concurrency: one goroutine per process waits for its end.
// Start at:    dev.go.
package dev
