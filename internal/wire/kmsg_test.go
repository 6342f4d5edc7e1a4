package wire_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/wire"
)

// theirs makes kmsg's counterpart of a message, or nil when kmsg does not know the version.
func theirs(m message) kmsgMessage {
	req := kmsg.RequestForKey(int16(m.key))
	if req == nil || m.version > req.MaxVersion() {
		return nil
	}
	req.SetVersion(m.version)
	if !m.response {
		return req
	}
	resp := req.ResponseKind()
	resp.SetVersion(m.version)
	return resp
}

// kmsgMessage is what kmsg's requests and responses have in common.
type kmsgMessage interface {
	AppendTo([]byte) []byte
	ReadFrom([]byte) error
}

// TestKmsgReadsOurs writes random messages, has kmsg read and write them, and wants the same bytes: a field missing, swapped, or of
// another type, length form or nullability would show.
func TestKmsgReadsOurs(t *testing.T) {
	rng := newRand(t)
	f := &filler{Rand: rng}
	f.tags = f.unknownTags
	for _, m := range messages() {
		other := theirs(m)
		if other == nil {
			continue
		}
		for range 40 {
			ours := m.make()
			f.fill(reflect.ValueOf(ours).Elem())
			sent := ours.Append(nil, m.version)
			other = theirs(m)
			if err := other.ReadFrom(sent); err != nil {
				t.Errorf("%s: kmsg cannot read %x: %v", m, sent, err)
				break
			}
			if back := other.AppendTo(nil); !bytes.Equal(sent, back) {
				t.Errorf("%s: kmsg reads and writes it differently:\nours %x\nkmsg %x\nours %+v\nkmsg %+v", m, sent, back, ours, other)
				break
			}
		}
	}
}

// TestWeReadKmsg is the same the other way round.
func TestWeReadKmsg(t *testing.T) {
	rng := newRand(t)
	f := &filler{Rand: rng}
	f.tags = func(v reflect.Value) {
		tags := v.Addr().Interface().(*kmsg.Tags)
		tags.Set(100+rng.Uint32N(100), []byte(f.text()))
		tags.Set(200+rng.Uint32N(100), []byte(f.text()))
	}
	for _, m := range messages() {
		for range 40 {
			other := theirs(m)
			if other == nil {
				break
			}
			f.fill(reflect.ValueOf(other).Elem())
			noNullRecords(other)
			sent := other.AppendTo(nil)
			ours := m.make()
			d := wire.NewDecoder(sent, wire.TrustedLimits())
			if err := ours.Decode(d, m.version); err != nil {
				t.Errorf("%s: cannot read kmsg's %x: %v\n%+v", m, sent, err, other)
				break
			}
			if d.Remaining() != 0 {
				t.Errorf("%s: %d bytes left of kmsg's %x", m, d.Remaining(), sent)
				break
			}
			if back := ours.Append(nil, m.version); !bytes.Equal(sent, back) {
				t.Errorf("%s: we read and write it differently:\nkmsg %x\nours %x\nkmsg %+v\nours %+v", m, sent, back, other, ours)
				break
			}
		}
	}
}

// noNullRecords keeps kmsg from writing what Kafka's schema of ShareFetch does not allow since version 1: records that are null.
func noNullRecords(m kmsgMessage) {
	share, ok := m.(*kmsg.ShareFetchResponse)
	if !ok {
		return
	}
	for i := range share.Topics {
		for j := range share.Topics[i].Partitions {
			if p := &share.Topics[i].Partitions[j]; p.Records == nil {
				p.Records = []byte{}
			}
		}
	}
}
