package wire

import "strconv"

// RecordType is the number of a kind of record in the metadata log. Where Kafka's metadata log has the same kind, it has the same
// number; what only Klamm has begins at 100.
type RecordType int16

// String is the record's name, or its number when there is none.
func (t RecordType) String() string {
	if name := RecordName(t); name != "" {
		return name
	}
	return "RecordType(" + strconv.Itoa(int(t)) + ")"
}

// MetadataRecord is one record of the metadata log.
type MetadataRecord interface {
	Body
	// RecordType is the record's number.
	RecordType() RecordType
}
