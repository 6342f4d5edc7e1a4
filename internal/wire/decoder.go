package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/klamm/klamm/internal/model"
)

// ErrMalformed says that bytes are not a message of the claimed kind and version: truncated, a negative length, a
// null where none may stand. The connection that sent them cannot be trusted to be in step any more.
var ErrMalformed = errors.New("malformed message")

// ErrBudget says that decoding would cost more memory or elements than Limits allow. The bytes may be well formed.
var ErrBudget = errors.New("message over the decode budget")

// Limits bound what one message may cost before any of it is trusted. A claimed array length is checked against the
// bytes that are left, the element count and the memory budget before anything is allocated for it.
type Limits struct {
	// AllocFactor times the message's size, plus AllocExtra, is what decoding may allocate in bytes.
	AllocFactor int
	// AllocExtra covers small messages, whose structs are naturally larger than their bytes.
	AllocExtra int
	// Elements is how many array elements one message may hold in all its arrays together.
	Elements int
	// StringBytes is the longest string, in bytes.
	StringBytes int
	// Tags is how many distinct unknown tagged fields one struct may carry (KIP-482). DropTags passes over them.
	Tags int
}

// DropTags as a limit lets any number of unknown tagged fields come, and keeps none of them.
const DropTags = -1

// maxTagCount is how many tagged fields a struct may claim at all; Kafka refuses more before reading them.
const maxTagCount = 10_000

// DefaultLimits are for requests from clients. AllocExtra is what 10,000 topics with names of a few letters take beyond the factor: an
// old Metadata request has 7 bytes for each of them and its struct has 53.
func DefaultLimits() Limits {
	return Limits{AllocFactor: 4, AllocExtra: 512 << 10, Elements: 1_000_000, StringBytes: math.MaxInt16, Tags: 64}
}

// TrustedLimits are for messages written by this cluster itself: its own metadata log, group records, and the
// responses of its own nodes. They still refuse lengths that the bytes at hand cannot back.
func TrustedLimits() Limits {
	return Limits{AllocFactor: 64, AllocExtra: 1 << 20, Elements: 16_000_000, StringBytes: math.MaxInt16, Tags: 64}
}

// Decoder reads one message from a byte slice. The first error sticks and every later read returns zero, so that
// generated code checks once. The zero Decoder is empty; call Reset.
//
// Strings are copied. Bytes fields (records, SASL tokens, group metadata) alias the input, which must live and stay
// unchanged as long as they are used.
type Decoder struct {
	buf   []byte
	off   int
	end   int // reads stop here: the end of buf, or of the tagged field being read
	err   error
	alloc int // bytes that may still be allocated
	elems int // array elements that may still be decoded
	lim   Limits
}

// NewDecoder reads buf under limits.
func NewDecoder(buf []byte, limits Limits) *Decoder {
	d := new(Decoder)
	d.Reset(buf, limits)
	return d
}

// Reset makes d read another message with a fresh budget.
func (d *Decoder) Reset(buf []byte, limits Limits) {
	*d = Decoder{buf: buf, end: len(buf), lim: limits}
	d.alloc = limits.AllocExtra
	if n := len(buf); limits.AllocFactor > 0 && n > (math.MaxInt-d.alloc)/limits.AllocFactor {
		d.alloc = math.MaxInt
	} else {
		d.alloc += n * limits.AllocFactor
	}
	d.elems = limits.Elements
}

// Err is the first error met.
func (d *Decoder) Err() error { return d.err }

// Offset is how many bytes have been read.
func (d *Decoder) Offset() int { return d.off }

// Remaining is how many bytes have not been read.
func (d *Decoder) Remaining() int { return d.end - d.off }

// Rest returns the unread bytes without reading them; it aliases the input.
func (d *Decoder) Rest() []byte { return d.buf[d.off:d.end:d.end] }

func (d *Decoder) malformed(what string, n int64) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s %d at byte %d", ErrMalformed, what, n, d.off)
	}
	d.off = d.end
}

func (d *Decoder) overBudget(what string, n, limit int) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s %d, limit %d, at byte %d", ErrBudget, what, n, limit, d.off)
	}
	d.off = d.end
}

// charge takes n bytes from the memory budget.
func (d *Decoder) charge(n int) bool {
	if n > d.alloc {
		d.overBudget("allocation of", n, d.alloc)
		return false
	}
	d.alloc -= n
	return true
}

// take returns the next n bytes, or nil when they are not there.
func (d *Decoder) take(n int) []byte {
	if d.end-d.off < n {
		d.malformed("message ends before its next field, bytes missing:", int64(n-(d.end-d.off)))
		return nil
	}
	b := d.buf[d.off : d.off+n : d.off+n]
	d.off += n
	return b
}

func (d *Decoder) int8() int8 {
	if b := d.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (d *Decoder) bool() bool { return d.int8() != 0 }

func (d *Decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *Decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *Decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *Decoder) int16() int16     { return int16(d.uint16()) }
func (d *Decoder) int32() int32     { return int32(d.uint32()) }
func (d *Decoder) int64() int64     { return int64(d.uint64()) }
func (d *Decoder) float64() float64 { return math.Float64frombits(d.uint64()) }

func (d *Decoder) errorCode() model.ErrorCode { return model.ErrorCode(d.int16()) }

func (d *Decoder) uuid() (u model.UUID) {
	copy(u[:], d.take(len(u)))
	return u
}

// uvarint reads an unsigned varint of at most 32 bits.
func (d *Decoder) uvarint() uint32 {
	var v uint64
	for i := range 5 {
		if d.off+i >= d.end {
			d.malformed("message ends inside a varint, bytes missing:", 1)
			return 0
		}
		c := d.buf[d.off+i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if v > math.MaxUint32 {
				break
			}
			d.off += i + 1
			return uint32(v)
		}
	}
	d.malformed("varint is longer than 32 bits, bytes left:", int64(d.end-d.off))
	return 0
}

// length reads a length in the old form (size bytes, signed, -1 is null) or the compact form (uvarint of length+1).
// It returns -1 for null. The caller has yet to check it against the bytes left.
func (d *Decoder) length(flex bool, size int) int {
	if flex {
		return int(d.uvarint()) - 1
	}
	if size == 2 {
		return int(d.int16())
	}
	return int(d.int32())
}

// sized reads a length-prefixed run of bytes. Null gives (nil, false); null where nullOK is false is an error.
func (d *Decoder) sized(flex, nullOK bool, size int) ([]byte, bool) {
	n := d.length(flex, size)
	if d.err != nil {
		return nil, false
	}
	if n < 0 {
		if n < -1 || !nullOK {
			d.malformed("a value that may not be null has length", int64(n))
		}
		return nil, false
	}
	b := d.take(n)
	return b, d.err == nil
}

func (d *Decoder) text(flex, nullOK bool) ([]byte, bool) {
	b, ok := d.sized(flex, nullOK, 2)
	if len(b) > d.lim.StringBytes {
		d.overBudget("string of length", len(b), d.lim.StringBytes)
		return nil, false
	}
	return b, ok
}

func (d *Decoder) string(flex bool) string {
	b, ok := d.text(flex, false)
	if !ok || !d.charge(len(b)) {
		return ""
	}
	return string(b)
}

func (d *Decoder) nullString(flex, nullOK bool) *string {
	b, ok := d.text(flex, nullOK)
	if !ok || !d.charge(len(b)+int(unsafe.Sizeof(""))) {
		return nil
	}
	s := string(b)
	return &s
}

// bytes reads a byte field without copying. Null is nil and empty is not.
func (d *Decoder) bytes(flex, nullOK bool) []byte {
	b, _ := d.sized(flex, nullOK, 4)
	return b
}

// present reads the marker before a struct that may be null: -1 for null (KIP-893).
func (d *Decoder) present(size uintptr) bool {
	return d.int8() >= 0 && d.err == nil && d.charge(int(size))
}

// arrayLen reads an array's length and checks it against everything known: the bytes left when each element needs at
// least minSize of them, the element count, and the memory budget at size bytes each. -1 is null.
func (d *Decoder) arrayLen(flex, nullOK bool, minSize int, size uintptr) int {
	n := d.length(flex, 4)
	switch {
	case d.err != nil:
		return -1
	case n < 0:
		if n < -1 || !nullOK {
			d.malformed("an array that may not be null has length", int64(n))
		}
		return -1
	case n > d.elems:
		d.overBudget("array of length", n, d.elems)
		return -1
	case n > (d.end-d.off)/max(minSize, 1):
		d.malformed("array is longer than the message, elements:", int64(n))
		return -1
	case !d.charge(n * int(size)):
		return -1
	}
	d.elems -= n
	return n
}

// newArray reads an array's length and allocates it. Null gives nil, empty gives a slice that is not nil.
func newArray[T any](d *Decoder, flex, nullOK bool, minSize int) []T {
	var zero T
	n := d.arrayLen(flex, nullOK, minSize, unsafe.Sizeof(zero))
	if n < 0 {
		return nil
	}
	return make([]T, n)
}

func readArray[T any](d *Decoder, flex, nullOK bool, minSize int, read func(*Decoder) T) []T {
	s := newArray[T](d, flex, nullOK, minSize)
	for i := range s {
		s[i] = read(d)
	}
	return s
}

func (d *Decoder) int8s(flex, nullOK bool) []int8 {
	return readArray(d, flex, nullOK, 1, (*Decoder).int8)
}

func (d *Decoder) int16s(flex, nullOK bool) []int16 {
	return readArray(d, flex, nullOK, 2, (*Decoder).int16)
}

func (d *Decoder) int32s(flex, nullOK bool) []int32 {
	return readArray(d, flex, nullOK, 4, (*Decoder).int32)
}

func (d *Decoder) int64s(flex, nullOK bool) []int64 {
	return readArray(d, flex, nullOK, 8, (*Decoder).int64)
}

func (d *Decoder) uuids(flex, nullOK bool) []model.UUID {
	return readArray(d, flex, nullOK, 16, (*Decoder).uuid)
}

func (d *Decoder) strings(flex, nullOK bool) []string {
	s := newArray[string](d, flex, nullOK, 1)
	for i := range s {
		if d.err != nil {
			return nil
		}
		s[i] = d.string(flex)
	}
	return s
}
