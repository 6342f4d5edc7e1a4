package server

import "time"

// Limits bound what clients may cost. A zero field takes its default.
type Limits struct {
	// Connections over all listeners (max.connections). Default 10,000.
	Connections int
	// ConnectionsPerIP from one remote address (max.connections.per.ip). Default 1,000.
	ConnectionsPerIP int
	// ConnectionsPerSecond accepted, as a rate; a burst of one second's worth is allowed (max.connection.creation.rate). Connections
	// above the rate wait in the listen backlog. Default 500.
	ConnectionsPerSecond int

	// FrameBytes is the largest Produce request (socket.request.max.bytes). Default 100 MiB.
	FrameBytes int
	// OtherFrameBytes is the largest request of any other API. Default 16 MiB.
	OtherFrameBytes int
	// UntrustedFrameBytes is the largest frame of a connection that has not authenticated where its listener demands it, and of
	// an API key the protocol does not know. Default 64 KiB.
	UntrustedFrameBytes int

	// QueuedBytes bounds the memory that requests and unsent replies occupy over all connections (queued.max.request.bytes). At the
	// bound no more is read. Default 256 MiB.
	QueuedBytes int64
	// PendingReplies of one connection; at the bound its next request waits. Default 512.
	PendingReplies int
	// UnsentBytes of completed replies of one connection, file ranges not counted; at the bound its next request waits. Default 1 MiB.
	UnsentBytes int

	// Idle closes a connection on which nothing arrived and nothing is owed (connections.max.idle.ms). Default 10 minutes.
	Idle time.Duration
	// Handshake is the time a connection has to authenticate where its listener demands it. Default 10 s.
	Handshake time.Duration
	// PartialFrame closes a connection that began a frame and sends no further byte of it. Default 30 s.
	PartialFrame time.Duration
	// WriteStall closes a connection whose peer takes no byte of a reply. Default 30 s.
	WriteStall time.Duration

	// ColdReads is how many replies at once may wait for the disk to deliver file ranges that are not in the page cache. Default 32.
	ColdReads int
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.Connections, 10_000)
	orDefault(&l.ConnectionsPerIP, 1_000)
	orDefault(&l.ConnectionsPerSecond, 500)
	orDefault(&l.FrameBytes, 100*mib)
	orDefault(&l.OtherFrameBytes, min(16*mib, l.FrameBytes))
	orDefault(&l.UntrustedFrameBytes, 64*kib)
	orDefault(&l.QueuedBytes, 256*mib)
	orDefault(&l.PendingReplies, 512)
	orDefault(&l.UnsentBytes, mib)
	orDefault(&l.Idle, 10*time.Minute)
	orDefault(&l.Handshake, 10*time.Second)
	orDefault(&l.PartialFrame, 30*time.Second)
	orDefault(&l.WriteStall, 30*time.Second)
	orDefault(&l.ColdReads, 32)
	return l
}
