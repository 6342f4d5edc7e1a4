package wire

import (
	"slices"
	"unsafe"
)

// Tag is a tagged field (KIP-482) this codec does not know, kept so that it survives being passed on.
type Tag struct {
	// Number identifies the field within its struct.
	Number uint32
	// Value is the field's bytes; they alias the message that was decoded.
	Value []byte
}

// Tags are a struct's unknown tagged fields, in ascending order of Number. Generated structs hold a pointer that is
// nil when there are none, which is nearly always: 8 bytes instead of 24 in every array element.
type Tags []Tag

// count is the number of tags, and none for nil.
func (t *Tags) count() int {
	if t == nil {
		return 0
	}
	return len(*t)
}

// with returns t with the tag added in order; a repeated number replaces the earlier value.
func (t *Tags) with(d *Decoder, number uint32, value []byte) *Tags {
	if t == nil {
		if !d.charge(int(unsafe.Sizeof(Tags{}))) {
			return nil
		}
		t = new(Tags)
	}
	i, found := slices.BinarySearchFunc(*t, number, func(e Tag, n uint32) int { return int(int64(e.Number) - int64(n)) })
	if found {
		(*t)[i].Value = value
		return t
	}
	if len(*t) >= d.lim.Tags {
		d.overBudget("unknown tagged fields:", len(*t)+1, d.lim.Tags)
		return t
	}
	// Growing by append at most doubles, and copies stay below the sum of all sizes.
	if d.charge(2 * int(unsafe.Sizeof(Tag{}))) {
		*t = slices.Insert(*t, i, Tag{Number: number, Value: value})
	}
	return t
}

// tagCount reads how many tagged fields follow.
func (d *Decoder) tagCount() int {
	n := int(d.uvarint())
	if n > maxTagCount {
		d.overBudget("tagged fields:", n, maxTagCount)
		return 0
	}
	return n
}

// openTag reads a tagged field's number and size and confines reading to it until closeTag.
func (d *Decoder) openTag() (number uint32, outer int) {
	number = d.uvarint()
	size := int(d.uvarint())
	if size < 0 || size > d.end-d.off {
		d.malformed("tagged field is longer than the message, bytes:", int64(size))
		return number, d.end
	}
	outer = d.end
	d.end = d.off + size
	return number, outer
}

// closeTag ends a tagged field: all of it must have been read.
func (d *Decoder) closeTag(outer int) {
	if d.err == nil && d.off != d.end {
		d.malformed("tagged field was not read to its end, bytes left:", int64(d.end-d.off))
	}
	d.end = outer
	if d.err != nil {
		d.off = outer
	}
}

// unknown reads the whole of an open tagged field.
func (d *Decoder) unknown(t *Tags, number uint32) *Tags {
	b := d.take(d.end - d.off)
	if d.err != nil || d.lim.Tags == DropTags {
		return t
	}
	return t.with(d, number, b)
}

// tags reads the tagged fields of a struct that knows none.
func (d *Decoder) tags() (t *Tags) {
	for range d.tagCount() {
		number, outer := d.openTag()
		t = d.unknown(t, number)
		d.closeTag(outer)
		if d.err != nil {
			return t
		}
	}
	return t
}

// openTag starts a tagged field: its number, and one byte for the size of the value the caller appends next.
func openTag(dst []byte, number uint32) (out []byte, mark int) {
	dst = append(appendUvarint(dst, number), 0)
	return dst, len(dst)
}

// closeTag writes the size of the value appended since openTag, moving the value when the size needs more bytes.
func closeTag(dst []byte, mark int) []byte {
	size := len(dst) - mark
	if size < 0x80 {
		dst[mark-1] = byte(size)
		return dst
	}
	var prefix [5]byte
	p := appendUvarint(prefix[:0], uint32(size))
	dst = append(dst, p[1:]...)
	copy(dst[mark-1+len(p):], dst[mark:mark+size])
	copy(dst[mark-1:], p)
	return dst
}

// allTags is above every tag number.
const allTags = 1 << 32

// appendTags writes the unknown tags numbered from..below-1, so that known and unknown fields stand in order.
func appendTags(dst []byte, t *Tags, from, below uint64) []byte {
	if t == nil {
		return dst
	}
	for _, tag := range *t {
		if n := uint64(tag.Number); n >= from && n < below {
			dst = appendUvarint(dst, tag.Number)
			dst = appendUvarint(dst, uint32(len(tag.Value)))
			dst = append(dst, tag.Value...)
		}
	}
	return dst
}
