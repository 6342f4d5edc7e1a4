package metadata

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klamm/klamm/internal/wire"
)

// Record is one fact of the metadata log. The types below are generated from gen/defs/metadata.
type Record = wire.MetadataRecord

// The records of the metadata log, under the names this room and the controller use.
type (
	RegisterBroker           = wire.RegisterBrokerRecord
	RegisterBrokerEndpoint   = wire.RegisterBrokerRecordEndpoint
	RegisterBrokerFeature    = wire.RegisterBrokerRecordFeature
	UnregisterBroker         = wire.UnregisterBrokerRecord
	BrokerRegistrationChange = wire.BrokerRegistrationChangeRecord
	TopicRecord              = wire.TopicRecord
	PartitionRecord          = wire.PartitionRecord
	PartitionChange          = wire.PartitionChangeRecord
	RemoveTopic              = wire.RemoveTopicRecord
	ConfigRecord             = wire.ConfigRecord
	FeatureLevel             = wire.FeatureLevelRecord
	ProducerIDs              = wire.ProducerIDsRecord
	NoOp                     = wire.NoOpRecord
	ActiveController         = wire.ActiveControllerRecord
	VoterRecord              = wire.VoterRecord
	VoterEndpoint            = wire.VoterRecordEndpoint
	RemoveVoter              = wire.RemoveVoterRecord
)

// NewPartitionChange changes nothing yet: leader and epoch stay, every list is absent.
func NewPartitionChange() PartitionChange { return wire.NewPartitionChangeRecord() }

// KeepLeader in a PartitionChange leaves leader and leader epoch as they are.
const KeepLeader = -2

// ErrBadRecord says that bytes of the metadata log or of a snapshot are not records this version can read.
var ErrBadRecord = errors.New("metadata record cannot be read")

// batchFormat is the first byte of a batch of records. Another frame gets another number.
const batchFormat = 1

// AppendBatch writes records behind dst in the frame of the metadata log: what one consensus entry or one block of a snapshot
// holds. All of them are applied together or not at all.
func AppendBatch(dst []byte, records []Record) []byte {
	dst = append(dst, batchFormat)
	dst = binary.AppendUvarint(dst, uint64(len(records)))
	var body []byte
	for _, r := range records {
		version := recordVersion(r)
		body = r.Append(body[:0], version)
		dst = binary.AppendUvarint(dst, uint64(r.RecordType()))
		dst = binary.AppendUvarint(dst, uint64(version))
		dst = binary.AppendUvarint(dst, uint64(len(body)))
		dst = append(dst, body...)
	}
	return dst
}

// recordVersion is the version a record is written in: the oldest, which every member of every cluster so far can read. A newer
// version will be chosen by the metadata.version feature, which rises only when all members can read it (M7).
func recordVersion(r Record) int16 {
	lowest, _, _ := wire.RecordVersions(r.RecordType())
	return lowest
}

// DecodeBatch reads what AppendBatch wrote. Errors wrap ErrBadRecord.
func DecodeBatch(b []byte) ([]Record, error) {
	if len(b) == 0 || b[0] != batchFormat {
		return nil, fmt.Errorf("%w: unknown frame", ErrBadRecord)
	}
	f := frame{b: b[1:]}
	n := f.uvarint()
	if n > uint64(len(f.b)) { // a record takes three bytes at least
		return nil, fmt.Errorf("%w: %d records in %d bytes", ErrBadRecord, n, len(f.b))
	}
	records := make([]Record, 0, n)
	for range n {
		r, err := f.record()
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	if f.bad || len(f.b) != 0 {
		return nil, fmt.Errorf("%w: %d bytes behind the last record", ErrBadRecord, len(f.b))
	}
	return records, nil
}

// frame reads varints off the front of b, and records with one decoder for all.
type frame struct {
	b   []byte
	bad bool
	dec wire.Decoder
}

func (f *frame) uvarint() uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 {
		f.bad, f.b = true, nil
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *frame) record() (Record, error) {
	t, version, size := f.uvarint(), f.uvarint(), f.uvarint()
	if f.bad || t > 1<<15-1 || version > 1<<15-1 || size > uint64(len(f.b)) {
		return nil, fmt.Errorf("%w: truncated", ErrBadRecord)
	}
	rt := wire.RecordType(t)
	lowest, highest, ok := wire.RecordVersions(rt)
	if !ok || int16(version) < lowest || int16(version) > highest {
		return nil, fmt.Errorf("%w: type %d version %d is of a newer Klamm", ErrBadRecord, t, version)
	}
	r, _ := wire.NewMetadataRecord(rt)
	d := &f.dec
	d.Reset(f.b[:size], wire.TrustedLimits())
	if err := r.Decode(d, int16(version)); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrBadRecord, rt, err)
	}
	if d.Remaining() != 0 {
		return nil, fmt.Errorf("%w: %s has %d bytes too many", ErrBadRecord, rt, d.Remaining())
	}
	f.b = f.b[size:]
	return r, nil
}
