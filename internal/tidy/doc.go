// Package tidy is the house's style as tests: each rule says what to do instead.
//
// Owns:        limits on sizes, documentation of exported names, banned names and constructs, and the ratchets of old excess.
// Never:       is imported.
// Start at:    tidy_test.go.
package tidy
