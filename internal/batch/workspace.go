package batch

import (
	"runtime"
	"sync"
)

// workspace is the memory for reading one batch after another: the window, the decompressors used so far, headers of a record.
type workspace struct {
	in      reader // of the records part
	body    reader // of one record
	headers []RecordHeader
	streams [Zstd + 1]stream // by codec, made when first needed
}

// workspaces holds memory for reuse; nothing in it has a meaning.
var workspaces = sync.Pool{New: func() any { return new(workspace) }}

func newWorkspace() *workspace { return workspaces.Get().(*workspace) }

// maxIdleWindow is how much of a window grown for a large record is kept.
const maxIdleWindow = 4 * windowSize

// release gives the memory back, without what one unusual batch made large.
func (w *workspace) release() {
	w.in.fromMemory(nil)
	w.body.fromMemory(nil)
	if len(w.in.window) > maxIdleWindow {
		w.in.window = nil
	}
	clear(w.headers)
	for i, s := range w.streams {
		if s != nil && !s.idle() {
			w.streams[i] = nil
		}
	}
	workspaces.Put(w)
}

// open begins to read the records part of a batch.
func (w *workspace) open(b []byte, codec Codec, budget int64) error {
	return w.openLoose(b, codec, budget, false)
}

// openLoose does so for what old clients wrote in lz4 (KAFKA-3160), see lz4Stream.
func (w *workspace) openLoose(b []byte, codec Codec, budget int64, loose bool) error {
	if codec == None {
		if int64(len(b)) > budget {
			return ErrTooLarge
		}
		w.in.fromMemory(b)
		return nil
	}
	if !codec.valid() {
		return corrupt("compression codec %d", codec)
	}
	if w.streams[codec] == nil {
		w.streams[codec] = newStream(codec)
	}
	s := w.streams[codec]
	if l, ok := s.(*lz4Stream); ok {
		l.loose = loose
	}
	if err := s.reset(b, budget); err != nil {
		return asCorrupt(err)
	}
	w.in.fromStream(s, budget)
	return nil
}

// end checks that the records part is used up.
func (w *workspace) end() error {
	if w.in.failure == nil && !w.in.atEnd() && w.in.failure == nil {
		return corrupt("more bytes than records")
	}
	return w.in.failure
}

// slots bounds how many batches Validate decompresses at the same time, and with that the memory that hostile batches can make it use.
// Validate computes and never waits while it has one, so there is no use in many more than processors. It is package state because the
// memory it bounds is the process's.
var slots = make(chan struct{}, max(4, 2*runtime.GOMAXPROCS(0)))
