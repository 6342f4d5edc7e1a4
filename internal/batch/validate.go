package batch

import (
	"encoding/binary"
	"math"

	"github.com/klamm/klamm/internal/model"
)

// Rules are what a topic demands of the batches its producers send.
type Rules struct {
	TP            model.TopicPartition // only named in messages
	MaxBytes      int                  // max.message.bytes: size of a batch as stored
	LogAppendTime bool                 // message.timestamp.type
	NowMs         int64
	BeforeMaxMs   int64 // message.timestamp.before.max.ms
	AfterMaxMs    int64 // message.timestamp.after.max.ms
	KeyRequired   bool  // cleanup.policy holds compact
	Codec         Codec // compression.type; ProducerCodec keeps the producer's
	Level         int   // of Codec when it is not ProducerCodec
}

// Checked is what Validate lets into the log.
type Checked struct {
	// Records is one v2 batch: the input itself unless something had to change that cannot be changed in place.
	Records      []byte
	Header       Header
	MaxTimestamp int64 // ms
}

// The Produce versions that changed what may be sent.
const (
	produceOneBatch = 3 // exactly one v2 batch per partition (KIP-98)
	produceZstd     = 7 // zstd is allowed (KIP-110)
)

// minEntry is the smallest batch or message of any format behind the length field, and minEntryHead what must be there to see
// its format.
const (
	minEntry     = 14
	minEntryHead = magicAt + 1
)

// Validate checks what a client's Produce request of the given version has for one partition, as Kafka's LogValidator does, and
// converts what the topic wants otherwise. Refusals are *RecordError. It may write into records: the timestamps in the header.
//
// A batch that is kept as it is costs no allocation. Bytes behind the batch that are no whole batch are cut off, as in Kafka.
func Validate(records []byte, produceVersion int16, r *Rules) (Checked, error) {
	first, err := firstEntry(records)
	if err != nil {
		return Checked{}, err
	}
	if produceVersion >= produceOneBatch {
		if err := checkRequest(first, records[len(first):], produceVersion); err != nil {
			return Checked{}, err
		}
	} else if first == nil || first[magicAt] < currentMagic {
		return convert(records, r)
	}
	h, err := checkBatch(first, r)
	if err == nil && produceVersion < produceOneBatch {
		err = checkNoMore(records[len(first):])
	}
	if err != nil {
		return Checked{}, err
	}
	return checkRecords(first, h, r)
}

// firstEntry cuts the first batch or message off, nil if there is no whole one.
func firstEntry(b []byte) ([]byte, error) {
	if len(b) < lengthOverhead {
		return nil, nil
	}
	length := int32(binary.BigEndian.Uint32(b[lengthAt:]))
	if length < minEntry {
		return nil, refuse(model.CorruptMessage, "Record size %d is less than the minimum record overhead (%d)", length, minEntry)
	}
	if len(b) < minEntryHead {
		return nil, nil
	}
	if magic := int8(b[magicAt]); magic < 0 || magic > currentMagic {
		return nil, refuse(model.CorruptMessage, "Invalid magic found in record: %d", magic)
	}
	if int64(len(b)) < int64(length)+lengthOverhead {
		return nil, nil
	}
	return b[: length+lengthOverhead : length+lengthOverhead], nil
}

// checkRequest is what the request's version demands.
func checkRequest(first, rest []byte, version int16) error {
	if first == nil {
		return refuse(model.InvalidRecord, "Produce requests with version %d must have at least one record batch per partition", version)
	}
	if first[magicAt] != currentMagic {
		return refuse(model.InvalidRecord, "Produce requests with version %d are only allowed to contain record batches with magic version 2", version)
	}
	if len(first) < HeaderSize {
		return refuse(model.CorruptMessage, "Record batch of %d bytes is shorter than its header", len(first))
	}
	if version < produceZstd && attributesOf(first).Codec() == Zstd {
		return refuse(model.UnsupportedCompressionType, "Produce requests with version %d are not allowed to use ZStandard compression", version)
	}
	second, err := firstEntry(rest)
	if err != nil {
		return err
	}
	if second != nil {
		return refuse(model.InvalidRecord, "Produce requests with version %d are only allowed to contain exactly one record batch per partition", version)
	}
	return nil
}

// checkNoMore is the part of checkRequest that holds for v2 batches in requests of old versions too.
func checkNoMore(rest []byte) error {
	second, err := firstEntry(rest)
	if err == nil && second != nil {
		err = refuse(model.InvalidRecord, "Compressed outer record has more than one batch")
	}
	return err
}

func attributesOf(b []byte) Attributes { return Attributes(binary.BigEndian.Uint16(b[attributesAt:])) }

// checkBatch looks at everything of a v2 batch but its records, in Kafka's order.
func checkBatch(b []byte, r *Rules) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, refuse(model.CorruptMessage, "Record batch of %d bytes is shorter than its header", len(b))
	}
	if base := model.Offset(binary.BigEndian.Uint64(b)); base != 0 {
		return Header{}, refuse(model.InvalidRecord, "The baseOffset of the record batch in the append to %v should be 0, but it is %d", r.TP, base)
	}
	if r.MaxBytes > 0 && len(b) > r.MaxBytes {
		return Header{}, refuse(model.MessageTooLarge,
			"The record batch size in the append to %v is %d bytes which exceeds the maximum configured value of %d.", r.TP, len(b), r.MaxBytes)
	}
	if VerifyCRC(b) != nil {
		return Header{}, refuse(model.CorruptMessage, "Record is corrupt (stored crc = %d) in topic partition %v.",
			binary.BigEndian.Uint32(b[crcAt:]), r.TP)
	}
	// Fields that are signed in Kafka's checks are read as such: ParseHeader refuses the same values with less to say.
	last, count := int32(binary.BigEndian.Uint32(b[lastDeltaAt:])), int32(binary.BigEndian.Uint32(b[countAt:]))
	switch {
	case last < 0:
		return Header{}, refuse(model.InvalidRecord, "Batch has an invalid offset range: [0, %d] in topic partition %v", last, r.TP)
	case count <= 0:
		return Header{}, refuse(model.InvalidRecord, "Invalid reported count for record batch: %d in topic partition %v", count, r.TP)
	case int64(last)+1 != int64(count):
		return Header{}, refuse(model.InvalidRecord,
			"Inconsistent batch offset range [0, %d] and count of records %d in topic partition %v", last, count, r.TP)
	}
	h, err := ParseHeader(b)
	if err != nil {
		return h, refuse(model.CorruptMessage, "%v in topic partition %v", err, r.TP)
	}
	return h, checkAttributes(&h, r)
}

func checkAttributes(h *Header, r *Rules) error {
	switch a := h.Attributes; {
	case !a.Codec().valid():
		return refuse(model.UnsupportedCompressionType, "Unknown compression type id: %d", a.Codec())
	case a.Control():
		return refuse(model.InvalidRecord, "Clients are not allowed to write control records in topic partition %v", r.TP)
	case h.ProducerID > model.NoProducerID && h.BaseSequence < 0:
		return refuse(model.InvalidRecord, "Invalid sequence number %d in record batch with producerId %d in topic partition %v",
			h.BaseSequence, h.ProducerID, r.TP)
	case a.Transactional() && h.ProducerID <= model.NoProducerID:
		return refuse(model.InvalidRecord, "Transactional record batch without a producerId in topic partition %v", r.TP)
	case a.DeleteHorizon():
		// Only the cleaner sets it. Kafka stores it, and takes the producer's first timestamp for the time to drop tombstones.
		return refuse(model.InvalidRecord, "Clients are not allowed to set a delete horizon in topic partition %v", r.TP)
	}
	return nil
}

// checkRecords looks at every record of a batch, and makes it what the topic wants.
func checkRecords(b []byte, h Header, r *Rules) (Checked, error) {
	codec := h.Attributes.Codec()
	if codec != None {
		slots <- struct{}{}
		defer func() { <-slots }()
	}
	w := newWorkspace()
	defer w.release()
	maxTimestamp, err := w.inspect(b, &h, r)
	if err != nil {
		return Checked{}, asRefusal(err, r)
	}
	if r.Codec != ProducerCodec && r.Codec != codec {
		return w.rebuild(b, &h, r)
	}
	if r.LogAppendTime {
		maxTimestamp = r.NowMs
	}
	if maxTimestamp != h.MaxTimestamp || r.LogAppendTime != h.Attributes.LogAppendTime() {
		setTimes(b, maxTimestamp, r.LogAppendTime)
		if h, err = ParseHeader(b); err != nil {
			return Checked{}, refuse(model.CorruptMessage, "%v", err)
		}
	}
	return Checked{Records: b, Header: h, MaxTimestamp: maxTimestamp}, nil
}

// inspect reads all records without keeping any, and finds the largest timestamp. Errors are a *RecordError, or those of reading.
func (w *workspace) inspect(b []byte, h *Header, r *Rules) (maxTimestamp int64, err error) {
	maxTimestamp = noTimestamp
	if err := w.open(b[HeaderSize:], h.Attributes.Codec(), LimitsFor(r.MaxBytes).budget()); err != nil {
		return maxTimestamp, err
	}
	var bad *faults
	oldest, newest := r.timestampRange()
	appendTime := h.Attributes.LogAppendTime()
	for i := range h.Count {
		o := w.in.skim()
		if w.in.failure != nil {
			return maxTimestamp, w.in.failure
		}
		timestamp := h.BaseTimestamp + o.timestampDelta
		if appendTime {
			timestamp = h.MaxTimestamp
		}
		switch {
		case r.KeyRequired && !o.hasKey:
			bad = bad.add(model.InvalidRecord, i, r.keyMessage())
		case !r.LogAppendTime && timestamp != noTimestamp:
			if timestamp < oldest || timestamp > newest {
				bad = bad.add(model.InvalidTimestamp, i, r.rangeMessage(timestamp, model.Offset(o.offsetDelta)))
			}
		case appendTime:
			bad = bad.add(model.InvalidTimestamp, i, appendTimeMessage)
		}
		if o.offsetDelta != i {
			// Kafka keeps such offsets in a plain batch, where records then share them, and fails on a compressed one.
			return maxTimestamp, corrupt("record %d has offset delta %d", i, o.offsetDelta)
		}
		maxTimestamp = max(maxTimestamp, timestamp)
	}
	if err := w.end(); err != nil {
		return maxTimestamp, err
	}
	return maxTimestamp, bad.refusal()
}

// timestampRange is the smallest and largest timestamp that message.timestamp.{before,after}.max.ms allow now.
func (r *Rules) timestampRange() (oldest, newest int64) {
	oldest, newest = r.NowMs-r.BeforeMaxMs, r.NowMs+r.AfterMaxMs
	if r.BeforeMaxMs > 0 && oldest > r.NowMs {
		oldest = math.MinInt64
	}
	if r.AfterMaxMs > 0 && newest < r.NowMs {
		newest = math.MaxInt64
	}
	return oldest, newest
}
