//go:build !linux

package server

import "net"

func newTransport(c *Conn, nc net.Conn) transport { return &plainTransport{c: c, nc: nc} }

// resident reports whether the page cache holds the range; nothing portable tells.
func resident(File, int64, int64) bool { return true }

// readAhead returns when the range is in the page cache.
func readAhead(File, int64, int64) error { return nil }

// readCached fills b from f.
func readCached(f File, b []byte, offset int64) bool { return readFully(f, b, offset) == nil }
