package wire

import "fmt"

// RequestHeader stands before every request body.
type RequestHeader struct {
	// Key and Version say how to read the body.
	Key     Key
	Version int16
	// CorrelationID comes back in the response header.
	CorrelationID int32
	// ClientID is what the client calls itself; it may be null.
	ClientID *string
	// Tags are the header's tagged fields. Kafka defines none for clients.
	Tags *Tags
}

// RequestHeaderVersion is 2 where the request is flexible and 1 before. Unknown keys and versions count as flexible
// when the key's newest known version is, so that an answer can still name the correlation id.
func RequestHeaderVersion(key Key, version int16) int16 {
	if flexible(key, version) {
		return 2
	}
	return 1
}

// ResponseHeaderVersion is 1 where the response is flexible and 0 before. ApiVersions always answers with 0, because
// its client does not yet know what the broker speaks (KIP-511).
func ResponseHeaderVersion(key Key, version int16) int16 {
	if key != KeyAPIVersions && flexible(key, version) {
		return 1
	}
	return 0
}

func flexible(key Key, version int16) bool {
	_, _, from, ok := Versions(key)
	return ok && from >= 0 && version >= from
}

// Append writes the header behind dst, without the frame's size.
func (h *RequestHeader) Append(dst []byte) []byte {
	dst = appendInt16(dst, int16(h.Key))
	dst = appendInt16(dst, h.Version)
	dst = appendInt32(dst, h.CorrelationID)
	// The client id keeps its old form in every header version, so that a broker can read it before it knows better.
	dst = appendNullString(dst, h.ClientID, false, true)
	if RequestHeaderVersion(h.Key, h.Version) >= 2 {
		dst = appendUvarint(dst, uint32(h.Tags.count()))
		dst = appendTags(dst, h.Tags, 0, allTags)
	}
	return dst
}

// Decode reads a header and leaves d at the body. Key, Version and CorrelationID are valid whenever the first eight
// bytes were there, even when an error is returned.
func (h *RequestHeader) Decode(d *Decoder) error {
	*h = RequestHeader{Key: Key(d.int16()), Version: d.int16(), CorrelationID: d.int32()}
	h.ClientID = d.nullString(false, true)
	if RequestHeaderVersion(h.Key, h.Version) >= 2 {
		h.Tags = d.tags()
	}
	return d.err
}

// DecodeRequestHeader reads a header and leaves d at the body.
func DecodeRequestHeader(d *Decoder) (RequestHeader, error) {
	var h RequestHeader
	err := h.Decode(d)
	return h, err
}

// AppendResponseHeader writes the header of the response to a request of this key and version.
func AppendResponseHeader(dst []byte, key Key, version int16, correlationID int32) []byte {
	dst = appendInt32(dst, correlationID)
	if ResponseHeaderVersion(key, version) >= 1 {
		dst = append(dst, 0) // no tagged fields
	}
	return dst
}

// DecodeResponseHeader reads the header of a response and leaves d at the body.
func DecodeResponseHeader(d *Decoder, key Key, version int16) (correlationID int32, err error) {
	correlationID = d.int32()
	if ResponseHeaderVersion(key, version) >= 1 {
		d.tags()
	}
	if d.err != nil {
		return correlationID, fmt.Errorf("response header of %s v%d: %w", key, version, d.err)
	}
	return correlationID, nil
}
