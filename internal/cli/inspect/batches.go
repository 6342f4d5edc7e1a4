package inspect

import (
	"errors"
	"io"
	"iter"
	"os"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// Batch is one batch of a segment where it lies. Data is valid until the next step.
type Batch struct {
	Header   batch.Header
	Position int64
	Data     []byte
}

// Problem is damage that was found.
type Problem struct {
	Path     string       `json:"path"`
	Position int64        `json:"position"`
	Offset   model.Offset `json:"offset"`
	What     string       `json:"what"`
	// Tail: at the end of the last segment after an unclean end, which recovery cuts off at the next start; nothing that was
	// acknowledged as durable lies there.
	Tail bool `json:"tail"`
}

// maxBatch bounds what a damaged length can make us read.
const maxBatch = 1 << 30

// Batches walks a segment. What cannot be read ends the walk with an error.
func Batches(fsys vfs.FS, s Segment) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		f, err := fsys.OpenFile(s.Path, os.O_RDONLY, 0)
		if err != nil {
			yield(Batch{}, err)
			return
		}
		defer f.Close()
		head := make([]byte, batch.HeaderSize)
		var buf []byte
		for pos := int64(0); pos < s.Bytes; {
			b := Batch{Position: pos}
			if err := readAt(f, head, pos); err != nil {
				yield(b, err)
				return
			}
			if b.Header, err = batch.ParseHeader(head); err != nil {
				yield(b, err)
				return
			}
			size := b.Header.Size()
			if size > maxBatch {
				yield(b, errors.New("the length is larger than any batch's"))
				return
			}
			if cap(buf) < size {
				buf = make([]byte, size)
			}
			b.Data = buf[:size]
			if err := readAt(f, b.Data, pos); err != nil {
				yield(b, err)
				return
			}
			if !yield(b, nil) {
				return
			}
			pos += int64(size)
		}
	}
}

var errCut = errors.New("the file ends inside a batch")

func readAt(f vfs.File, b []byte, pos int64) error {
	n, err := f.ReadAt(b, pos)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) || err == nil {
		return errCut
	}
	return err
}
