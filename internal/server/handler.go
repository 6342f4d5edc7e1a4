package server

import (
	"io"
	"time"

	"github.com/klamm/klamm/internal/wire"
)

// Handler answers requests.
type Handler interface {
	// Serve runs on the connection's reader goroutine, one request of a connection at a time and in their order. It may return with
	// r.Reply still open and complete it later from any goroutine; the next request is served meanwhile, and replies still leave in
	// order. It may also block, which holds up this connection and no other. r and r.Body are the server's again when it returns.
	Serve(c *Conn, r *Request)
}

// Request is one frame a client sent.
type Request struct {
	Header wire.RequestHeader
	// Body follows the header. It aliases the connection's buffer.
	Body []byte
	// Received is when the bytes that completed the frame were read.
	Received time.Time
	// Reply must be completed exactly once, by Send, SendHere, Drop or Abort.
	Reply *Reply
}

// Owner keeps resources for a reply. Its methods are called without locks of this room, from any goroutine, and must not block.
type Owner interface {
	// Hurry asks for the reply to be completed soon with what there is: its connection is gone, or the server is stopping. It may
	// come at any time before Written, or not at all.
	Hurry()
	// Written says that the reply's bytes and files are no longer needed: they were sent, or never will be. It comes exactly once,
	// after the reply was completed.
	Written()
}

// File is where a range of a reply is read from. On Linux a file that also has a descriptor (Fd() uintptr, as *os.File has) is sent by
// sendfile; its owner keeps it open until Written.
type File interface {
	io.ReaderAt
}

// descriptor is a File that sendfile can use.
type descriptor interface {
	Fd() uintptr
}

// BurstEnder is told when the requests that arrived together have all been served, before their replies are written and before the
// reader waits for anything: the moment to ask once for what all of them need.
type BurstEnder interface {
	BurstEnd()
}
