package wire

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/klamm/klamm/internal/model"
)

// maxString is the longest string Kafka's protocol carries, in either form.
const maxString = math.MaxInt16

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendInt16(dst []byte, v int16) []byte { return binary.BigEndian.AppendUint16(dst, uint16(v)) }
func appendInt32(dst []byte, v int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(v)) }
func appendInt64(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

func appendUint16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }

func appendFloat64(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v))
}

func appendUvarint(dst []byte, v uint32) []byte { return binary.AppendUvarint(dst, uint64(v)) }

// appendLen writes a length prefix: compact (length+1 as uvarint), or size bytes. -1 is null.
func appendLen(dst []byte, n int, flex bool, size int) []byte {
	switch {
	case flex:
		return appendUvarint(dst, uint32(n+1))
	case size == 2:
		return appendInt16(dst, int16(n))
	default:
		return appendInt32(dst, int32(n))
	}
}

// clip keeps a string inside what a length prefix can say. Only error messages ever come near; a cut message is
// better than a broken frame.
func clip(s string) string {
	if len(s) <= maxString {
		return s
	}
	n := maxString
	for n > maxString-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func appendString(dst []byte, s string, flex bool) []byte {
	s = clip(s)
	return append(appendLen(dst, len(s), flex, 2), s...)
}

// appendNullString writes nil as null, or as "" in versions that know no null.
func appendNullString(dst []byte, s *string, flex, nullOK bool) []byte {
	switch {
	case s != nil:
		return appendString(dst, *s, flex)
	case nullOK:
		return appendLen(dst, -1, flex, 2)
	default:
		return appendLen(dst, 0, flex, 2)
	}
}

func appendBytes(dst, b []byte, flex, nullOK bool) []byte {
	if b == nil && nullOK {
		return appendLen(dst, -1, flex, 4)
	}
	return append(appendLen(dst, len(b), flex, 4), b...)
}

// appendArrayLen writes the length of an array, null when it is nil and may be null.
func appendArrayLen(dst []byte, n int, null, flex bool) []byte {
	if null {
		n = -1
	}
	return appendLen(dst, n, flex, 4)
}

func appendInt8s(dst []byte, s []int8, flex, nullOK bool) []byte {
	dst = appendArrayLen(dst, len(s), s == nil && nullOK, flex)
	for _, v := range s {
		dst = append(dst, byte(v))
	}
	return dst
}

func appendInt16s(dst []byte, s []int16, flex, nullOK bool) []byte {
	dst = appendArrayLen(dst, len(s), s == nil && nullOK, flex)
	for _, v := range s {
		dst = appendInt16(dst, v)
	}
	return dst
}

func appendInt32s(dst []byte, s []int32, flex, nullOK bool) []byte {
	dst = appendArrayLen(dst, len(s), s == nil && nullOK, flex)
	for _, v := range s {
		dst = appendInt32(dst, v)
	}
	return dst
}

func appendInt64s(dst []byte, s []int64, flex, nullOK bool) []byte {
	dst = appendArrayLen(dst, len(s), s == nil && nullOK, flex)
	for _, v := range s {
		dst = appendInt64(dst, v)
	}
	return dst
}

func appendUUIDs(dst []byte, s []model.UUID, flex, nullOK bool) []byte {
	dst = appendArrayLen(dst, len(s), s == nil && nullOK, flex)
	for i := range s {
		dst = append(dst, s[i][:]...)
	}
	return dst
}

func appendStrings(dst []byte, s []string, flex, nullOK bool) []byte {
	dst = appendArrayLen(dst, len(s), s == nil && nullOK, flex)
	for _, v := range s {
		dst = appendString(dst, v, flex)
	}
	return dst
}

// appendPresent writes the marker before a struct that may be null.
func appendPresent(dst []byte, present bool) []byte {
	if present {
		return append(dst, 1)
	}
	return append(dst, 0xff)
}
