package wire_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/klamm/klamm/internal/wire"
)

// The fuzz targets start from one random message per key and version, always the same ones, and from what stands in testdata/fuzz.

// seeds is a filler whose messages are the same in every run.
func seeds() *filler {
	f := &filler{Rand: rand.New(rand.NewPCG(1, 2))}
	f.tags = f.unknownTags
	return f
}

// modulo picks one of n by any number.
func modulo(i uint16, n int) int { return int(i) % n }

func FuzzRequest(f *testing.F)  { fuzzMessages(f, false) }
func FuzzResponse(f *testing.F) { fuzzMessages(f, true) }

// fuzzMessages has every decoder read anything: no panic, no more memory than the budget, and what it accepts must survive being written
// and read again.
func fuzzMessages(f *testing.F, response bool) {
	fill := seeds()
	for _, m := range messages() {
		if m.response == response {
			body := m.make()
			fill.fill(reflect.ValueOf(body).Elem())
			f.Add(int16(m.key), m.version, body.Append(nil, m.version))
		}
	}
	keys := wire.Keys()
	f.Fuzz(func(t *testing.T, k, version int16, raw []byte) {
		key := wire.Key(k)
		lo, hi, _, ok := wire.Versions(key)
		if !ok {
			key = keys[modulo(uint16(k), len(keys))]
			lo, hi, _, _ = wire.Versions(key)
		}
		if version < lo || version > hi {
			version = lo + int16(modulo(uint16(version), int(hi-lo)+1))
		}
		m := message{key: key, version: version, response: response}
		fresh := func() wire.Body {
			if response {
				b, _ := wire.NewResponse(key)
				return b
			}
			b, _ := wire.NewRequest(key)
			return b
		}
		_ = checkRoundTrip(t, m, fresh, version, raw, wire.DefaultLimits())
	})
}

// FuzzData does the same for records of the metadata log and of internal topics, which come from disk.
func FuzzData(f *testing.F) {
	fill := seeds()
	all := data()
	for i, m := range all {
		body := m.make()
		fill.fill(reflect.ValueOf(body).Elem())
		f.Add(uint16(i), body.Append(nil, m.version))
	}
	f.Fuzz(func(t *testing.T, i uint16, raw []byte) {
		m := all[modulo(i, len(all))]
		_ = checkRoundTrip(t, m, m.make, m.version, raw, wire.TrustedLimits())
	})
}

func FuzzProduceVisitor(f *testing.F) {
	fill := seeds()
	for v := int16(0); v <= 13; v++ {
		var m wire.ProduceRequest
		fill.fill(reflect.ValueOf(&m).Elem())
		f.Add(v, m.Append(nil, v))
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		checkProduceVisit(t, body, int16(modulo(uint16(version), 14)))
	})
}

func FuzzFetchVisitor(f *testing.F) {
	fill := seeds()
	for v := int16(0); v <= 18; v++ {
		var m wire.FetchRequest
		fill.fill(reflect.ValueOf(&m).Elem())
		f.Add(v, m.Append(nil, v))
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		checkFetchVisit(t, body, int16(modulo(uint16(version), 19)))
	})
}

// FuzzRequestHeader reads headers, which come before anything else is known of a connection.
func FuzzRequestHeader(f *testing.F) {
	client := "client"
	for _, m := range messages() {
		if !m.response {
			h := wire.RequestHeader{Key: m.key, Version: m.version, CorrelationID: 1, ClientID: &client}
			f.Add(h.Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := wire.NewDecoder(raw, wire.DefaultLimits())
		h, err := wire.DecodeRequestHeader(d)
		if err != nil {
			return
		}
		again := h.Append(nil)
		back, err := wire.DecodeRequestHeader(wire.NewDecoder(again, wire.TrustedLimits()))
		if err != nil || !reflect.DeepEqual(h, back) {
			t.Fatalf("%x: %+v, then %+v, %v", raw, h, back, err)
		}
	})
}

// FuzzResponseHeader reads what a client of another broker might get.
func FuzzResponseHeader(f *testing.F) {
	f.Add(int16(3), int16(0), []byte{0, 0, 0, 1})
	f.Add(int16(3), int16(12), []byte{0, 0, 0, 1, 1, 5, 2, 7, 7})
	f.Add(int16(18), int16(3), []byte{0, 0, 0, 1, 1})
	f.Fuzz(func(t *testing.T, key, version int16, raw []byte) {
		d := wire.NewDecoder(raw, wire.DefaultLimits())
		id, err := wire.DecodeResponseHeader(d, wire.Key(key), version)
		if err == nil && len(raw)-d.Remaining() < 4 {
			t.Fatalf("%x: id %d from %d bytes", raw, id, d.Offset())
		}
	})
}

// FuzzTags reads nothing but tagged fields: ListGroups v3 has no other.
func FuzzTags(f *testing.F) {
	fill := seeds()
	for range 10 {
		var m wire.ListGroupsRequest
		fill.tags(reflect.ValueOf(&m.UnknownTags).Elem())
		f.Add(m.Append(nil, 3))
	}
	f.Add([]byte{2, 5, 0, 3, 1, 9})    // out of order
	f.Add([]byte{2, 5, 1, 1, 5, 1, 2}) // twice the same
	f.Fuzz(func(t *testing.T, raw []byte) {
		name := message{key: wire.KeyListGroups, version: 3}
		fresh := func() wire.Body { return new(wire.ListGroupsRequest) }
		if checkRoundTrip(t, name, fresh, 3, raw, wire.DefaultLimits()) != nil {
			return
		}
		var m wire.ListGroupsRequest
		_ = m.Decode(wire.NewDecoder(raw, wire.DefaultLimits()), 3)
		if m.UnknownTags == nil {
			return
		}
		last := int64(-1)
		for _, tag := range *m.UnknownTags {
			if int64(tag.Number) <= last {
				t.Fatalf("%x: tag %d behind %d", raw, tag.Number, last)
			}
			last = int64(tag.Number)
		}
	})
}
