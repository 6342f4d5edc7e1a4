package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klamm/klamm/internal/model"
)

// The clean state is what Close writes and the next OpenDir reads and removes: everything a log must know to answer, so that a log
// opens without opening a file. It only holds what can be derived; without it the logs are opened the slow way.

const (
	cleanStateMagic   = "KLMCLEAN"
	cleanStateVersion = 1
	cleanStateLimit   = 512 << 20
)

var errBadCleanState = errors.New("clean state is damaged")

// logState is one log in the clean state.
type logState struct {
	topicID  model.TopicID
	start    model.Offset
	end      model.Offset
	unstable model.Offset // first offset of the oldest open transaction, NoOffset without one
	hasState bool         // there are producers: their snapshot stands at end
	epochs   []EpochStart
	segments []segmentState // by base; the last is the active one
}

type segmentState struct {
	base         model.Offset
	size         int64
	maxTimestamp int64 // ms, -1 without a record
}

// encodeCleanState renders the file: magic, version, number of logs, logs, CRC-32C. Numbers are unsigned varints unless noted.
func encodeCleanState(states map[string]*logState) []byte {
	b := append([]byte(cleanStateMagic), cleanStateVersion)
	b = binary.AppendUvarint(b, uint64(len(states)))
	for name, s := range states {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
		mark := len(b)
		b = append(b, 0, 0, 0, 0) // length of the log's state
		b = s.append(b)
		binary.BigEndian.PutUint32(b[mark:], uint32(len(b)-mark-4))
	}
	return binary.BigEndian.AppendUint32(b, castagnoli(b))
}

func (s *logState) append(b []byte) []byte {
	b = append(b, s.topicID[:]...)
	b = binary.AppendUvarint(b, uint64(s.start))
	b = binary.AppendUvarint(b, uint64(s.end))
	b = binary.AppendVarint(b, int64(s.unstable))
	if s.hasState {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
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
func decodeCleanState(b []byte) (map[string][]byte, error) {
	const head = len(cleanStateMagic) + 1
	if len(b) < head+4 || string(b[:len(cleanStateMagic)]) != cleanStateMagic || b[head-1] != cleanStateVersion {
		return nil, errBadCleanState
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if castagnoli(body) != sum {
		return nil, fmt.Errorf("%w: checksum does not match", errBadCleanState)
	}
	d := stateReader{b: body[head:]}
	n := d.count()
	states := make(map[string][]byte, n)
	for range n {
		name := string(d.bytes(d.uvarint()))
		length := d.bytes(4)
		if d.bad {
			return nil, errBadCleanState
		}
		states[name] = d.bytes(uint64(binary.BigEndian.Uint32(length)))
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
	flag := d.bytes(1)
	s.hasState = !d.bad && flag[0] != 0
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
