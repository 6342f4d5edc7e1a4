package group

import (
	"context"
	"errors"

	"github.com/klamm/klamm/internal/model"
)

// codeOf is the code that an error of the shard or the log carries. One without a code is the log's fault: clients look the coordinator
// up again and retry.
func codeOf(err error) model.ErrorCode {
	var code model.ErrorCode
	switch {
	case err == nil:
		return model.None
	case errors.As(err, &code):
		return code
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return model.CoordinatorNotAvailable
	}
	return model.NotCoordinator
}

// metadataError says in terms of the group protocol that a generation could not be written.
func metadataError(err error) model.ErrorCode {
	switch code := codeOf(err); code {
	case model.UnknownTopicOrPartition, model.NotEnoughReplicas, model.NotEnoughReplicasAfterAppend, model.RequestTimedOut:
		return model.CoordinatorNotAvailable
	case model.NotLeaderOrFollower, model.KafkaStorageError, model.FencedLeaderEpoch, model.UnknownLeaderEpoch:
		return model.NotCoordinator
	default:
		// MESSAGE_TOO_LARGE among them, of a group that does not fit into one record. Kafka answers UNKNOWN_SERVER_ERROR there, which ends
		// the client just the same and does not say why.
		return code
	}
}

// offsetError says in terms of the group protocol that offsets could not be written.
func offsetError(err error) model.ErrorCode {
	switch code := codeOf(err); code {
	case model.MessageTooLarge, model.RecordListTooLarge, model.InvalidFetchSize:
		return model.InvalidCommitOffsetSize
	default:
		return metadataError(code)
	}
}
