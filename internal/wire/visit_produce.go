package wire

import "github.com/klamm/klamm/internal/model"

// visitLimits are what the visitors of Produce and Fetch decode under. They keep nothing but slices of the input, so unknown tagged
// fields are dropped and the memory budget is never drawn on; element counts and string lengths are bounded as for any request.
func visitLimits() Limits {
	l := DefaultLimits()
	l.Tags = DropTags
	return l
}

// ProduceVisitor reads a ProduceRequest in place: it allocates nothing, and every slice it returns aliases the body.
//
// Reset walks the whole body before it returns, so a request that is malformed anywhere is refused before the first of its partitions
// has been appended, as Kafka does. The walk skips over records by their length and touches a few bytes per partition.
//
//	var v wire.ProduceVisitor
//	if err := v.Reset(body, version); err != nil { ... }
//	for v.NextTopic() {
//		for v.NextPartition() { ... v.Records() ... }
//	}
type ProduceVisitor struct {
	d          Decoder
	version    int16
	flex       bool
	topicsLeft int
	partsLeft  int
	inTopic    bool

	txnID     []byte
	acks      int16
	timeoutMs int32
	topicName []byte
	topicID   model.TopicID
	part      ProduceRequestTopicPartition
}

// Reset makes v read another body, of a version that Versions names. An error wraps ErrMalformed or ErrBudget; nothing must then be
// done with the request.
func (v *ProduceVisitor) Reset(body []byte, version int16) error {
	*v = ProduceVisitor{version: version, flex: flexible(KeyProduce, version)}
	v.d.Reset(body, visitLimits())
	if version >= 3 {
		v.txnID, _ = v.d.text(v.flex, true)
	}
	v.acks = v.d.int16()
	v.timeoutMs = v.d.int32()
	v.topicsLeft = max(v.d.arrayLen(v.flex, false, 3, 0), 0)
	start := *v
	for v.NextTopic() {
		for v.NextPartition() {
			continue
		}
	}
	if v.flex {
		v.d.tags()
	}
	if err := v.d.err; err != nil {
		v.topicsLeft = 0
		return err
	}
	*v = start
	return nil
}

// Err is the error Reset returned.
func (v *ProduceVisitor) Err() error { return v.d.err }

// Acks is who must have the records before the answer: 0 nobody and no answer, 1 the leader, -1 every in-sync replica. Other values
// come as the client sent them.
func (v *ProduceVisitor) Acks() int16 { return v.acks }

// TimeoutMs is how long the client lets the broker wait for acknowledgements, in milliseconds.
func (v *ProduceVisitor) TimeoutMs() int32 { return v.timeoutMs }

// Transactional tells whether a transactional id is set.
func (v *ProduceVisitor) Transactional() bool { return v.txnID != nil }

// TransactionalID is the transactional id, nil when there is none.
func (v *ProduceVisitor) TransactionalID() []byte { return v.txnID }

// NextTopic goes to the next topic, passing over what is left of the current one, and reports whether there is one.
func (v *ProduceVisitor) NextTopic() bool {
	for v.inTopic {
		v.NextPartition()
	}
	if v.topicsLeft == 0 || v.d.err != nil {
		return false
	}
	v.topicsLeft--
	if v.version >= 13 {
		v.topicID = v.d.uuid()
	} else {
		v.topicName, _ = v.d.text(v.flex, false)
	}
	v.partsLeft = max(v.d.arrayLen(v.flex, false, 6, 0), 0)
	v.inTopic = v.d.err == nil
	return v.inTopic
}

// TopicName is the current topic's name, before version 13.
func (v *ProduceVisitor) TopicName() []byte { return v.topicName }

// TopicID is the current topic's id, from version 13 (KIP-516).
func (v *ProduceVisitor) TopicID() model.TopicID { return v.topicID }

// NextPartition goes to the current topic's next partition and reports whether there is one.
func (v *ProduceVisitor) NextPartition() bool {
	if !v.inTopic {
		return false
	}
	if v.partsLeft > 0 {
		v.partsLeft--
		v.part = ProduceRequestTopicPartition{}
		v.part.decode(&v.d, v.version)
		v.inTopic = v.d.err == nil
		return v.inTopic
	}
	v.inTopic = false
	if v.flex {
		v.d.tags()
	}
	return false
}

// Partition is the current partition's number.
func (v *ProduceVisitor) Partition() int32 { return v.part.Index }

// Records are the current partition's record batches as they came, nil when the client sent null. They alias the body.
func (v *ProduceVisitor) Records() []byte { return v.part.Records }

// LeaderHint tells a client that came to the wrong broker, or with a wrong epoch, who leads (KIP-951). The zero value says nothing.
type LeaderHint struct {
	// Set tells whether the hint is sent at all.
	Set bool
	// ID is the leader, -1 when there is none.
	ID int32
	// Epoch is the leader's epoch.
	Epoch int32
}

func (h LeaderHint) append(dst []byte, tag uint32) []byte {
	dst, mark := openTag(dst, tag)
	dst = appendInt32(dst, h.ID)
	dst = appendInt32(dst, h.Epoch)
	return closeTag(append(dst, 0), mark)
}

// NodeEndpoint is where a leader named in a LeaderHint listens. Produce and Fetch write it alike.
type NodeEndpoint = ProduceResponseNodeEndpoint

// appendEndpoints writes a response's closing tagged fields: the endpoints of leaders, when there are any.
func appendEndpoints(dst []byte, endpoints []NodeEndpoint, version int16) []byte {
	if len(endpoints) == 0 {
		return append(dst, 0)
	}
	dst, mark := openTag(append(dst, 1), 0)
	dst = appendArrayLen(dst, len(endpoints), false, true)
	for i := range endpoints {
		dst = endpoints[i].append(dst, version)
	}
	return closeTag(dst, mark)
}

// ProducedPartition is one partition's outcome in a ProduceResponse.
type ProducedPartition struct {
	// Index is the partition's number.
	Index int32
	// ErrorCode is None when the records were appended.
	ErrorCode model.ErrorCode
	// BaseOffset is the offset of the first record, -1 when nothing was appended.
	BaseOffset int64
	// LogAppendTimeMs is the time the broker stamped on the batches, -1 when the producer's timestamps stand.
	LogAppendTimeMs int64
	// LogStartOffset is the partition's first offset, -1 when unknown.
	LogStartOffset int64
	// RecordErrors name the records to blame (KIP-467).
	RecordErrors []ProduceResponseTopicPartitionRecordError
	// ErrorMessage explains; "" is sent as null.
	ErrorMessage string
	// CurrentLeader goes with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH, from version 10.
	CurrentLeader LeaderHint
}

// ProduceAppender writes a ProduceResponse piece by piece, without building it first. The counts given to NewProduceAppender and Topic
// must be those of the calls that follow.
type ProduceAppender struct {
	dst     []byte
	version int16
	flex    bool
	inTopic bool
}

// NewProduceAppender starts a response body behind dst.
func NewProduceAppender(dst []byte, version int16, topics int) ProduceAppender {
	flex := flexible(KeyProduce, version)
	return ProduceAppender{dst: appendArrayLen(dst, topics, false, flex), version: version, flex: flex}
}

// Topic starts a topic; the version decides whether its name or its id is written.
func (a *ProduceAppender) Topic(name string, id model.TopicID, partitions int) {
	a.endTopic()
	a.inTopic = true
	if a.version >= 13 {
		a.dst = append(a.dst, id[:]...)
	} else {
		a.dst = appendString(a.dst, name, a.flex)
	}
	a.dst = appendArrayLen(a.dst, partitions, false, a.flex)
}

func (a *ProduceAppender) endTopic() {
	if a.inTopic && a.flex {
		a.dst = append(a.dst, 0)
	}
}

// Partition writes one partition of the current topic. What the version does not carry is left out.
func (a *ProduceAppender) Partition(p ProducedPartition) {
	dst := appendInt32(a.dst, p.Index)
	dst = appendInt16(dst, int16(p.ErrorCode))
	dst = appendInt64(dst, p.BaseOffset)
	if a.version >= 2 {
		dst = appendInt64(dst, p.LogAppendTimeMs)
	}
	if a.version >= 5 {
		dst = appendInt64(dst, p.LogStartOffset)
	}
	if a.version >= 8 {
		dst = appendArrayLen(dst, len(p.RecordErrors), false, a.flex)
		for i := range p.RecordErrors {
			dst = p.RecordErrors[i].append(dst, a.version)
		}
		if p.ErrorMessage == "" {
			dst = appendLen(dst, -1, a.flex, 2)
		} else {
			dst = appendString(dst, p.ErrorMessage, a.flex)
		}
	}
	if a.flex {
		if a.version >= 10 && p.CurrentLeader.Set {
			dst = p.CurrentLeader.append(append(dst, 1), 0)
		} else {
			dst = append(dst, 0)
		}
	}
	a.dst = dst
}

// Finish ends the response and returns it. Endpoints, from version 10, say where the leaders named in hints listen.
func (a *ProduceAppender) Finish(throttleMs int32, endpoints ...NodeEndpoint) []byte {
	a.endTopic()
	a.inTopic = false
	if a.version >= 1 {
		a.dst = appendInt32(a.dst, throttleMs)
	}
	if a.flex {
		if a.version < 10 {
			endpoints = nil
		}
		a.dst = appendEndpoints(a.dst, endpoints, a.version)
	}
	return a.dst
}
