package quorum

import (
	"encoding/binary"
	"fmt"
	"os"
	"path"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// logContent is what a log file holds.
type logContent struct {
	base    logBase
	state   *pb.HardState
	entries []*pb.Entry // following each other, the first behind base.Index
	cut     int64       // bytes of a torn tail that were cut off
}

func modelBrokerID(n uint32) model.BrokerID { return model.BrokerID(int32(n)) }

// openLog reads the log and leaves it ready to be appended to. A tail that a crash tore is cut off; damage anywhere before it is
// ErrCorrupt.
func openLog(fs vfs.FS, dir string) (*logFile, *logContent, error) {
	name := path.Join(dir, logName)
	b, err := vfs.ReadFile(fs, name, maxLogSize)
	if err != nil {
		return nil, nil, err
	}
	c := &logContent{}
	if c.base, err = decodeLogBase(b); err != nil {
		return nil, nil, err
	}
	seed := castagnoli(0, b[:sectorSize])
	end, err := c.scan(b, seed)
	if err != nil {
		return nil, nil, err
	}
	l := &logFile{fs: fs, name: name, seed: seed, end: end, size: int64(len(b)), synced: end}
	if l.f, err = fs.OpenFile(name, os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	if err := l.cutTail(b, c); err != nil {
		return nil, nil, fmt.Errorf("cutting the tail of %s: %w", name, err)
	}
	return l, c, nil
}

// cutTail removes what a crash left behind the last whole frame, so that it cannot be taken for part of the log once new frames
// have grown up to it. It also syncs: what was read from the page cache of a process that died is not durable yet.
func (l *logFile) cutTail(b []byte, c *logContent) error {
	for _, x := range b[l.end:] {
		if x != 0 {
			c.cut = int64(len(b)) - l.end
			break
		}
	}
	if c.cut > 0 {
		if err := l.f.Truncate(l.end); err != nil {
			return err
		}
		l.size = l.end
	}
	return l.f.Sync()
}

// scan reads frames up to the first that is not whole, and says where that is.
func (c *logContent) scan(b []byte, seed uint32) (end int64, err error) {
	pos := int64(sectorSize)
	for {
		frame, ok := frameAt(b, seed, pos)
		if !ok {
			return pos, tornOrDamaged(b, seed, pos)
		}
		if err := c.add(frame); err != nil {
			return 0, fmt.Errorf("%w: frame at %d: %s", ErrCorrupt, pos, err.Error())
		}
		pos += roundUp(int64(len(frame)), frameAlign)
	}
}

// frameAt is the whole frame at pos, if there is one.
func frameAt(b []byte, seed uint32, pos int64) ([]byte, bool) {
	if pos+frameHead > int64(len(b)) {
		return nil, false
	}
	head := b[pos:]
	n := int64(binary.BigEndian.Uint32(head[4:])) + frameHead
	if head[16] == 0 || n > int64(len(head)) {
		return nil, false
	}
	frame := head[:n]
	return frame, binary.BigEndian.Uint32(frame) == frameSum(seed, pos, frame)
}

// tornOrDamaged tells a tail that a crash tore from damage to something durable. Every frame says up to where the log was durable when it
// was written. If a frame behind pos says that pos was, then what stood there has been lost, and a voter that forgets what it promised
// must not vote: it would elect a leader without the committed entries.
func tornOrDamaged(b []byte, seed uint32, pos int64) error {
	for p := pos; p+frameHead <= int64(len(b)); p += frameAlign {
		if frame, ok := frameAt(b, seed, p); ok && int64(binary.BigEndian.Uint64(frame[8:])) > pos {
			return fmt.Errorf("%w: %s at byte %d, which had been durable", ErrCorrupt, logName, pos)
		}
	}
	return nil
}

// add takes one frame's content in.
func (c *logContent) add(frame []byte) error {
	payload := frame[frameHead:]
	switch frame[16] {
	case frameState:
		if len(payload) != 24 {
			return fmt.Errorf("state of %d bytes", len(payload))
		}
		term, vote, commit := binary.BigEndian.Uint64(payload), binary.BigEndian.Uint64(payload[8:]), binary.BigEndian.Uint64(payload[16:])
		c.state = &pb.HardState{Term: &term, Vote: &vote, Commit: &commit}
		return nil
	case frameEntry:
		return c.addEntry(payload)
	}
	return fmt.Errorf("unknown kind %d", frame[16])
}

func (c *logContent) addEntry(payload []byte) error {
	if len(payload) < 17 {
		return fmt.Errorf("entry of %d bytes", len(payload))
	}
	term, index := binary.BigEndian.Uint64(payload), binary.BigEndian.Uint64(payload[8:])
	kind := pb.EntryType(payload[16])
	next := c.base.Index + uint64(len(c.entries)) + 1
	if index <= c.base.Index || index > next {
		return fmt.Errorf("entry %d where %d is next", index, next)
	}
	e := &pb.Entry{Term: &term, Index: &index, Type: &kind}
	if len(payload) > 17 {
		e.Data = payload[17:]
	}
	// An entry that was written again replaces the old one and all behind it: a new leader had other ideas.
	c.entries = append(c.entries[:index-c.base.Index-1], e)
	return nil
}

// behind are the entries that continue a snapshot. It may be ahead of the log's beginning: a crash came between writing it and cutting the
// log. When the log has another entry in its place, the snapshot came from a leader that had other ideas, and nothing here continues it.
func (c *logContent) behind(at snapshotHead) []*pb.Entry {
	if !c.leadsTo(at) {
		return nil
	}
	return c.entries[at.Index-c.base.Index:]
}

// leadsTo reports that a snapshot, which is not older than the log's beginning, is of a state that the log went through.
func (c *logContent) leadsTo(at snapshotHead) bool {
	n := at.Index - c.base.Index
	return n == 0 || n <= uint64(len(c.entries)) && c.entries[n-1].GetTerm() == at.Term
}

// putState collects a frame with term, vote and commit.
func (l *logFile) putState(s *pb.HardState) {
	l.frame(frameState, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint64(b, s.GetTerm())
		b = binary.BigEndian.AppendUint64(b, s.GetVote())
		return binary.BigEndian.AppendUint64(b, s.GetCommit())
	})
}

// putEntry collects a frame with one entry.
func (l *logFile) putEntry(e *pb.Entry) {
	l.frame(frameEntry, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint64(b, e.GetTerm())
		b = binary.BigEndian.AppendUint64(b, e.GetIndex())
		b = append(b, byte(e.GetType()))
		return append(b, e.Data...)
	})
}
