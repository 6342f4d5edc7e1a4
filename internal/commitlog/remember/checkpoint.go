package remember

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"

	"github.com/klamm/klamm/internal/model"
)

// Kafka's checkpoint files are text: a version, the number of entries, one entry a line. They carry no checksum, so one flipped bit
// turns a recovery point into another one that looks as good. We add an entry that Kafka reads and ignores: in the per-directory
// files a partition that no topic can have, in the leader epoch file a second start for the last epoch, later than any
// offset. Files without it (written by Kafka) are accepted on their form alone.

const (
	checkpointVersion = 0
	// ChecksumTopic is not a legal topic name, so no partition of it is ever looked up.
	ChecksumTopic = "#crc32c"
	// checksumEpochBase marks the second start of the last epoch: the CRC is added to it. Kafka keeps the smaller start.
	checksumEpochBase = model.Offset(1) << 62
	// CheckpointLimit bounds what is read into memory: 100,000 partitions with the longest names are 27 MB.
	CheckpointLimit = 64 << 20
)

// ErrBadCheckpoint says that a checkpoint file is not what was written.
var ErrBadCheckpoint = errors.New("checkpoint file is damaged")

// crcTable is read-only.
var crcTable = crc32.MakeTable(crc32.Castagnoli)

// Sum is the checksum of all files here: CRC-32C.
func Sum(b []byte) uint32 { return crc32.Checksum(b, crcTable) }

// Offset is a line of a per-directory checkpoint.
type Offset struct {
	TP model.TopicPartition
	At model.Offset
}

// EncodeOffsets renders a per-directory checkpoint file; entries are sorted so that equal states give equal files.
func EncodeOffsets(entries []Offset) []byte {
	slices.SortFunc(entries, func(a, b Offset) int {
		if c := cmpString(a.TP.Topic, b.TP.Topic); c != 0 {
			return c
		}
		return int(a.TP.Partition) - int(b.TP.Partition)
	})
	b := make([]byte, 0, 32+48*len(entries))
	b = strconv.AppendInt(b, checkpointVersion, 10)
	b = append(b, '\n')
	b = strconv.AppendInt(b, int64(len(entries)+1), 10)
	b = append(b, '\n')
	for _, e := range entries {
		b = appendOffsetLine(b, e.TP.Topic, int64(e.TP.Partition), int64(e.At))
	}
	return appendOffsetLine(b, ChecksumTopic, 0, int64(Sum(b)))
}

func appendOffsetLine(b []byte, topic string, partition, offset int64) []byte {
	b = append(b, topic...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, partition, 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, offset, 10)
	return append(b, '\n')
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// DecodeOffsets reads a per-directory checkpoint file, ours or Kafka's.
func DecodeOffsets(b []byte) (map[model.TopicPartition]model.Offset, error) {
	r, err := newLineReader(b)
	if err != nil {
		return nil, err
	}
	m := make(map[model.TopicPartition]model.Offset, min(r.left, len(b)/4))
	for r.left > 0 {
		before := r.pos
		line, ok := r.next()
		f := bytes.Fields(line)
		if !ok || len(f) != 3 {
			return nil, fmt.Errorf("%w: line %q", ErrBadCheckpoint, line)
		}
		partition, err1 := strconv.ParseInt(string(f[1]), 10, 32)
		offset, err2 := strconv.ParseInt(string(f[2]), 10, 64)
		if err1 != nil || err2 != nil || partition < 0 {
			return nil, fmt.Errorf("%w: line %q", ErrBadCheckpoint, line)
		}
		if string(f[0]) == ChecksumTopic {
			if int64(Sum(b[:before])) != offset || r.left > 0 {
				return nil, fmt.Errorf("%w: checksum does not match", ErrBadCheckpoint)
			}
			break
		}
		m[model.TopicPartition{Topic: string(f[0]), Partition: int32(partition)}] = model.Offset(offset)
	}
	return m, r.end()
}

// EpochStart says at which offset a leader epoch began in a log (KIP-101).
type EpochStart struct {
	Epoch model.LeaderEpoch
	Start model.Offset
}

// EncodeEpochs renders leader-epoch-checkpoint.
func EncodeEpochs(entries []EpochStart) []byte {
	b := make([]byte, 0, 32+24*len(entries))
	b = strconv.AppendInt(b, checkpointVersion, 10)
	b = append(b, '\n')
	n := len(entries)
	if n > 0 {
		n++
	}
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, '\n')
	for _, e := range entries {
		b = appendEpochLine(b, e)
	}
	if n > 0 {
		sum := checksumEpochBase + model.Offset(Sum(b))
		b = appendEpochLine(b, EpochStart{Epoch: entries[len(entries)-1].Epoch, Start: sum})
	}
	return b
}

func appendEpochLine(b []byte, e EpochStart) []byte {
	b = strconv.AppendInt(b, int64(e.Epoch), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(e.Start), 10)
	return append(b, '\n')
}

// DecodeEpochs reads leader-epoch-checkpoint, ours or Kafka's. Epochs and starts must both increase.
func DecodeEpochs(b []byte) ([]EpochStart, error) {
	r, err := newLineReader(b)
	if err != nil {
		return nil, err
	}
	var entries []EpochStart
	for r.left > 0 {
		before := r.pos
		line, ok := r.next()
		f := bytes.Fields(line)
		if !ok || len(f) != 2 {
			return nil, fmt.Errorf("%w: line %q", ErrBadCheckpoint, line)
		}
		epoch, err1 := strconv.ParseInt(string(f[0]), 10, 32)
		start, err2 := strconv.ParseInt(string(f[1]), 10, 64)
		if err1 != nil || err2 != nil || epoch < 0 || start < 0 {
			return nil, fmt.Errorf("%w: line %q", ErrBadCheckpoint, line)
		}
		e := EpochStart{Epoch: model.LeaderEpoch(epoch), Start: model.Offset(start)}
		if e.Start >= checksumEpochBase {
			if e.Start-checksumEpochBase != model.Offset(Sum(b[:before])) || r.left > 0 {
				return nil, fmt.Errorf("%w: checksum does not match", ErrBadCheckpoint)
			}
			break
		}
		if n := len(entries); n > 0 && (entries[n-1].Epoch >= e.Epoch || entries[n-1].Start >= e.Start) {
			return nil, fmt.Errorf("%w: epoch %d at %d follows epoch %d at %d", ErrBadCheckpoint,
				e.Epoch, e.Start, entries[n-1].Epoch, entries[n-1].Start)
		}
		entries = append(entries, e)
	}
	return entries, r.end()
}

// lineReader walks the entries of a checkpoint file.
type lineReader struct {
	b    []byte
	pos  int
	left int // entries the header still promises
}

func newLineReader(b []byte) (*lineReader, error) {
	r := &lineReader{b: b}
	version, ok1 := r.line()
	count, ok2 := r.line()
	v, err1 := strconv.Atoi(string(version))
	n, err2 := strconv.Atoi(string(count))
	if !ok1 || !ok2 || err1 != nil || err2 != nil || v != checkpointVersion || n < 0 {
		return nil, fmt.Errorf("%w: header %q %q", ErrBadCheckpoint, version, count)
	}
	r.left = n
	return r, nil
}

func (r *lineReader) line() (line []byte, ok bool) {
	if r.pos >= len(r.b) {
		return nil, false
	}
	i := bytes.IndexByte(r.b[r.pos:], '\n')
	if i < 0 {
		line, r.pos = r.b[r.pos:], len(r.b)
		return line, true
	}
	line = r.b[r.pos : r.pos+i]
	r.pos += i + 1
	return line, true
}

func (r *lineReader) next() (line []byte, ok bool) {
	r.left--
	return r.line()
}

func (r *lineReader) end() error {
	if r.left != 0 || r.pos != len(r.b) {
		return fmt.Errorf("%w: number of entries does not match", ErrBadCheckpoint)
	}
	return nil
}
