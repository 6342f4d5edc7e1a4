package api

import (
	"bytes"
	"reflect"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/wire"
)

// unsupported answers what is not in the table. An ApiVersions of a version nobody knows gets the form every client reads (KIP-511:
// version 0 with the ranges). Any other message whose format we know gets UNSUPPORTED_VERSION; what has no known format cannot be answered,
// and the connection is closed, as Kafka does.
func (a *API) unsupported(c *server.Conn, sr *server.Request) {
	a.Metrics.Unsupported.Add(1)
	if sr.Header.Key == wire.KeyAPIVersions {
		sr.Reply.As(0)
		r := Request{Request: sr, Conn: c, Version: 0, Image: a.Image(), ctx: a.ctx}
		r.send(a.versions(&r, model.UnsupportedVersion))
		return
	}
	a.Logger.Info("unsupported request", "api", sr.Header.Key, "version", sr.Header.Version, "client_id", c.ClientID(), "client", c.RemoteAddr())
	if m := refusalOf(sr.Header.Key, sr.Header.Version); m != nil {
		r := Request{Request: sr, Conn: c, Version: sr.Header.Version, ctx: a.ctx}
		r.send(m)
		return
	}
	sr.Reply.Abort(errUnsupported)
}

// refusalOf is a response that says UNSUPPORTED_VERSION, or nil where the format has no place for an error about the whole request.
func refusalOf(key wire.Key, version int16) wire.Response {
	low, high, _, known := wire.Versions(key)
	if !known || version < low || version > high {
		return nil
	}
	m, ok := wire.NewResponse(key)
	if !ok {
		return nil
	}
	// These messages have nothing in common but a field's name, and this path is not one that has to be fast.
	f := reflect.ValueOf(m).Elem().FieldByName("ErrorCode")
	if !f.IsValid() || f.Type() != reflect.TypeFor[model.ErrorCode]() {
		return nil
	}
	silent := m.Append(nil, version)
	f.Set(reflect.ValueOf(model.UnsupportedVersion))
	if bytes.Equal(m.Append(nil, version), silent) {
		return nil // older versions may lack the field: an answer without it would say that all is well
	}
	return m
}
