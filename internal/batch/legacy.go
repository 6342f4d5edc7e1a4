package batch

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/klamm/klamm/internal/model"
)

// Message sets are what Kafka had before batches: messages of format v0 or v1 one after another, or one message whose value is
// such a set in compressed form. Produce requests before version 3 carry them; we store none and convert them to one v2 batch.

// Where the fields of a message lie, behind its offset and length.
const (
	legacyCRCAt        = 12
	legacyMagicAt      = magicAt
	legacyAttributesAt = 17
	legacyTimestampAt  = 18 // format v1 only
	legacyKeyAtV0      = 18
	legacyKeyAtV1      = 26
	legacyMinV0        = legacyKeyAtV0 + 8
	legacyMinV1        = legacyKeyAtV1 + 8
)

// message is one message of a set.
type message struct {
	offset     model.Offset
	magic      int8
	attributes Attributes
	timestamp  int64 // -1 in format v0
	key, value []byte
}

// parseMessage reads the message that is all of b and checks its CRC-32.
func parseMessage(b []byte) (m message, err error) {
	m = message{magic: int8(b[legacyMagicAt]), timestamp: noTimestamp}
	keyAt, least := legacyKeyAtV0, legacyMinV0
	if m.magic == 1 {
		keyAt, least = legacyKeyAtV1, legacyMinV1
	}
	if len(b) < least {
		return m, corrupt("message of %d bytes", len(b))
	}
	if crc32.ChecksumIEEE(b[legacyMagicAt:]) != binary.BigEndian.Uint32(b[legacyCRCAt:]) {
		return m, corrupt("message checksum")
	}
	m.offset = model.Offset(binary.BigEndian.Uint64(b))
	m.attributes = Attributes(b[legacyAttributesAt])
	if m.magic == 1 {
		m.timestamp = int64(binary.BigEndian.Uint64(b[legacyTimestampAt:]))
	}
	rest := b[keyAt:]
	if m.key, rest, err = legacyBytes(rest); err != nil {
		return m, err
	}
	if m.value, rest, err = legacyBytes(rest); err != nil {
		return m, err
	}
	if len(rest) != 0 {
		return m, corrupt("message of %d bytes ends after %d", len(b), len(b)-len(rest))
	}
	return m, nil
}

// legacyBytes reads a 32-bit length and as many bytes; -1 is null.
func legacyBytes(b []byte) (field, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, corrupt("message ends too early")
	}
	n := int32(binary.BigEndian.Uint32(b))
	b = b[4:]
	if n == -1 {
		return nil, b, nil
	}
	if n < 0 || int(n) > len(b) {
		return nil, nil, corrupt("message field of %d bytes", n)
	}
	return b[:n:n], b[n:], nil
}

// converter turns a message set into records.
type converter struct {
	r     *Rules
	magic int8 // of the first message: one set has one format
	index int32
	bad   *faults
	add   func(*Record) error
}

// convert makes one v2 batch out of a message set.
func convert(set []byte, r *Rules) (Checked, error) {
	first, err := firstEntry(set)
	if err != nil {
		return Checked{}, err
	}
	if first == nil {
		return Checked{}, refuse(model.InvalidRecord, "Record batch has no batches at all")
	}
	slots <- struct{}{}
	defer func() { <-slots }()
	codec, err := wrapperCodec(set)
	if err != nil {
		return Checked{}, err
	}
	o := PlainBatch()
	o.Codec = codec
	if r.Codec != ProducerCodec {
		o.Codec, o.Level = r.Codec, r.Level
	}
	return build(o, r, func(add func(*Record) error) error {
		c := converter{r: r, magic: int8(first[magicAt]), add: add}
		if err := c.outer(set); err != nil {
			return err
		}
		return c.bad.refusal()
	})
}

// wrapperCodec finds how the set is compressed. A compressed message must be the only one.
func wrapperCodec(set []byte) (Codec, error) {
	codec, messages := None, 0
	for rest := set; ; {
		one, err := firstEntry(rest)
		if err != nil {
			return None, err
		}
		if one == nil {
			break
		}
		if len(one) > legacyAttributesAt && one[magicAt] < currentMagic {
			if c := Attributes(one[legacyAttributesAt]).Codec(); c != None {
				codec = c
			}
		}
		messages++
		rest = rest[len(one):]
	}
	switch {
	case codec != None && messages > 1:
		return None, refuse(model.InvalidRecord, "Compressed outer record has more than one batch")
	case codec > LZ4:
		return None, refuse(model.InvalidRecord, "Invalid wrapper compressionType found in legacy deep record iterator")
	}
	return codec, nil
}

// outer walks the set as it came.
func (c *converter) outer(set []byte) error {
	for {
		one, err := firstEntry(set)
		if err != nil || one == nil {
			return err
		}
		set = set[len(one):]
		if int8(one[magicAt]) != c.magic {
			return refuse(model.InvalidRecord, "Batch magic %d is not the same as the first batch's magic byte %d in topic partition %v",
				one[magicAt], c.magic, c.r.TP)
		}
		if c.r.MaxBytes > 0 && len(one) > c.r.MaxBytes {
			return refuse(model.MessageTooLarge,
				"The record batch size in the append to %v is %d bytes which exceeds the maximum configured value of %d.",
				c.r.TP, len(one), c.r.MaxBytes)
		}
		m, err := parseMessage(one)
		if err != nil {
			return refuse(model.CorruptMessage, "%v in topic partition %v", err, c.r.TP)
		}
		if m.attributes.Codec() == None {
			err = c.record(&m, m.attributes)
		} else {
			err = c.inner(&m)
		}
		if err != nil {
			return err
		}
	}
}

// inner walks the set inside of a compressed message.
func (c *converter) inner(wrapper *message) error {
	if wrapper.value == nil {
		return refuse(model.InvalidRecord, "Found invalid compressed record set with null value (magic = %d)", wrapper.magic)
	}
	w := newWorkspace()
	defer w.release()
	budget := LimitsFor(c.r.MaxBytes).budget()
	if err := w.openLoose(wrapper.value, wrapper.attributes.Codec(), budget, wrapper.magic == 0); err != nil {
		return err
	}
	last := model.NoOffset
	for !w.in.atEnd() {
		m, err := w.nextMessage(innerFactor * c.r.MaxBytes)
		if errors.Is(err, errLongInner) {
			return c.r.tooLarge(innerFactor * c.r.MaxBytes)
		}
		if err != nil && w.in.failure == nil { // it decompresses, but the message is damaged
			return refuse(model.CorruptMessage, "%v in topic partition %v", err, c.r.TP)
		}
		if err != nil {
			return err
		}
		if m.magic != c.magic {
			return refuse(model.InvalidRecord, "Compressed message magic %d does not match wrapper magic %d", m.magic, c.magic)
		}
		last = m.offset
		if m.attributes.Codec() != None {
			return refuse(model.InvalidRecord, "Inner messages must not be compressed")
		}
		if m.magic == 1 && wrapper.attributes.LogAppendTime() {
			m.timestamp = wrapper.timestamp
		}
		if err := c.record(&m, wrapper.attributes); err != nil {
			return err
		}
	}
	switch {
	case w.in.failure != nil:
		return w.in.failure
	case last == model.NoOffset:
		return refuse(model.InvalidRecord, "Found invalid compressed record set with no inner records")
	case c.magic == 1 && wrapper.offset != 0 && wrapper.offset < last:
		return refuse(model.InvalidRecord, "Found invalid wrapper offset in compressed v1 message set, wrapper offset '%d' is less than "+
			"the last inner message offset '%d' and it is not zero.", wrapper.offset, last)
	}
	return nil
}

// innerFactor times max.message.bytes is the longest message inside of a compressed one. It is read whole before it can be checked, so its
// claimed length must not be what the memory for it is measured by. Producers of that age kept messages below the limit before compression.
const innerFactor = 4

var errLongInner = errors.New("inner message is too long")

// nextMessage reads a message of at most limit bytes out of a compressed set. Its bytes are valid until the next.
func (w *workspace) nextMessage(limit int) (message, error) {
	if !w.in.have(minEntryHead) {
		return message{}, w.in.failure
	}
	length := int32(binary.BigEndian.Uint32(w.in.buf[w.in.pos+lengthAt:]))
	magic := w.in.buf[w.in.pos+magicAt]
	if length < minEntry || magic > 1 {
		return message{}, corrupt("message of %d bytes, magic %d", length, magic)
	}
	if int(length) > limit {
		return message{}, errLongInner
	}
	b := w.in.take(int(length) + lengthOverhead)
	if w.in.failure != nil {
		return message{}, w.in.failure
	}
	return parseMessage(b)
}

// record checks a message as Validate checks a record, and adds it as long as nothing was wrong.
func (c *converter) record(m *message, outer Attributes) error {
	oldest, newest := c.r.timestampRange()
	switch {
	case c.r.KeyRequired && m.key == nil:
		c.bad = c.bad.add(model.InvalidRecord, c.index, c.r.keyMessage())
	case !c.r.LogAppendTime && m.timestamp != noTimestamp:
		if m.timestamp < oldest || m.timestamp > newest {
			c.bad = c.bad.add(model.InvalidTimestamp, c.index, c.r.rangeMessage(m.timestamp, model.Offset(c.index)))
		}
	case outer.LogAppendTime():
		c.bad = c.bad.add(model.InvalidTimestamp, c.index, appendTimeMessage)
	}
	c.index++
	if c.bad != nil {
		return nil
	}
	return c.add(&Record{Timestamp: m.timestamp, Key: m.key, Value: m.value})
}
