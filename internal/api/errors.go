package api

import (
	"context"
	"errors"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
)

var (
	errUnsupported = errors.New("unsupported api key or version")
	errStopping    = errors.New("node is stopping")
)

// codeOf maps an engine's error to what a client is told. An error without a mapping is a fault of ours and is logged where it happens;
// the client gets KAFKA_STORAGE_ERROR, which it retries, and never UNKNOWN_SERVER_ERROR, on which clients lose or double data.
func codeOf(err error) model.ErrorCode {
	if err == nil {
		return model.None
	}
	var code model.ErrorCode
	if errors.As(err, &code) {
		return code
	}
	if errors.Is(err, batch.ErrCorrupt) || errors.Is(err, batch.ErrShort) {
		return model.CorruptMessage
	}
	if errors.Is(err, batch.ErrTooLarge) {
		return model.MessageTooLarge
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return model.RequestTimedOut
	}
	if c, ok := replication.Code(err); ok {
		return c
	}
	return model.KafkaStorageError
}
