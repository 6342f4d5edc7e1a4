package server

import (
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/wire"
)

// Stats count what the server does. All fields may be read at any time.
type Stats struct {
	Open     atomic.Int64 // connections now
	Accepted atomic.Int64
	// Connections refused at the limit on all of them, and at the limit per address.
	RefusedTotal, RefusedPerIP atomic.Int64
	// Connections closed by the server: idle, in the middle of a frame, not taking replies, not authenticating, sending what no client sends.
	ClosedIdle, ClosedPartial, ClosedStalled, ClosedHandshake, ClosedMalformed atomic.Int64

	BytesIn, BytesOut atomic.Int64 // of frames, their sizes included
	Requests, Replies atomic.Int64
	ColdReads         atomic.Int64 // file ranges that were not in the page cache
	MemoryWaits       atomic.Int64 // reads that had to wait for memory
}

// Observer is told about every reply that was written: the API, and the time since its request had arrived.
type Observer interface {
	Replied(key wire.Key, took time.Duration)
}
