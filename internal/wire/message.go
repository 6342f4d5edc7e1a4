package wire

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// Key is Kafka's number of an API.
type Key int16

// String is the API's name, or its number when there is none.
func (k Key) String() string {
	if name := Name(k); name != "" {
		return name
	}
	return "Key(" + strconv.Itoa(int(k)) + ")"
}

// Body is a message that can be read and written in every version of its definition.
//
// Fields that a version does not carry are left out by Append without complaint, and set to their defaults by Decode.
// A version outside the definition is the caller's mistake: see Versions.
type Body interface {
	// Append writes the message behind dst, without header or size.
	Append(dst []byte, version int16) []byte
	// Decode replaces the message by what d holds. Errors wrap ErrMalformed or ErrBudget; the message is then
	// only partly filled and must not be used. Bytes behind the message are left unread.
	Decode(d *Decoder, version int16) error
}

// Request is the body of a request.
type Request interface {
	Body
	// APIKey is the API's number.
	APIKey() Key
}

// Response is the body of a response.
type Response interface {
	Body
	// APIKey is the API's number.
	APIKey() Key
}

// AppendVersioned writes a message behind its version as int16: Kafka's frame for the keys and values of
// __consumer_offsets and __transaction_state, and for consumer protocol subscriptions and assignments.
func AppendVersioned(dst []byte, version int16, m Body) []byte {
	return m.Append(appendInt16(dst, version), version)
}

// SplitVersion takes the int16 version from the front of what AppendVersioned wrote.
func SplitVersion(b []byte) (version int16, body []byte, err error) {
	if len(b) < 2 {
		return 0, nil, fmt.Errorf("%w: no version in %d bytes", ErrMalformed, len(b))
	}
	return int16(binary.BigEndian.Uint16(b)), b[2:], nil
}
