package commitlog

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
	cleanStateLimit   = 512 << 20

	flagDense = 1
)

var errBadCleanState = errors.New("clean state is damaged")

// logState is one log in the clean state.
type logState struct {
	topicID  model.TopicID
	start    model.Offset
	end      model.Offset
	unstable model.Offset // first offset of the oldest open transaction, NoOffset without one
	// producersAt is where the snapshot of the present producers is, and snapshotAt where one is that no segment begins at; NoOffset
	// without one.
	producersAt, snapshotAt model.Offset

	dense    bool   // see place.dense
	maxRel   uint32 // of the batch with the active segment's largest timestamp: its last offset, relative to the segment's base
	epochs   []EpochStart
	segments []segmentState // by base; the last is the active one
}

type segmentState struct {
	base         model.Offset
	size         int64
	maxTimestamp int64 // ms, -1 without a record, unknownTime when nobody has looked it up
}

// encodeCleanState renders the file: magic, version, CRC-32C of the recovery point file it goes with, number of logs, logs, CRC-32C.
// Numbers are unsigned varints unless noted. states are encoded logs by directory name.
func encodeCleanState(states map[string][]byte, points uint32) []byte {
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
	return binary.BigEndian.AppendUint32(b, castagnoli(b))
}

func (s *logState) append(b []byte) []byte {
	b = append(b, s.topicID[:]...)
	b = binary.AppendUvarint(b, uint64(s.start))
	b = binary.AppendUvarint(b, uint64(s.end))
	b = binary.AppendVarint(b, int64(s.unstable))
	var flags byte
	if s.dense {
		flags |= flagDense
	}
	b = append(b, flags)
	b = binary.AppendVarint(b, int64(s.producersAt))
	b = binary.AppendVarint(b, int64(s.snapshotAt))
	b = binary.AppendUvarint(b, uint64(s.maxRel))
	b = binary.AppendUvarint(b, uint64(len(s.epochs)))
	for _, e := range s.epochs {
		b = binary.AppendUvarint(b, uint64(e.Epoch))
		b = binary.AppendUvarint(b, uint64(e.Start))
	}
	b = binary.AppendUvarint(b, uint64(len(s.segments)))
	for _, g := range s.segments {
		b = binary.AppendUvarint(b, uint64(g.base))
		b = binary.AppendUvarint(b, uint64(g.size))
		b = binary.AppendVarint(b, g.maxTimestamp)
	}
	return b
}

// decodeCleanState checks the file and splits it into the encoded states of the logs, by directory name. They alias b.
func decodeCleanState(b []byte, points uint32) (map[string][]byte, error) {
	const version = len(cleanStateMagic)
	const head = version + 1 + 4
	if len(b) < head+4 || string(b[:version]) != cleanStateMagic || b[version] != cleanStateVersion {
		return nil, errBadCleanState
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if castagnoli(body) != sum {
		return nil, fmt.Errorf("%w: checksum does not match", errBadCleanState)
	}
	if binary.BigEndian.Uint32(b[version+1:]) != points {
		return nil, fmt.Errorf("%w: the recovery points are of another shutdown", errBadCleanState)
	}
	d := stateReader{b: body[head:]}
	n := d.count()
	states := make(map[string][]byte, n)
	for range n {
		name := string(d.bytes(d.uvarint()))
		states[name] = d.bytes(d.uvarint())
	}
	if d.bad || len(d.b) != 0 {
		return nil, errBadCleanState
	}
	return states, nil
}

// decodeLogState reads what append wrote.
func decodeLogState(b []byte) (*logState, error) {
	d := stateReader{b: b}
	s := &logState{}
	copy(s.topicID[:], d.bytes(uint64(len(s.topicID))))
	s.start = model.Offset(d.uvarint())
	s.end = model.Offset(d.uvarint())
	s.unstable = model.Offset(d.varint())
	if flags := d.bytes(1); !d.bad {
		s.dense = flags[0]&flagDense != 0
	}
	s.producersAt, s.snapshotAt = model.Offset(d.varint()), model.Offset(d.varint())
	s.maxRel = uint32(min(d.uvarint(), math.MaxUint32))
	n := d.count()
	s.epochs = make([]EpochStart, n)
	for i := range s.epochs {
		s.epochs[i] = EpochStart{Epoch: model.LeaderEpoch(d.uvarint()), Start: model.Offset(d.uvarint())}
	}
	n = d.count()
	s.segments = make([]segmentState, n)
	for i := range s.segments {
		s.segments[i] = segmentState{base: model.Offset(d.uvarint()), size: int64(d.uvarint()), maxTimestamp: d.varint()}
	}
	if d.bad || len(d.b) != 0 || !s.plausible() {
		return nil, errBadCleanState
	}
	return s, nil
}

// plausible checks the order that every log has, so that nothing behind relies on the checksum alone.
func (s *logState) plausible() bool {
	if len(s.segments) == 0 || s.start < 0 || s.start > s.end {
		return false
	}
	for i, g := range s.segments {
		if g.base < 0 || g.size < 0 || g.size > maxSegmentBytes || (i > 0 && g.base <= s.segments[i-1].base) {
			return false
		}
	}
	for i, e := range s.epochs {
		if e.Epoch < 0 || e.Start < 0 || (i > 0 && (e.Epoch <= s.epochs[i-1].Epoch || e.Start <= s.epochs[i-1].Start)) {
			return false
		}
	}
	return s.segments[len(s.segments)-1].base <= s.end
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
