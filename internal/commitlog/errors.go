package commitlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/klamm/klamm/internal/model"
)

// The causes of this room's errors. They come wrapped in an *Error that names the partition; test with errors.Is.
var (
	// ErrClosed: the log or directory was closed, or the log deleted.
	ErrClosed = errors.New("log is closed")
	// ErrOffline: a read, write or sync of the directory failed. It stays offline until the process restarts.
	ErrOffline = errors.New("log directory is offline")
	// ErrNoSpace: the disk is full. Nothing was appended; the same call works again when there is room.
	ErrNoSpace = errors.New("no space left on the log directory's device")
	// ErrTooManyFiles: the process has no descriptor left. The same call works again when it has.
	ErrTooManyFiles = errors.New("too many open files")
	// ErrOffsetOutOfRange: the offset lies before the log's start or behind its end.
	ErrOffsetOutOfRange = errors.New("offset out of range")
	// ErrCorrupt: the records asked for are damaged on disk.
	ErrCorrupt = errors.New("records on disk are corrupt")
	// ErrInvalidAppend: the batches given to an append are not what their headers say or do not continue the log.
	ErrInvalidAppend = errors.New("batches do not continue the log")
	// ErrTooLarge: the append is larger than a segment may be.
	ErrTooLarge = errors.New("append is larger than the segment size")

	// ErrOutOfOrderSequence: the batch does not follow the producer's last one (KIP-98).
	ErrOutOfOrderSequence = errors.New("producer sequence out of order")
	// ErrDuplicateSequence: the batch was appended before, but too long ago to still know its offset (KIP-98).
	ErrDuplicateSequence = errors.New("producer sequence was appended before")
	// ErrInvalidProducerEpoch: a newer instance of the producer has written (KIP-360, KIP-588).
	ErrInvalidProducerEpoch = errors.New("producer epoch is older than the last one seen")
	// ErrInvalidTxnState: a plain batch of a producer with an open transaction.
	ErrInvalidTxnState = errors.New("producer has an open transaction")
	// ErrCoordinatorFenced: the marker was written by an older transaction coordinator.
	ErrCoordinatorFenced = errors.New("transaction coordinator is fenced")

	// ErrExists: the directory already holds an open log of that partition.
	ErrExists = errors.New("log is already open")
	// ErrTopicIDMismatch: the partition's directory belongs to another topic of the same name.
	ErrTopicIDMismatch = errors.New("log belongs to another topic id")
	// ErrWrongDirectory: meta.properties names another node or cluster, or is damaged.
	ErrWrongDirectory = errors.New("data directory belongs to another node or cluster")
)

// Error says which partition, and where it is known which offset, a cause belongs to.
type Error struct {
	TP     model.TopicPartition
	Offset model.Offset // NoOffset when none is meant
	Err    error
}

// Error prints cause, partition and offset.
func (e *Error) Error() string {
	if e.Offset == model.NoOffset {
		return fmt.Sprintf("%v: %v", e.TP, e.Err)
	}
	return fmt.Sprintf("%v at offset %d: %v", e.TP, e.Offset, e.Err)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// noSpace tells a full disk or quota from a failing disk.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// tooManyFiles tells a process that is out of descriptors from a failing disk.
func tooManyFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
