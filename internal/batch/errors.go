package batch

import (
	"errors"
	"fmt"

	"github.com/klamm/klamm/internal/model"
)

// The causes of this room's errors outside of Validate; test with errors.Is.
var (
	// ErrShort: the bytes end within a batch. What was read so far is fine.
	ErrShort = errors.New("batch is cut off")
	// ErrCorrupt: the bytes are no batch, or not the batch that its header or checksum says.
	ErrCorrupt = errors.New("batch is corrupt")
	// ErrTooLarge: the records decompress to more than the limit.
	ErrTooLarge = errors.New("batch decompresses to more than the limit")
)

// RecordError is Validate's refusal: Kafka's code and words for it, and which records are to blame (KIP-467).
type RecordError struct {
	Code     model.ErrorCode
	Message  string
	Failures []Failure // by index, empty when the batch as a whole is refused
}

// Failure blames one record.
type Failure struct {
	Index   int32 // of the record in its batch
	Message string
}

// Error prints the code and its explanation.
func (e *RecordError) Error() string { return e.Code.String() + ": " + e.Message }

// Unwrap gives the code, so that errors.Is(err, model.CorruptMessage) works.
func (e *RecordError) Unwrap() error { return e.Code }

func refuse(code model.ErrorCode, format string, args ...any) *RecordError {
	return &RecordError{Code: code, Message: fmt.Sprintf(format, args...)}
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
