package batch

import "github.com/klamm/klamm/internal/model"

// Rules are what a topic demands of the batches its producers send.
type Rules struct {
	TP            model.TopicPartition // only named in messages
	MaxBytes      int                  // max.message.bytes: size of a batch as stored
	LogAppendTime bool                 // message.timestamp.type
	NowMs         int64
	BeforeMaxMs   int64 // message.timestamp.before.max.ms
	AfterMaxMs    int64 // message.timestamp.after.max.ms
	KeyRequired   bool  // cleanup.policy holds compact
	Codec         Codec // compression.type; ProducerCodec keeps the producer's
	Level         int   // of Codec when it is not ProducerCodec
}

// Checked is what Validate lets into the log.
type Checked struct {
	// Records is one v2 batch: the input itself unless something had to change that cannot be changed in place.
	Records      []byte
	Header       Header
	MaxTimestamp int64 // ms
}

// Validate checks what a client's Produce request of the given version has for one partition, as Kafka's LogValidator does, and
// converts what the topic wants otherwise. Refusals are *RecordError. It may write into records: the timestamps in the header.
func Validate(records []byte, produceVersion int16, r *Rules) (Checked, error) { panic("not yet") }
