package remember

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/klamm/klamm/internal/model"
)

// The clean state is what Close writes and the next OpenDir reads and removes: everything a log must know to answer, so that a log
// opens without opening a file. It only holds what can be derived; without it the logs are opened the slow way.

const (
	cleanStateMagic   = "KLMCLEAN"
	cleanStateVersion = 1
	// CleanLimit bounds what is read into memory, in bytes.
	CleanLimit = 512 << 20

	flagDense = 1
)

// ErrBadClean says that the clean state is not what was written, or not of this shutdown.
var ErrBadClean = errors.New("clean state is damaged")

// Log is one log in the clean state.
type Log struct {
	TopicID  model.TopicID
	Start    model.Offset
	End      model.Offset
	Unstable model.Offset // first offset of the oldest open transaction, NoOffset without one
	// ProducersAt is where the snapshot of the present producers is, and SnapshotAt where one is that no segment begins at; NoOffset
	// without one.
	ProducersAt, SnapshotAt model.Offset

	Dense    bool   // every segment ends where the next begins
	MaxRel   uint32 // of the batch with the active segment's largest timestamp: its last offset, relative to the segment's base
	Epochs   []EpochStart
	Segments []Segment // by base; the last is the active one
}

// Segment is one segment of a Log.
type Segment struct {
	Base         model.Offset
	Size         int64 // bytes
	MaxTimestamp int64 // ms, -1 without a record, another negative number when nobody has looked it up
}

// EncodeClean renders the file: magic, version, CRC-32C of the recovery point file it goes with, number of logs, logs, CRC-32C.
// Numbers are unsigned varints unless noted. states are encoded logs by directory name.
func EncodeClean(states map[string][]byte, points uint32) []byte {
	size := len(cleanStateMagic) + 16
	for name, s := range states {
		size += len(name) + len(s) + 8
	}
	b := append(make([]byte, 0, size), cleanStateMagic...)
	b = append(b, cleanStateVersion)
	b = binary.BigEndian.AppendUint32(b, points)
	b = binary.AppendUvarint(b, uint64(len(states)))
	for _, name := range slices.Sorted(maps.Keys(states)) {
		s := states[name]
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return binary.BigEndian.AppendUint32(b, Sum(b))
}

// Append encodes it.
func (s *Log) Append(b []byte) []byte {
	b = append(b, s.TopicID[:]...)
	b = binary.AppendUvarint(b, uint64(s.Start))
	b = binary.AppendUvarint(b, uint64(s.End))
	b = binary.AppendVarint(b, int64(s.Unstable))
	var flags byte
	if s.Dense {
		flags |= flagDense
	}
	b = append(b, flags)
	b = binary.AppendVarint(b, int64(s.ProducersAt))
	b = binary.AppendVarint(b, int64(s.SnapshotAt))
	b = binary.AppendUvarint(b, uint64(s.MaxRel))
	b = binary.AppendUvarint(b, uint64(len(s.Epochs)))
	for _, e := range s.Epochs {
		b = binary.AppendUvarint(b, uint64(e.Epoch))
		b = binary.AppendUvarint(b, uint64(e.Start))
	}
	b = binary.AppendUvarint(b, uint64(len(s.Segments)))
	for _, g := range s.Segments {
		b = binary.AppendUvarint(b, uint64(g.Base))
		b = binary.AppendUvarint(b, uint64(g.Size))
		b = binary.AppendVarint(b, g.MaxTimestamp)
	}
	return b
}

// DecodeClean checks the file and splits it into the encoded states of the logs, by directory name. They alias b.
func DecodeClean(b []byte, points uint32) (map[string][]byte, error) {
	const version = len(cleanStateMagic)
	const head = version + 1 + 4
	if len(b) < head+4 || string(b[:version]) != cleanStateMagic || b[version] != cleanStateVersion {
		return nil, ErrBadClean
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if Sum(body) != sum {
		return nil, fmt.Errorf("%w: checksum does not match", ErrBadClean)
	}
	if binary.BigEndian.Uint32(b[version+1:]) != points {
		return nil, fmt.Errorf("%w: the recovery points are of another shutdown", ErrBadClean)
	}
	d := stateReader{b: body[head:]}
	n := d.count()
	states := make(map[string][]byte, n)
	for range n {
		name := string(d.bytes(d.uvarint()))
		states[name] = d.bytes(d.uvarint())
	}
	if d.bad || len(d.b) != 0 {
		return nil, ErrBadClean
	}
	return states, nil
}

// DecodeLog reads what append wrote.
func DecodeLog(b []byte) (*Log, error) {
	d := stateReader{b: b}
	s := &Log{}
	copy(s.TopicID[:], d.bytes(uint64(len(s.TopicID))))
	s.Start = model.Offset(d.uvarint())
	s.End = model.Offset(d.uvarint())
	s.Unstable = model.Offset(d.varint())
	if flags := d.bytes(1); !d.bad {
		s.Dense = flags[0]&flagDense != 0
	}
	s.ProducersAt, s.SnapshotAt = model.Offset(d.varint()), model.Offset(d.varint())
	s.MaxRel = uint32(min(d.uvarint(), math.MaxUint32))
	n := d.count()
	s.Epochs = make([]EpochStart, n)
	for i := range s.Epochs {
		s.Epochs[i] = EpochStart{Epoch: model.LeaderEpoch(d.uvarint()), Start: model.Offset(d.uvarint())}
	}
	n = d.count()
	s.Segments = make([]Segment, n)
	for i := range s.Segments {
		s.Segments[i] = Segment{Base: model.Offset(d.uvarint()), Size: int64(d.uvarint()), MaxTimestamp: d.varint()}
	}
	if d.bad || len(d.b) != 0 || !s.plausible() {
		return nil, ErrBadClean
	}
	return s, nil
}

// plausible checks the order that every log has, so that nothing behind relies on the checksum alone.
func (s *Log) plausible() bool {
	if len(s.Segments) == 0 || s.Start < 0 || s.Start > s.End {
		return false
	}
	for i, g := range s.Segments {
		if g.Base < 0 || g.Size < 0 || g.Size > math.MaxInt32 || (i > 0 && g.Base <= s.Segments[i-1].Base) {
			return false
		}
	}
	for i, e := range s.Epochs {
		if e.Epoch < 0 || e.Start < 0 || (i > 0 && (e.Epoch <= s.Epochs[i-1].Epoch || e.Start <= s.Epochs[i-1].Start)) {
			return false
		}
	}
	return s.Segments[len(s.Segments)-1].Base <= s.End
}

// stateReader reads numbers until one does not fit; then bad stays set and every read gives zero.
type stateReader struct {
	b   []byte
	bad bool
}

func (d *stateReader) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *stateReader) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads a number of elements, each of which takes a byte at least.
func (d *stateReader) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *stateReader) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *stateReader) fail() { d.b, d.bad = nil, true }
