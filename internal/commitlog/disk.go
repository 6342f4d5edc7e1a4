package commitlog

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/model"
)

// disk is what everything in one data directory shares: the file system, its open files, and whether it still works.
type disk struct {
	env   Env
	files *fileCache

	// unsynced is the number of bytes appended to any log and not made durable yet. It tells the committer what a sync of the
	// whole file system would drag along.
	unsynced atomic.Int64
	// uncheckpointed is the number of bytes appended since the last checkpoint, and with it about what a restart after a crash reads.
	uncheckpointed atomic.Int64

	// held is the number of files that stay open because they have undurable bytes. From maxHeld on they are synced to be closed.
	held    atomic.Int64
	maxHeld int64

	walked    int64 // see DirOptions
	onOffline func(error)
	offline   atomic.Pointer[offlineCause]

	scanners sync.Pool // of *scanner
	blocks   indexBlocks
}

// heldStep is how many more files are held when syncing them is asked for again.
const heldStep = 64

// offlineCause is the first failure of a directory.
type offlineCause struct {
	err  error
	told chan struct{} // closed when onOffline has returned
}

func newDisk(env Env, o DirOptions) *disk {
	return &disk{env: env, files: newFileCache(env.FS, o.MaxOpenFiles), maxHeld: int64(max(o.MaxOpenFiles/2, heldStep)), walked: o.walked, onOffline: o.OnOffline}
}

// report passes an event on.
func (k *disk) report(e Event) {
	if k.env.Events != nil {
		k.env.Events(e)
	}
}

// err is why nothing works any more, nil while the directory is online.
func (k *disk) err() error {
	if c := k.offline.Load(); c != nil {
		return c.err
	}
	return nil
}

// failed turns the error of a read or write into one of this room's: a full disk and a lack of descriptors pass, everything else takes the
// directory offline, because what the disk holds is no longer known.
func (k *disk) failed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrOffline) || errors.Is(err, ErrNoSpace) || errors.Is(err, ErrTooManyFiles):
		return err
	case noSpace(err):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case tooManyFiles(err):
		return fmt.Errorf("%w: %w", ErrTooManyFiles, err)
	}
	return k.goOffline(err)
}

// syncFailed takes the directory offline whatever the cause: after a failed sync the page cache shows data the disk may not have, and
// a second sync would confirm it (USENIX ATC '20, "Can applications recover from fsync failures?").
func (k *disk) syncFailed(err error) error {
	if err == nil || bug.Is(bug.FailedFsyncBelieved) {
		return nil
	}
	return k.goOffline(err)
}

func (k *disk) goOffline(cause error) error {
	c := &offlineCause{err: fmt.Errorf("%w: %w", ErrOffline, cause), told: make(chan struct{})}
	if !k.offline.CompareAndSwap(nil, c) {
		return k.offline.Load().err
	}
	k.report(Event{Kind: EventOffline, Err: cause})
	// The failing call may hold a lock; the hook is promised that none is held.
	go func() {
		defer close(c.told)
		if k.onOffline != nil {
			k.onOffline(cause)
		}
	}()
	return c.err
}

// awaitTold waits until whoever wants to know that the directory is offline has been told.
func (k *disk) awaitTold() {
	if c := k.offline.Load(); c != nil {
		<-c.told
	}
}

// readAt fills b from f. A file that ends before is io.ErrUnexpectedEOF, for the caller to judge; other failures take the directory offline.
func (k *disk) readAt(f io.ReaderAt, b []byte, pos int64) error {
	n, err := f.ReadAt(b, pos)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return k.failed(err)
}

// place is where a log's files are. It is shared by the log and its segments.
type place struct {
	*disk
	tp   model.TopicPartition
	path string
	// dense says that every segment of the log ends where the next begins: then one that ends before is damaged. It does not hold for
	// compacted logs, nor for those that came from Kafka.
	dense atomic.Bool
}

func (p *place) file(base model.Offset, suffix string) string {
	return p.path + "/" + segmentFile(base, suffix)
}

// at names the partition, and an offset if that is known, in an error.
func (p *place) at(offset model.Offset, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{TP: p.tp, Offset: offset, Err: err}
}
