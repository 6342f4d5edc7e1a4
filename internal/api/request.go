package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/wire"
)

// Request is one request on its way through a handler.
type Request struct {
	*server.Request
	Conn    *server.Conn
	Version int16
	// Image is the metadata this request sees, from its start to its end.
	Image *metadata.Image

	ctx context.Context
	out *[]byte // takes the answer of a request that another node forwarded; nil for a client's

	refused bool // this node's controller is not active, and has changed nothing
	again   bool // then an answer is not wanted: there will be another try
}

// Context ends when the node stops. It is for calls that may wait.
func (r *Request) Context() context.Context { return r.ctx }

// errMalformed closes the connection: a client whose bytes cannot be read cannot be answered either, as in Kafka.
var errMalformed = errors.New("malformed request")

// decode reads the body into m under the connection's budget.
func (r *Request) decode(m wire.Request) error {
	d := wire.NewDecoder(r.Body, wire.DefaultLimits())
	if err := m.Decode(d, r.Version); err != nil {
		return fmt.Errorf("%w: %s v%d from %s: %w", errMalformed, wire.Name(m.APIKey()), r.Version, r.Conn.RemoteAddr(), err)
	}
	return nil
}

// send completes the reply with m.
func (r *Request) send(m wire.Response) {
	if r.out != nil {
		*r.out = m.Append(*r.out, r.Version)
		return
	}
	b := r.Reply.Bytes()
	*b = m.Append(*b, r.Version)
	r.Reply.Send()
}

// one adapts a decoded request type to the table: it reads the body, calls the handler, sends what it returns.
func one[Q any, PQ interface {
	*Q
	wire.Request
}, R wire.Response](h func(*API, *Request, PQ) (R, error)) serialHandler {
	return func(a *API, r *Request) error {
		q := PQ(new(Q))
		if err := r.decode(q); err != nil {
			return err
		}
		resp, err := h(a, r, q)
		switch {
		case err != nil:
			return err
		case r.refused && r.again:
			return errRefused
		}
		r.send(resp)
		return nil
	}
}
