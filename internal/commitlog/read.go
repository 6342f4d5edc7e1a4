package commitlog

import (
	"errors"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// Slice is a range of a segment file that stays readable until it is released, whatever happens to the segment. It begins with a whole
// batch and may end inside of one.
type Slice struct {
	File     vfs.File // nil when empty; implements syscall.Conn outside of tests, for sendfile
	Pos, Len int64

	file *openFile
}

// Release gives the file back. It may be called more than once, and on an empty slice.
func (s *Slice) Release() {
	if s.file != nil {
		s.file.unref()
		s.file = nil
	}
}

// Bytes appends the slice's content to dst. An error leaves the directory as it is: the caller has nothing to send, and the next read
// through the log finds out what is wrong.
func (s *Slice) Bytes(dst []byte) ([]byte, error) {
	if s.Len == 0 {
		return dst, nil
	}
	n := len(dst)
	if need := n + int(s.Len); need > cap(dst) {
		dst = append(make([]byte, 0, need), dst...)
	}
	dst = dst[:n+int(s.Len)]
	if m, err := s.File.ReadAt(dst[n:], s.Pos); m < int(s.Len) {
		return dst[:n], errors.Join(ErrCorrupt, err)
	}
	return dst, nil
}

// readAttempts bounds how often a read starts over because a segment went away under it.
const readAttempts = 4

// Read gives the bytes that begin with the batch that holds from, as many as fit into MaxBytes: they may end inside of a batch, as Kafka's
// do, but never reach End. If not even the first batch fits, the slice is empty or, with MinOne, that batch. It is empty, too, when there is
// nothing between from and End. Release it in any case. ErrOffsetOutOfRange outside of [Start, End of the log], ErrCorrupt when the
// first batch is damaged on disk, ErrOffline, ErrClosed.
func (l *Log) Read(from model.Offset, o ReadOptions) (Slice, error) {
	for range readAttempts {
		s, err := l.readOnce(from, o)
		if !errors.Is(err, errGone) {
			return s, l.at(from, err)
		}
	}
	// The file of a segment that is in use is missing.
	l.report(Event{Kind: EventCorrupt, TP: l.tp, From: from, To: from + 1, Err: errGone})
	return Slice{}, l.at(from, ErrCorrupt)
}

func (l *Log) readOnce(from model.Offset, o ReadOptions) (Slice, error) {
	if err := l.usable(); err != nil {
		return Slice{}, err
	}
	end := l.End()
	v := l.segments.Load()
	if from < l.Start() || from > end {
		return Slice{}, ErrOffsetOutOfRange
	}
	stop := min(o.End, end)
	if from >= stop {
		return Slice{}, nil
	}
	for i := v.find(from); i < len(v.segments); i++ {
		s := v.segments[i]
		slice, found, err := s.read(from, stop, v.high(i), o)
		if found || err != nil {
			return slice, err
		}
		// Compaction has left nothing behind from in this segment; what follows is in the next.
	}
	return Slice{}, nil
}

// read gives the part of the answer that is in this segment. found is false when every batch in it ends before from.
func (s *segment) read(from, end, high model.Offset, o ReadOptions) (slice Slice, found bool, err error) {
	f, err := s.openData()
	if err != nil {
		return Slice{}, false, err
	}
	defer func() {
		if slice.file == nil {
			f.unref()
		}
	}()
	first, found, err := s.locate(f, from, high)
	if err != nil || !found {
		return Slice{}, false, err
	}
	pos := first.pos
	stop := s.size.Load()
	if end < high {
		// The batch that holds end, or the first behind it, is the first that must not be seen.
		at, ok, err := s.locate(f, end, high)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return Slice{}, true, err
		}
		if ok {
			stop = at.pos
		}
	}
	n, err := s.fit(f, first, stop, o)
	if err != nil || n == 0 {
		return Slice{}, true, err
	}
	good, err := s.check(f, pos, pos+n, high)
	if err != nil {
		return Slice{}, true, err
	}
	if good == pos {
		return Slice{}, true, ErrCorrupt
	}
	return Slice{File: f.File, Pos: pos, Len: min(n, good-pos), file: f}, true, nil
}

// fit is how many of the bytes from the first batch to stop the options allow, 0 when not even that batch is among them.
func (s *segment) fit(f *openFile, first location, stop int64, o ReadOptions) (n int64, err error) {
	n = stop - first.pos
	if n <= int64(o.MaxBytes) {
		return max(n, 0), nil
	}
	if first.size == 0 {
		if first.size, err = s.sizeAt(f, first.pos); err != nil {
			return 0, badBatchOr(err)
		}
	}
	switch {
	case first.size <= int64(o.MaxBytes):
		return int64(o.MaxBytes), nil
	case o.MinOne:
		return min(first.size, n), nil
	}
	return 0, nil
}

// badBatchOr lets bytes that are not there count as damage.
func badBatchOr(err error) error {
	if errors.Is(err, errBroken) {
		return ErrCorrupt
	}
	return err
}
