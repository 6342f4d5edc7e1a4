package replication

import (
	"errors"
	"fmt"

	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/model"
)

// The causes of this room's errors. They come wrapped in an *Error that names the partition; test with errors.Is.
var (
	// ErrNotLeader: this node does not lead the partition (any more).
	ErrNotLeader = errors.New("not the leader")
	// ErrFencedLeaderEpoch: the caller knows an older leader epoch (KIP-320).
	ErrFencedLeaderEpoch = errors.New("leader epoch is older than the current one")
	// ErrUnknownLeaderEpoch: the caller knows a newer leader epoch (KIP-320).
	ErrUnknownLeaderEpoch = errors.New("leader epoch is newer than the current one")
	// ErrNotEnoughReplicas: acks=all, and the ISR is smaller than min.insync.replicas. Nothing was appended.
	ErrNotEnoughReplicas = errors.New("fewer replicas in sync than min.insync.replicas")
	// ErrNotEnoughReplicasAfterAppend: the ISR became smaller than min.insync.replicas between append and acknowledgement.
	ErrNotEnoughReplicasAfterAppend = errors.New("fewer replicas in sync than min.insync.replicas after the append")
	// ErrOffsetNotAvailable: a new leader does not know yet how far its predecessor had committed.
	ErrOffsetNotAvailable = errors.New("high watermark is not known yet")
	// ErrOffline: the partition's log failed.
	ErrOffline = errors.New("partition is offline")
	// ErrDeleted: the partition was deleted or moved away.
	ErrDeleted = errors.New("partition was deleted")
	// ErrNotReplica: the fetching broker holds no replica of the partition.
	ErrNotReplica = errors.New("broker is not a replica")
	// ErrBatchCount: more than one batch where a produce request must carry exactly one.
	ErrBatchCount = errors.New("not exactly one batch")
)

// Error says which partition a cause belongs to.
type Error struct {
	TP  model.TopicPartition
	Err error
}

// Error prints partition and cause.
func (e *Error) Error() string { return fmt.Sprintf("%v: %v", e.TP, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Code is the protocol's code of an error of this room or of the log below; ok is false for an error of neither.
func Code(err error) (code model.ErrorCode, ok bool) {
	switch {
	case errors.Is(err, ErrNotLeader), errors.Is(err, ErrNotReplica):
		return model.NotLeaderOrFollower, true
	case errors.Is(err, ErrFencedLeaderEpoch):
		return model.FencedLeaderEpoch, true
	case errors.Is(err, ErrUnknownLeaderEpoch):
		return model.UnknownLeaderEpoch, true
	case errors.Is(err, ErrNotEnoughReplicas):
		return model.NotEnoughReplicas, true
	case errors.Is(err, ErrNotEnoughReplicasAfterAppend):
		return model.NotEnoughReplicasAfterAppend, true
	case errors.Is(err, ErrOffsetNotAvailable):
		return model.OffsetNotAvailable, true
	case errors.Is(err, ErrDeleted):
		return model.UnknownTopicOrPartition, true
	case errors.Is(err, ErrOffline):
		return model.KafkaStorageError, true
	case errors.Is(err, ErrBatchCount):
		return model.InvalidRecord, true
	}
	return logCode(err)
}

// logCode is the code of an error of the log.
func logCode(err error) (code model.ErrorCode, ok bool) {
	switch {
	case errors.Is(err, commitlog.ErrOffsetOutOfRange):
		return model.OffsetOutOfRange, true
	case errors.Is(err, commitlog.ErrOutOfOrderSequence):
		return model.OutOfOrderSequenceNumber, true
	case errors.Is(err, commitlog.ErrDuplicateSequence):
		return model.DuplicateSequenceNumber, true
	case errors.Is(err, commitlog.ErrInvalidProducerEpoch):
		return model.InvalidProducerEpoch, true
	case errors.Is(err, commitlog.ErrInvalidTxnState):
		return model.InvalidTxnState, true
	case errors.Is(err, commitlog.ErrCoordinatorFenced):
		return model.TransactionCoordinatorFenced, true
	case errors.Is(err, commitlog.ErrTooLarge):
		return model.RecordListTooLarge, true
	case errors.Is(err, commitlog.ErrInvalidAppend):
		return model.CorruptMessage, true
	case errors.Is(err, commitlog.ErrClosed), errors.Is(err, commitlog.ErrOffline), errors.Is(err, commitlog.ErrNoSpace), errors.Is(err, commitlog.ErrCorrupt):
		return model.KafkaStorageError, true
	}
	return model.None, false
}
