package wire_test

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/klamm/klamm/internal/wire"
)

// datum is one version of a message that is not part of a request or response: a record of the metadata log or of an internal topic.
type datum struct {
	version int16
	make    func() wire.Body
}

func (m datum) String() string { return fmt.Sprintf("%T v%d", m.make(), m.version) }

// data are all of them in all versions.
func data() (all []datum) {
	add := func(lo, hi int16, fresh func() wire.Body) {
		for v := lo; v <= hi; v++ {
			all = append(all, datum{v, fresh})
		}
	}
	for t := range wire.RecordType(1 << 10) {
		if lo, hi, ok := wire.RecordVersions(t); ok {
			add(lo, hi, func() wire.Body { m, _ := wire.NewMetadataRecord(t); return m })
		}
	}
	add(0, 3, func() wire.Body { return new(wire.ConsumerProtocolSubscription) })
	add(0, 3, func() wire.Body { return new(wire.ConsumerProtocolAssignment) })
	add(0, 1, func() wire.Body { return new(wire.OffsetCommitKey) })
	add(0, 4, func() wire.Body { return new(wire.OffsetCommitValue) })
	add(2, 2, func() wire.Body { return new(wire.GroupMetadataKey) })
	add(0, 4, func() wire.Body { return new(wire.GroupMetadataValue) })
	return all
}

// checkRoundTrip decodes raw, and wants whatever was decoded to come back from its own encoding, unchanged and in the same bytes.
func checkRoundTrip(t *testing.T, name fmt.Stringer, fresh func() wire.Body, version int16, raw []byte, limits wire.Limits) error {
	t.Helper()
	first := fresh()
	err := first.Decode(wire.NewDecoder(raw, limits), version)
	if n := held(reflect.ValueOf(first).Elem()); n > budget(limits, len(raw)) {
		t.Fatalf("%s: %d bytes made a message that holds %d, over the budget of %d", name, len(raw), n, budget(limits, len(raw)))
	}
	if err != nil {
		return err
	}
	encoded := first.Append(nil, version)
	second := fresh()
	d := wire.NewDecoder(encoded, wire.TrustedLimits())
	if err := second.Decode(d, version); err != nil || d.Remaining() != 0 {
		t.Fatalf("%s: cannot read its own encoding: %v, %d bytes left\nraw     %x\nencoded %x", name, err, d.Remaining(), raw, encoded)
	}
	if again := second.Append(nil, version); !bytes.Equal(again, encoded) {
		t.Fatalf("%s: not stable\nfirst  %x\nsecond %x", name, encoded, again)
	}
	if !sameMessage(first, second) {
		t.Fatalf("%s: not the same message\nfirst  %+v\nsecond %+v", name, first, second)
	}
	return nil
}

// sameMessage is DeepEqual but for NaN, which is not equal to itself. The bytes have been compared before.
func sameMessage(a, b wire.Body) bool {
	dropNaN(reflect.ValueOf(a))
	dropNaN(reflect.ValueOf(b))
	return reflect.DeepEqual(a, b)
}

func dropNaN(v reflect.Value) {
	switch v.Kind() {
	case reflect.Float64:
		if math.IsNaN(v.Float()) {
			v.SetFloat(0)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			dropNaN(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			dropNaN(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			dropNaN(v.Index(i))
		}
	default:
		// Nothing else is unequal to itself.
	}
}

func TestRoundTrip(t *testing.T) {
	f := &filler{Rand: newRand(t)}
	f.tags = f.unknownTags
	check := func(name fmt.Stringer, fresh func() wire.Body, version int16) {
		for range 20 {
			m := fresh()
			f.fill(reflect.ValueOf(m).Elem())
			raw := m.Append(nil, version)
			if err := checkRoundTrip(t, name, fresh, version, raw, wire.TrustedLimits()); err != nil {
				t.Fatalf("%s: %v\n%x", name, err, raw)
			}
			// Cut anywhere, it must be refused or make a shorter message; never a panic.
			_ = checkRoundTrip(t, name, fresh, version, raw[:f.IntN(len(raw)+1)], wire.DefaultLimits())
		}
	}
	for _, m := range messages() {
		check(m, m.make, m.version)
	}
	for _, m := range data() {
		check(m, m.make, m.version)
	}
}

// TestDecodeReplaces decodes into a message that was used before, and wants nothing of it to remain.
func TestDecodeReplaces(t *testing.T) {
	f := &filler{Rand: newRand(t)}
	f.tags = f.unknownTags
	for _, m := range messages() {
		raw := m.make().Append(nil, m.version)
		used, fresh := m.make(), m.make()
		f.fill(reflect.ValueOf(used).Elem())
		for _, b := range []wire.Body{used, fresh} {
			if err := b.Decode(wire.NewDecoder(raw, wire.DefaultLimits()), m.version); err != nil {
				t.Fatalf("%s: %v", m, err)
			}
		}
		if !reflect.DeepEqual(used, fresh) {
			t.Errorf("%s: used %+v, fresh %+v", m, used, fresh)
		}
	}
}

// TestStringsDoNotAlias overwrites the input after decoding: strings must have been copied.
func TestStringsDoNotAlias(t *testing.T) {
	raw := (&wire.HeartbeatRequest{GroupID: "group", MemberID: "member"}).Append(nil, 4)
	var m wire.HeartbeatRequest
	if err := m.Decode(wire.NewDecoder(raw, wire.DefaultLimits()), 4); err != nil {
		t.Fatal(err)
	}
	clear(raw)
	if m.GroupID != "group" || m.MemberID != "member" {
		t.Errorf("strings changed with the input: %q %q", m.GroupID, m.MemberID)
	}
}
