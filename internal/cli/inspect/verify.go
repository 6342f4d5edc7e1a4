package inspect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// Verified is what the check of one partition found.
type Verified struct {
	Start, End model.Offset // of what could be read
	Batches    int64
	Records    int64
	Problems   []Problem
}

// Verify reads every batch of a partition and every entry of its indexes. clean says that the node ended cleanly: then a torn tail is
// damage too.
func Verify(fsys vfs.FS, p Partition, clean bool) Verified {
	var v Verified
	next := model.Offset(-1)
	for i, s := range p.Segments {
		last := i == len(p.Segments)-1
		starts, end := v.segment(fsys, s, next, last && !clean)
		if i == 0 {
			v.Start = s.Base
		}
		next = max(end, s.Base)
		v.index(fsys, s, starts)
		v.timeIndex(fsys, s)
	}
	v.End = max(next, v.Start)
	return v
}

func (v *Verified) problem(path string, pos int64, offset model.Offset, format string, args ...any) {
	v.Problems = append(v.Problems, Problem{Path: path, Position: pos, Offset: offset, What: fmt.Sprintf(format, args...)})
}

// segment checks the batches of a segment and returns where each begins, by position, and the offset behind the last one.
func (v *Verified) segment(fsys vfs.FS, s Segment, after model.Offset, torn bool) (starts map[int64]batch.Header, end model.Offset) {
	starts = map[int64]batch.Header{}
	end = after
	if end > s.Base {
		v.problem(s.Path, 0, s.Base, "the segment begins at %d, inside the one before it, which ends at %d", s.Base, end)
	}
	end = max(end, s.Base)
	for b, err := range Batches(fsys, s) {
		if err != nil {
			v.problem(s.Path, b.Position, end, "%v", err)
			v.Problems[len(v.Problems)-1].Tail = torn
			return starts, end
		}
		h := b.Header
		starts[b.Position] = h
		if h.BaseOffset < end {
			v.problem(s.Path, b.Position, h.BaseOffset, "offsets go back: the batch begins at %d, the one before it ends at %d", h.BaseOffset, end)
		}
		if err := batch.VerifyCRC(b.Data); err != nil {
			v.problem(s.Path, b.Position, h.BaseOffset, "%v", err)
			v.Problems[len(v.Problems)-1].Tail = torn
		} else {
			v.records(s, b)
		}
		v.Batches++
		end = max(end, h.NextOffset())
	}
	return starts, end
}

// records checks that a batch holds what its header says.
func (v *Verified) records(s Segment, b Batch) {
	n, last := int32(0), b.Header.BaseOffset-1
	for r, err := range batch.Records(b.Data, batch.Limits{}) {
		if err != nil {
			v.problem(s.Path, b.Position, b.Header.BaseOffset, "record %d: %v", n, err)
			return
		}
		if r.Offset <= last || r.Offset > b.Header.LastOffset() {
			v.problem(s.Path, b.Position, r.Offset, "record %d has offset %d, outside of %d to %d or not behind the one before it", n, r.Offset, b.Header.BaseOffset, b.Header.LastOffset())
		}
		n, last = n+1, r.Offset
	}
	v.Records += int64(n)
	if n != b.Header.Count {
		v.problem(s.Path, b.Position, b.Header.BaseOffset, "the header says %d records, %d are there", b.Header.Count, n)
	}
}

// entries reads an index whole; a missing one is no damage, it is derived.
func (v *Verified) entries(fsys vfs.FS, s Segment, suffix string, size int) (name string, data []byte) {
	name = strings.TrimSuffix(s.Path, ".log") + suffix
	data, err := vfs.ReadFile(fsys, name, 1<<30)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.problem(name, 0, s.Base, "%v", err)
	}
	if n := len(data) % size; n != 0 {
		v.problem(name, int64(len(data)), s.Base, "the size is not a multiple of %d", size)
	}
	return name, data
}

// index checks that every entry of the offset index points at a batch that begins at or before its offset.
func (v *Verified) index(fsys vfs.FS, s Segment, starts map[int64]batch.Header) {
	const size = 8
	name, data := v.entries(fsys, s, ".index", size)
	lastOffset, lastPos := int64(-1), int64(-1)
	for at := 0; at+size <= len(data); at += size {
		offset, pos := int64(binary.BigEndian.Uint32(data[at:])), int64(binary.BigEndian.Uint32(data[at+4:]))
		if offset == 0 && pos == 0 {
			if at > 0 {
				return // space set aside for entries to come
			}
			continue
		}
		h, ok := starts[pos]
		switch absolute := s.Base + model.Offset(offset); {
		case offset <= lastOffset || pos <= lastPos:
			v.problem(name, int64(at), absolute, "entries are not in order")
		case !ok:
			v.problem(name, int64(at), absolute, "points at position %d, where no batch begins", pos)
		case h.BaseOffset > absolute || h.LastOffset() < absolute:
			v.problem(name, int64(at), absolute, "points at position %d, where the batch of %d to %d begins", pos, h.BaseOffset, h.LastOffset())
		}
		lastOffset, lastPos = offset, pos
	}
}

// timeIndex checks that times and offsets grow.
func (v *Verified) timeIndex(fsys vfs.FS, s Segment) {
	const size = 12
	name, data := v.entries(fsys, s, ".timeindex", size)
	lastTime, lastOffset := int64(-1<<63), int64(-1)
	for at := 0; at+size <= len(data); at += size {
		when, offset := int64(binary.BigEndian.Uint64(data[at:])), int64(binary.BigEndian.Uint32(data[at+8:]))
		if when == 0 && offset == 0 {
			return
		}
		if when < lastTime || offset < lastOffset {
			v.problem(name, int64(at), s.Base+model.Offset(offset), "entries are not in order")
		}
		lastTime, lastOffset = when, offset
	}
}
