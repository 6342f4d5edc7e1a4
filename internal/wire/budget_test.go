package wire_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/wire"
)

// held is how much memory a message holds besides its own struct, in bytes. Bytes fields alias the input and count nothing.
func held(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Pointer:
		if !v.IsNil() {
			return int(v.Type().Elem().Size()) + held(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return 0
		}
		n = v.Cap() * int(v.Type().Elem().Size())
		for i := range v.Len() {
			n += held(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += held(v.Field(i))
		}
	default:
		// Plain values hold nothing.
	}
	return n
}

// budget is what a message of n bytes may allocate.
func budget(l wire.Limits, n int) int { return l.AllocFactor*n + l.AllocExtra }

// i32, i16, uv and str write pieces of messages by hand.
func i32(v int32) string  { return string(binary.BigEndian.AppendUint32(nil, uint32(v))) }
func i16(v int16) string  { return string(binary.BigEndian.AppendUint16(nil, uint16(v))) }
func uv(v uint64) string  { return string(binary.AppendUvarint(nil, v)) }
func str(s string) string { return i16(int16(len(s))) + s }

// hostile are bodies whose sender means harm, by what they attack.
func hostile() []struct {
	name    string
	key     wire.Key
	version int16
	body    string
	want    error
} {
	type row = struct {
		name    string
		key     wire.Key
		version int16
		body    string
		want    error
	}
	tags := func(n int) string {
		var b strings.Builder
		b.WriteString(uv(uint64(n)))
		for i := range n {
			b.WriteString(uv(uint64(1000+i)) + uv(0))
		}
		return b.String()
	}
	return []row{
		{"2^31-1 elements", wire.KeyMetadata, 1, i32(math.MaxInt32), wire.ErrBudget},
		{"2^31 elements, compact", wire.KeyMetadata, 9, uv(1<<31 + 1), wire.ErrBudget},
		{"2^32-1 elements, compact", wire.KeyMetadata, 9, uv(math.MaxUint32), wire.ErrBudget},
		{"a million elements and no bytes", wire.KeyMetadata, 1, i32(1_000_000), wire.ErrMalformed},
		{"negative array", wire.KeyMetadata, 1, i32(-2), wire.ErrMalformed},
		{"most negative array", wire.KeyMetadata, 1, i32(math.MinInt32), wire.ErrMalformed},
		{"null array that may not be", wire.KeyMetadata, 0, i32(-1), wire.ErrMalformed},
		{"negative string", wire.KeyHeartbeat, 0, i16(-2), wire.ErrMalformed},
		{"null string that may not be", wire.KeyHeartbeat, 0, i16(-1), wire.ErrMalformed},
		{"string longer than the message", wire.KeyHeartbeat, 0, i16(math.MaxInt16) + "a", wire.ErrMalformed},
		{"compact string over the limit", wire.KeyHeartbeat, 4, uv(math.MaxInt16+2) + strings.Repeat("a", math.MaxInt16+1), wire.ErrBudget},
		{"compact string of 4 GiB", wire.KeyHeartbeat, 4, uv(math.MaxUint32) + "a", wire.ErrMalformed},
		{"negative bytes", wire.KeySaslAuthenticate, 0, i32(-2), wire.ErrMalformed},
		{"bytes longer than the message", wire.KeySaslAuthenticate, 0, i32(math.MaxInt32) + "a", wire.ErrMalformed},
		{"varint without end", wire.KeyMetadata, 9, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", wire.ErrMalformed},
		{"varint of 33 bits", wire.KeyMetadata, 9, "\xff\xff\xff\xff\x1f", wire.ErrMalformed},
		{"varint cut off", wire.KeyMetadata, 9, "\xff\xff", wire.ErrMalformed},
		{"tags over the count", wire.KeyListGroups, 3, uv(10_001), wire.ErrBudget},
		{"2^32-1 tags", wire.KeyListGroups, 3, uv(math.MaxUint32), wire.ErrBudget},
		{"more tags than are kept", wire.KeyListGroups, 3, tags(65), wire.ErrBudget},
		{"tag longer than the message", wire.KeyListGroups, 3, uv(1) + uv(5) + uv(1000), wire.ErrMalformed},
		{"tag of 4 GiB", wire.KeyListGroups, 3, uv(1) + uv(5) + uv(math.MaxUint32), wire.ErrMalformed},
		{"known tag shorter than its field", wire.KeyFetch, 12, strings.Repeat("\x00", 4*6+1) + "\x01\x01\x01" + uv(1) + uv(0) + uv(1) + uv(9), wire.ErrMalformed},
		{"nothing at all", wire.KeyCreateTopics, 2, "", wire.ErrMalformed},
		{"array of arrays of nothing", wire.KeyOffsetFetch, 1, str("g") + i32(1) + str("t") + i32(1<<30), wire.ErrBudget},
	}
}

func TestHostileBodies(t *testing.T) {
	for _, tc := range hostile() {
		m, _ := wire.NewRequest(tc.key)
		err := m.Decode(wire.NewDecoder([]byte(tc.body), wire.DefaultLimits()), tc.version)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

// TestHostileBodiesAreCheap measures what is really allocated, by the runtime's own count.
func TestHostileBodiesAreCheap(t *testing.T) {
	const rounds = 50
	for _, tc := range hostile() {
		var before, after runtime.MemStats
		body := []byte(tc.body)
		runtime.ReadMemStats(&before)
		for range rounds {
			m, _ := wire.NewRequest(tc.key)
			_ = m.Decode(wire.NewDecoder(body, wire.DefaultLimits()), tc.version)
		}
		runtime.ReadMemStats(&after)
		if per := int(after.TotalAlloc-before.TotalAlloc) / rounds; per > 16<<10 {
			t.Errorf("%s: %d bytes allocated for a body of %d", tc.name, per, len(body))
		}
	}
}

// TestElementLimit decodes arrays that hold as many elements as allowed, and one more.
func TestElementLimit(t *testing.T) {
	limits := wire.DefaultLimits()
	for _, over := range []int{0, 1} {
		n := limits.Elements + over
		body := str("g") + i32(1) + str("t") + i32(int32(n-1)) // the topic is an element too
		body += strings.Repeat("\x00\x00\x00\x01", n-1)
		var m wire.OffsetFetchRequest
		err := m.Decode(wire.NewDecoder([]byte(body), limits), 1)
		if (over == 1) != errors.Is(err, wire.ErrBudget) || over == 0 && err != nil {
			t.Errorf("%d elements: %v", n, err)
		}
	}
}

// TestTagLimit does the same for unknown tagged fields.
func TestTagLimit(t *testing.T) {
	limits := wire.DefaultLimits()
	for _, over := range []int{0, 1} {
		tags := wire.Tags{}
		for i := range limits.Tags + over {
			tags = append(tags, wire.Tag{Number: uint32(100 + i)})
		}
		body := (&wire.ListGroupsRequest{UnknownTags: &tags}).Append(nil, 3)
		var m wire.ListGroupsRequest
		err := m.Decode(wire.NewDecoder(body, limits), 3)
		if (over == 1) != errors.Is(err, wire.ErrBudget) || over == 0 && err != nil {
			t.Errorf("%d tags: %v", len(tags), err)
		}
		limits.Tags = wire.DropTags
		if err := m.Decode(wire.NewDecoder(body, limits), 3); err != nil || m.UnknownTags != nil {
			t.Errorf("%d tags to be dropped: %v, %v", len(tags), err, m.UnknownTags)
		}
		limits = wire.DefaultLimits()
	}
}

// TestStringLimit does the same for strings, whose length Kafka writes as 16 bits or as a varint.
func TestStringLimit(t *testing.T) {
	limits := wire.DefaultLimits()
	limits.StringBytes = 1000
	for _, version := range []int16{0, 4} {
		for _, over := range []int{0, 1} {
			body := (&wire.HeartbeatRequest{GroupID: strings.Repeat("g", limits.StringBytes+over)}).Append(nil, version)
			err := new(wire.HeartbeatRequest).Decode(wire.NewDecoder(body, limits), version)
			if (over == 1) != errors.Is(err, wire.ErrBudget) || over == 0 && err != nil {
				t.Errorf("v%d, %d over: %v", version, over, err)
			}
		}
	}
}

// TestMemoryLimit finds the budget at which a message is just accepted, and wants it to cover what the message holds.
func TestMemoryLimit(t *testing.T) {
	f := &filler{Rand: newRand(t)}
	f.tags = f.unknownTags
	for _, m := range messages() {
		body := m.make()
		f.fill(reflect.ValueOf(body).Elem())
		raw := body.Append(nil, m.version)
		fits := func(extra int) (wire.Body, bool) {
			limits := wire.DefaultLimits()
			limits.AllocFactor, limits.AllocExtra = 0, extra
			b := m.make()
			err := b.Decode(wire.NewDecoder(raw, limits), m.version)
			if err != nil && !errors.Is(err, wire.ErrBudget) {
				t.Fatalf("%s: %v", m, err)
			}
			return b, err == nil
		}
		low, high := -1, 1<<20 // low does not fit, high does
		for high-low > 1 {
			if mid := (low + high) / 2; func() bool { _, ok := fits(mid); return ok }() {
				high = mid
			} else {
				low = mid
			}
		}
		b, ok := fits(high)
		if n := held(reflect.ValueOf(b).Elem()); !ok || n > high {
			t.Errorf("%s: holds %d bytes on a budget of %d", m, n, high)
		}
	}
}

// TestHonestMessagesFit sends what real clients send at their largest: 10,000 topics with short names, in every version.
func TestHonestMessagesFit(t *testing.T) {
	const topics = 10_000
	metadata := wire.NewMetadataRequest()
	var offsets wire.OffsetFetchRequest
	var created wire.CreateTopicsRequest
	for i := range topics {
		name := fmt.Sprintf("t%04d", i)
		metadata.Topics = append(metadata.Topics, wire.MetadataRequestTopic{Name: &name})
		offsets.Topics = append(offsets.Topics, wire.OffsetFetchRequestTopic{Name: name, PartitionIndexes: []int32{0}})
		created.Topics = append(created.Topics, wire.CreateTopicsRequestTopic{Name: name, NumPartitions: 1, ReplicationFactor: 1})
	}
	for _, m := range []wire.Request{&metadata, &offsets, &created} {
		lo, hi, _, _ := wire.Versions(m.APIKey())
		for v := lo; v <= hi; v++ {
			back, _ := wire.NewRequest(m.APIKey())
			if err := back.Decode(wire.NewDecoder(m.Append(nil, v), wire.DefaultLimits()), v); err != nil {
				t.Errorf("%s v%d: %v", m.APIKey(), v, err)
			}
		}
	}
}
