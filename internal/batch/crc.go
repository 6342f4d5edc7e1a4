package batch

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/klamm/klamm/internal/model"
)

// castagnoli is read-only: the library computes it once.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// VerifyCRC checks the CRC-32C of one whole batch: b is exactly the batch. ErrCorrupt.
func VerifyCRC(b []byte) error {
	if len(b) < HeaderSize {
		return ErrShort
	}
	want := binary.BigEndian.Uint32(b[crcAt:])
	if got := crc32.Checksum(b[attributesAt:], castagnoli); got != want {
		return corrupt("checksum is %08x, the header says %08x", got, want)
	}
	return nil
}

// SetOffset puts a batch at its place in a log. Both fields stand before what the checksum covers.
func SetOffset(b []byte, base model.Offset, epoch model.LeaderEpoch) {
	binary.BigEndian.PutUint64(b[baseOffsetAt:], uint64(base))
	binary.BigEndian.PutUint32(b[leaderEpochAt:], uint32(epoch))
}

// SetLogAppendTime gives all records of a batch the broker's time. b is exactly the batch; its checksum is computed anew.
func SetLogAppendTime(b []byte, ms int64) { setTimes(b, ms, true) }

// setTimes writes the largest timestamp and where it comes from.
func setTimes(b []byte, maxTimestamp int64, logAppendTime bool) {
	attributes := binary.BigEndian.Uint16(b[attributesAt:]) &^ attrAppendTime
	if logAppendTime {
		attributes |= attrAppendTime
	}
	binary.BigEndian.PutUint16(b[attributesAt:], attributes)
	binary.BigEndian.PutUint64(b[maxTimestampAt:], uint64(maxTimestamp))
	setCRC(b)
}

func setCRC(b []byte) {
	binary.BigEndian.PutUint32(b[crcAt:], crc32.Checksum(b[attributesAt:], castagnoli))
}

// Next splits the first batch off concatenated ones. With nothing left it returns ErrShort as for a batch that is cut off; ask
// len(b) first. The checksum is not looked at.
func Next(b []byte) (one []byte, h Header, rest []byte, err error) {
	h, err = ParseHeader(b)
	if err != nil {
		return nil, h, b, err
	}
	size := h.Size()
	if len(b) < size {
		return nil, h, b, ErrShort
	}
	return b[:size:size], h, b[size:], nil
}
