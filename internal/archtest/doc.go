// Package archtest keeps the house in shape: which room may import which stands here as data, and a test fails on any other edge.
//
// Owns:        the import table of docs/ARCHITECTURE.md.
// Never:       is imported.
// Start at:    rooms.go.
package archtest
