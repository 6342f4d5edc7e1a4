package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/wire"
)

// TestHeaders compares request headers with kmsg's, for every key and version.
func TestHeaders(t *testing.T) {
	client := "client"
	for _, m := range messages() {
		req := kmsg.RequestForKey(int16(m.key))
		if m.response || req == nil {
			continue
		}
		req.SetVersion(m.version)
		frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID(client)).AppendRequest(nil, req, 77)
		h := wire.RequestHeader{Key: m.key, Version: m.version, CorrelationID: 77, ClientID: &client}
		ours := h.Append(nil)
		if theirs := frame[4:]; !bytes.HasPrefix(theirs, ours) {
			t.Fatalf("%s: header %x, kmsg %x", m, ours, theirs)
		}
		d := wire.NewDecoder(frame[4:], wire.DefaultLimits())
		back, err := wire.DecodeRequestHeader(d)
		if err != nil || back.Key != m.key || back.Version != m.version || back.CorrelationID != 77 || *back.ClientID != client || d.Offset() != len(ours) {
			t.Fatalf("%s: %+v at %d, %v", m, back, d.Offset(), err)
		}
	}
}

// TestResponseHeaders: version 1 ends with tagged fields, and ApiVersions always has version 0 (KIP-511).
func TestResponseHeaders(t *testing.T) {
	for _, m := range messages() {
		if !m.response {
			continue
		}
		raw := wire.AppendResponseHeader(nil, m.key, m.version, 9)
		want := 4
		if req := kmsg.RequestForKey(int16(m.key)); req == nil {
			want = 5 // only between nodes, where every message is flexible
		} else if m.key != wire.KeyAPIVersions {
			if req.SetVersion(m.version); req.IsFlexible() {
				want = 5
			}
		}
		d := wire.NewDecoder(raw, wire.DefaultLimits())
		id, err := wire.DecodeResponseHeader(d, m.key, m.version)
		if len(raw) != want || id != 9 || err != nil || d.Remaining() != 0 {
			t.Errorf("%s: header %x, want %d bytes; read back %d, %v", m, raw, want, id, err)
		}
	}
}

// TestHeaderOfUnknown reads as much of an unknown request's header as an answer needs.
func TestHeaderOfUnknown(t *testing.T) {
	for _, tc := range []struct {
		key     wire.Key
		version int16
		header  int16
	}{
		{wire.KeyAPIVersions, 99, 2}, // a client of the future asks, and must be answered
		{9999, 0, 1},
		{-1, -1, 1},
		{wire.KeyMetadata, -1, 1},
	} {
		if got := wire.RequestHeaderVersion(tc.key, tc.version); got != tc.header {
			t.Errorf("header of %v v%d is v%d, want v%d", tc.key, tc.version, got, tc.header)
		}
		raw := i16(int16(tc.key)) + i16(tc.version) + i32(5) // and then nothing
		h, err := wire.DecodeRequestHeader(wire.NewDecoder([]byte(raw), wire.DefaultLimits()))
		if !errors.Is(err, wire.ErrMalformed) || h.Key != tc.key || h.Version != tc.version || h.CorrelationID != 5 {
			t.Errorf("%v v%d: %+v, %v", tc.key, tc.version, h, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, k := range wire.Keys() {
		if k.String() != wire.Name(k) || wire.Name(k) == "" {
			t.Errorf("key %d prints as %q", int16(k), k)
		}
		if req, ok := wire.NewRequest(k); !ok || req.APIKey() != k {
			t.Errorf("%v: request %v", k, req)
		}
		if resp, ok := wire.NewResponse(k); !ok || resp.APIKey() != k {
			t.Errorf("%v: response %v", k, resp)
		}
	}
	if s := wire.Key(9999).String(); s != "Key(9999)" {
		t.Errorf("unknown key prints as %q", s)
	}
	if _, ok := wire.NewRequest(9999); ok {
		t.Error("a request of an unknown key")
	}
	if _, ok := wire.NewResponse(9999); ok {
		t.Error("a response of an unknown key")
	}
	if _, _, _, ok := wire.Versions(9999); ok {
		t.Error("versions of an unknown key")
	}
}

func TestVersioned(t *testing.T) {
	raw := wire.AppendVersioned([]byte{}, 1, &wire.OffsetCommitKey{Group: "g", Topic: "t", Partition: 3})
	version, body, err := wire.SplitVersion(raw)
	var key wire.OffsetCommitKey
	if err != nil || version != 1 || key.Decode(wire.NewDecoder(body, wire.TrustedLimits()), version) != nil || key.Partition != 3 {
		t.Errorf("%x: v%d %+v, %v", raw, version, key, err)
	}
	if _, _, err := wire.SplitVersion([]byte{1}); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("one byte: %v", err)
	}
}
