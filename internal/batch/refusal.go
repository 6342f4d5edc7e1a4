package batch

import (
	"errors"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/model"
)

const appendTimeMessage = "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime."

func (r *Rules) keyMessage() string {
	return "Compacted topic cannot accept message without key in topic partition " + r.TP.String()
}

func (r *Rules) rangeMessage(timestamp int64, offset model.Offset) string {
	num := func(v int64) string { return strconv.FormatInt(v, 10) }
	return "Timestamp " + num(timestamp) + " of message with offset " + num(int64(offset)) +
		" is out of range. The timestamp should be within [" + num(r.NowMs-r.BeforeMaxMs) + ", " + num(r.NowMs+r.AfterMaxMs) + "]"
}

// maxFailures bounds how many records of a batch are blamed by name; a client learns of the others that their batch was refused.
const maxFailures = 1000

// faults collects the records to blame; nil means none.
type faults struct {
	failures []Failure
	total    int
	late     bool // one of them for its timestamp
}

func (f *faults) add(code model.ErrorCode, index int32, message string) *faults {
	if f == nil {
		f = &faults{}
	}
	f.total++
	f.late = f.late || code == model.InvalidTimestamp
	if len(f.failures) < maxFailures {
		f.failures = append(f.failures, Failure{Index: index, Message: message})
	}
	return f
}

func (f *faults) refusal() error {
	if f == nil {
		return nil
	}
	if f.late {
		return &RecordError{
			Code: model.InvalidTimestamp, Failures: f.failures, Message: "One or more records have been rejected due to invalid timestamp",
		}
	}
	shown := make([]string, 0, 3)
	for _, x := range f.failures[:min(3, len(f.failures))] {
		shown = append(shown, "RecordError(batchIndex="+strconv.Itoa(int(x.Index))+", message='"+x.Message+"')")
	}
	return &RecordError{
		Code: model.InvalidRecord, Failures: f.failures,
		Message: "One or more records have been rejected due to " + strconv.Itoa(f.total) +
			" record errors in total, and only showing the first three errors at most: [" + strings.Join(shown, ", ") + "]",
	}
}

// asRefusal turns what reading the records met into what the client is told.
func asRefusal(err error, r *Rules) error {
	var refused *RecordError
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, ErrTooLarge):
		return refuse(model.MessageTooLarge, "The record batch in the append to %v decompresses to more than %d bytes.",
			r.TP, LimitsFor(r.MaxBytes).budget())
	default:
		return refuse(model.InvalidRecord, "%v in topic partition %v", err, r.TP)
	}
}
