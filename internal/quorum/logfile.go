package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path"
	"syscall"

	"github.com/klamm/klamm/internal/vfs"
)

// The log file: a header of one sector, then frames, each on a multiple of eight bytes, then zeros that are waiting for frames.
// docs/format/metadata-log.md draws it.
//
// The zeros are written ahead of time: syncing a file whose size and blocks do not change takes half as long, and a full disk is
// met when the file grows, not in the middle of a record.
const (
	logName    = "log"
	sectorSize = 512
	frameHead  = 17
	frameAlign = 8
	firstGrow  = 128 << 10
	maxGrow    = 4 << 20
	// maxLogSize bounds what is read at start. A log this large has not been snapshotted for a very long time.
	maxLogSize = 4 << 30
)

// Kinds of frames.
const (
	frameState = 1 // term, vote, commit
	frameEntry = 2
)

// logMagic begins the header. The last byte is the format.
const logMagic = "KLAMMMD\x01"

// logFile is the open log. The driver alone uses it.
type logFile struct {
	fs   vfs.FS
	name string
	f    vfs.File
	seed uint32
	// Invariant: synced <= end <= size; the bytes in [end, size) are zero.
	end, size, synced int64
	buf               []byte
	failed            error // of a write or sync: what the disk holds is not known any more
}

// logBase is what the header says: whose log it is, and behind which entry it begins.
type logBase struct {
	Identity
	Index, Term uint64
}

func (b logBase) encode() []byte {
	h := make([]byte, 0, sectorSize)
	h = append(h, logMagic...)
	h = binary.BigEndian.AppendUint32(h, 0) // checksum, below
	h = binary.BigEndian.AppendUint64(h, b.Index)
	h = binary.BigEndian.AppendUint64(h, b.Term)
	h = binary.BigEndian.AppendUint32(h, uint32(b.NodeID))
	h = append(h, b.DirectoryID[:]...)
	h = binary.BigEndian.AppendUint16(h, uint16(len(b.ClusterID)))
	h = append(h, b.ClusterID...)
	h = append(h, make([]byte, sectorSize-len(h))...)
	binary.BigEndian.PutUint32(h[8:], castagnoli(0, h[12:]))
	return h
}

func decodeLogBase(h []byte) (logBase, error) {
	var b logBase
	if len(h) < sectorSize || string(h[:8]) != logMagic || binary.BigEndian.Uint32(h[8:]) != castagnoli(0, h[12:sectorSize]) {
		return b, fmt.Errorf("%w: header of %s", ErrCorrupt, logName)
	}
	b.Index, b.Term = binary.BigEndian.Uint64(h[12:]), binary.BigEndian.Uint64(h[20:])
	b.NodeID = modelBrokerID(binary.BigEndian.Uint32(h[28:]))
	copy(b.DirectoryID[:], h[32:48])
	n := int(binary.BigEndian.Uint16(h[48:]))
	if 50+n > sectorSize {
		return b, fmt.Errorf("%w: header of %s", ErrCorrupt, logName)
	}
	b.ClusterID = string(h[50 : 50+n])
	return b, nil
}

func castagnoli(seed uint32, b []byte) uint32 {
	return crc32.Update(seed, crc32.MakeTable(crc32.Castagnoli), b)
}

// createLog replaces the log by one that begins behind base and holds frames already. After a crash there is the old log or the new
// one, whole.
func createLog(fs vfs.FS, dir string, base logBase, frames func(*logFile)) (*logFile, error) {
	header := base.encode()
	l := &logFile{fs: fs, name: path.Join(dir, logName), seed: castagnoli(0, header), end: sectorSize}
	l.buf = append(l.buf, header...)
	frames(l)
	l.end = int64(len(l.buf))
	l.size = roundUp(l.end+firstGrow/2, firstGrow)
	l.buf = append(l.buf, make([]byte, l.size-l.end)...)
	err := vfs.WriteFile(fs, l.name, l.buf, 0o600)
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		return nil, err
	}
	l.buf, l.synced = nil, l.end
	l.f, err = fs.OpenFile(l.name, os.O_RDWR, 0)
	return l, err
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// frame puts one frame behind what buf holds. While a log is being created buf begins at the file's start, later at end.
func (l *logFile) frame(kind byte, payload func([]byte) []byte) {
	start := len(l.buf)
	pos := l.end + int64(start)
	if l.f == nil {
		pos = int64(start)
	}
	var head [frameHead]byte
	binary.BigEndian.PutUint64(head[8:], uint64(l.synced))
	head[16] = kind
	l.buf = payload(append(l.buf, head[:]...))
	frame := l.buf[start:]
	binary.BigEndian.PutUint32(frame[4:], uint32(len(frame)-frameHead))
	binary.BigEndian.PutUint32(frame, frameSum(l.seed, pos, frame))
	for len(l.buf)%frameAlign != 0 {
		l.buf = append(l.buf, 0)
	}
}

// frameSum covers the frame, its place, and through seed the file it belongs to: bytes that an older frame left in a reused block
// never pass for a frame here.
func frameSum(seed uint32, pos int64, frame []byte) uint32 {
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(pos))
	return castagnoli(castagnoli(seed, at[:]), frame[4:])
}

// write makes the frames collected by frame part of the file, and durable when sync is set. ErrNoSpace leaves everything as it was, with the
// frames still collected: call again when there is room. Any other error is final.
func (l *logFile) write(sync bool) error {
	if l.failed != nil {
		return l.failed
	}
	if len(l.buf) > 0 {
		if err := l.grow(l.end + int64(len(l.buf))); err != nil {
			return err
		}
		if _, err := l.f.WriteAt(l.buf, l.end); err != nil {
			return l.fail(err)
		}
		l.end += int64(len(l.buf))
		l.buf = l.buf[:0]
	}
	if sync && l.synced < l.end {
		if err := l.f.SyncData(); err != nil {
			return l.fail(err)
		}
		l.synced = l.end
	}
	return nil
}

// fail remembers that the disk cannot be trusted: after a failed sync another one proves nothing.
func (l *logFile) fail(err error) error {
	l.failed = fmt.Errorf("%w: %w", ErrFailed, err)
	return l.failed
}

// grow writes zeros until the file has room for end bytes.
func (l *logFile) grow(end int64) error {
	if end <= l.size {
		return nil
	}
	step := min(max(l.size, firstGrow), maxGrow)
	size := roundUp(end, step)
	_, err := l.f.WriteAt(make([]byte, size-l.size), l.size)
	switch {
	case err == nil:
		l.size = size
		return nil
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		if err := l.f.Truncate(l.size); err != nil {
			return l.fail(err)
		}
		return ErrNoSpace
	default:
		return l.fail(err)
	}
}

func (l *logFile) close() error { return l.f.Close() }
