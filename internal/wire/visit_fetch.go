package wire

import (
	"math"

	"github.com/klamm/klamm/internal/model"
)

// fetchPartitionMinSize is the fewest bytes a partition takes in any version of FetchRequest.
const fetchPartitionMinSize = 16

// FetchRequestHead is what a FetchRequest says once, for all partitions. Slices alias the body.
type FetchRequestHead struct {
	// ReplicaID is the broker that fetches, -1 for a consumer. Newer versions carry it in a tagged field at the body's end; here it
	// is always filled.
	ReplicaID int32
	// ReplicaEpoch is that broker's epoch, from version 15 (KIP-903), -1 when not known.
	ReplicaEpoch int64
	// MaxWaitMs is how long the broker may wait for MinBytes.
	MaxWaitMs int32
	// MinBytes and MaxBytes bound the answer's records over all partitions.
	MinBytes, MaxBytes int32
	// IsolationLevel is 0 for read_uncommitted and 1 for read_committed.
	IsolationLevel int8
	// SessionID and SessionEpoch continue a fetch session (KIP-227); 0 and -1 stand for none.
	SessionID, SessionEpoch int32
	// RackID is where the consumer is (KIP-392), empty when it did not say.
	RackID []byte
	// ClusterID is the cluster a follower believes to be in, nil when not said.
	ClusterID []byte
}

// FetchVisitor reads a FetchRequest in place: it allocates nothing, and every slice it returns aliases the body. As ProduceVisitor does,
// it has walked the whole body once Reset returns, which also finds the head fields that stand behind the topics.
type FetchVisitor struct {
	topics    Decoder // at the next topic or partition
	forgotten Decoder // at the next forgotten topic or partition
	version   int16
	flex      bool
	inTopic   bool

	topicsLeft, partsLeft             int
	forgottenLeft, forgottenPartsLeft int
	inForgotten                       bool
	head                              FetchRequestHead
	topicName, forgottenName          []byte
	topicID, forgottenID              model.TopicID
	part                              FetchRequestTopicPartition
	forgottenPartition                int32
	err                               error
}

// Reset makes v read another body, of a version that Versions names. An error wraps ErrMalformed or ErrBudget; nothing must then be
// done with the request.
func (v *FetchVisitor) Reset(body []byte, version int16) error {
	*v = FetchVisitor{version: version, flex: flexible(KeyFetch, version)}
	d := &v.topics
	d.Reset(body, visitLimits())
	v.readHead(d)
	v.topicsLeft = max(d.arrayLen(v.flex, false, 3, 0), 0)
	start := *v
	for v.NextTopic() {
		for v.NextPartition() {
			continue
		}
	}
	// What stands behind the topics is read by the other decoder, so that both lists can be visited in any order.
	v.forgotten = v.topics
	d = &v.forgotten
	if version >= 7 {
		v.forgottenLeft = max(d.arrayLen(v.flex, false, 3, 0), 0)
	}
	start.forgotten, start.forgottenLeft = v.forgotten, v.forgottenLeft
	for v.NextForgotten() {
		continue
	}
	if version >= 11 {
		start.head.RackID, _ = d.text(v.flex, false)
	}
	if v.flex {
		readFetchTags(d, version, &start.head)
	}
	if d.err != nil {
		*v = FetchVisitor{err: d.err}
		return v.err
	}
	*v = start
	return nil
}

func (v *FetchVisitor) readHead(d *Decoder) {
	h := &v.head
	h.ReplicaID, h.ReplicaEpoch, h.MaxBytes, h.SessionEpoch = -1, -1, math.MaxInt32, -1
	if v.version < 15 {
		h.ReplicaID = d.int32()
	}
	h.MaxWaitMs = d.int32()
	h.MinBytes = d.int32()
	if v.version >= 3 {
		h.MaxBytes = d.int32()
	}
	if v.version >= 4 {
		h.IsolationLevel = d.int8()
	}
	if v.version >= 7 {
		h.SessionID = d.int32()
		h.SessionEpoch = d.int32()
	}
}

// readFetchTags reads the tagged fields at the end of a request.
func readFetchTags(d *Decoder, version int16, h *FetchRequestHead) {
	for range d.tagCount() {
		tag, outer := d.openTag()
		switch {
		case tag == 0:
			h.ClusterID, _ = d.text(true, true)
		case tag == 1 && version >= 15:
			h.ReplicaID = d.int32()
			h.ReplicaEpoch = d.int64()
			d.tags()
		default:
			d.take(d.end - d.off)
		}
		d.closeTag(outer)
		if d.err != nil {
			return
		}
	}
}

// Err is the error Reset returned.
func (v *FetchVisitor) Err() error { return v.err }

// Head is what the request says for all partitions, valid until the next Reset.
func (v *FetchVisitor) Head() *FetchRequestHead { return &v.head }

// NextTopic goes to the next topic, passing over what is left of the current one, and reports whether there is one.
func (v *FetchVisitor) NextTopic() bool {
	for v.inTopic {
		v.NextPartition()
	}
	d := &v.topics
	if v.topicsLeft == 0 || d.err != nil {
		return false
	}
	v.topicsLeft--
	if v.version >= 13 {
		v.topicID = d.uuid()
	} else {
		v.topicName, _ = d.text(v.flex, false)
	}
	v.partsLeft = max(d.arrayLen(v.flex, false, fetchPartitionMinSize, 0), 0)
	v.inTopic = d.err == nil
	return v.inTopic
}

// TopicName is the current topic's name, before version 13.
func (v *FetchVisitor) TopicName() []byte { return v.topicName }

// TopicID is the current topic's id, from version 13 (KIP-516).
func (v *FetchVisitor) TopicID() model.TopicID { return v.topicID }

// NextPartition goes to the current topic's next partition and reports whether there is one.
func (v *FetchVisitor) NextPartition() bool {
	if !v.inTopic {
		return false
	}
	d := &v.topics
	if v.partsLeft > 0 {
		v.partsLeft--
		v.part = NewFetchRequestTopicPartition()
		v.part.decode(d, v.version)
		v.inTopic = d.err == nil
		return v.inTopic
	}
	v.inTopic = false
	if v.flex {
		d.tags()
	}
	return false
}

// Partition is the current partition, valid until the next call of NextPartition. Fields the version does not carry have their defaults.
func (v *FetchVisitor) Partition() *FetchRequestTopicPartition { return &v.part }

// NextForgotten goes to the next partition that leaves the session, from version 7, and reports whether there is one. It may be called
// before, between or after the calls for topics.
func (v *FetchVisitor) NextForgotten() bool {
	d := &v.forgotten
	for d.err == nil {
		switch {
		case v.forgottenPartsLeft > 0:
			v.forgottenPartsLeft--
			v.forgottenPartition = d.int32()
			return d.err == nil
		case v.inForgotten:
			v.inForgotten = false
			if v.flex {
				d.tags()
			}
		case v.forgottenLeft == 0:
			return false
		default:
			v.forgottenLeft--
			v.inForgotten = true
			if v.version >= 13 {
				v.forgottenID = d.uuid()
			} else {
				v.forgottenName, _ = d.text(v.flex, false)
			}
			v.forgottenPartsLeft = max(d.arrayLen(v.flex, false, 4, 0), 0)
		}
	}
	return false
}

// ForgottenName is the topic of the forgotten partition, before version 13.
func (v *FetchVisitor) ForgottenName() []byte { return v.forgottenName }

// ForgottenID is the topic of the forgotten partition, from version 13.
func (v *FetchVisitor) ForgottenID() model.TopicID { return v.forgottenID }

// ForgottenPartition is the number of the forgotten partition.
func (v *FetchVisitor) ForgottenPartition() int32 { return v.forgottenPartition }

// FetchHead is what a FetchResponse says before its topics.
type FetchHead struct {
	// ThrottleMs is how long the client is held back for its quota, from version 1.
	ThrottleMs int32
	// ErrorCode is about the session as a whole, from version 7.
	ErrorCode model.ErrorCode
	// SessionID is the session to go on with, 0 for none, from version 7.
	SessionID int32
}

// Divergence tells a follower up to where its log agrees with the leader's (KIP-595). The zero value says nothing.
type Divergence struct {
	// Set tells whether it is sent at all.
	Set bool
	// Epoch is the largest epoch of the leader's log that is not above the follower's last.
	Epoch int32
	// EndOffset is where that epoch ends in the leader's log.
	EndOffset int64
}

// FetchedPartition is one partition of a FetchResponse, without its records.
type FetchedPartition struct {
	// Index is the partition's number.
	Index int32
	// ErrorCode is None when the partition was read.
	ErrorCode model.ErrorCode
	// HighWatermark is where committed records end.
	HighWatermark int64
	// LastStableOffset is where decided transactions end, from version 4; -1 when unknown.
	LastStableOffset int64
	// LogStartOffset is the partition's first offset, from version 5; -1 when unknown.
	LogStartOffset int64
	// Aborted are the aborted transactions in the range read, ascending by first offset, from version 4. nil is sent as null, which is
	// Kafka's answer to read_uncommitted.
	Aborted []FetchResponseTopicPartitionAbortedTransaction
	// PreferredReadReplica is a closer replica to read from (KIP-392), from version 11; -1 for none.
	PreferredReadReplica int32
	// Diverging is sent instead of records, from version 12.
	Diverging Divergence
	// CurrentLeader goes with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH, from version 12.
	CurrentLeader LeaderHint
	// RecordsSize is how many bytes of records follow.
	RecordsSize int
}

// FetchAppender writes a FetchResponse around records that it never sees: they go from file to socket between two pieces of what it
// writes. For each partition call Partition, put RecordsSize bytes at the position it returns, and call EndPartition.
type FetchAppender struct {
	dst       []byte
	version   int16
	flex      bool
	inTopic   bool
	diverging Divergence
	leader    LeaderHint
}

// NewFetchAppender starts a response body behind dst.
func NewFetchAppender(dst []byte, version int16, h FetchHead, topics int) FetchAppender {
	flex := flexible(KeyFetch, version)
	if version >= 1 {
		dst = appendInt32(dst, h.ThrottleMs)
	}
	if version >= 7 {
		dst = appendInt16(dst, int16(h.ErrorCode))
		dst = appendInt32(dst, h.SessionID)
	}
	return FetchAppender{dst: appendArrayLen(dst, topics, false, flex), version: version, flex: flex}
}

// Topic starts a topic; the version decides whether its name or its id is written.
func (a *FetchAppender) Topic(name string, id model.TopicID, partitions int) {
	a.endTopic()
	a.inTopic = true
	if a.version >= 13 {
		a.dst = append(a.dst, id[:]...)
	} else {
		a.dst = appendString(a.dst, name, a.flex)
	}
	a.dst = appendArrayLen(a.dst, partitions, false, a.flex)
}

func (a *FetchAppender) endTopic() {
	if a.inTopic && a.flex {
		a.dst = append(a.dst, 0)
	}
}

// Partition writes a partition up to and including the length of its records, and returns where they belong: an index into what Finish
// will return. No records is a length of zero, never null, as in Kafka: old clients do not expect null there.
func (a *FetchAppender) Partition(p FetchedPartition) (recordsAt int) {
	dst := appendInt32(a.dst, p.Index)
	dst = appendInt16(dst, int16(p.ErrorCode))
	dst = appendInt64(dst, p.HighWatermark)
	if a.version >= 4 {
		dst = appendInt64(dst, p.LastStableOffset)
	}
	if a.version >= 5 {
		dst = appendInt64(dst, p.LogStartOffset)
	}
	if a.version >= 4 {
		dst = appendArrayLen(dst, len(p.Aborted), p.Aborted == nil, a.flex)
		for i := range p.Aborted {
			dst = p.Aborted[i].append(dst, a.version)
		}
	}
	if a.version >= 11 {
		dst = appendInt32(dst, p.PreferredReadReplica)
	}
	a.dst = appendLen(dst, p.RecordsSize, a.flex, 4)
	a.diverging, a.leader = p.Diverging, p.CurrentLeader
	return len(a.dst)
}

// EndPartition writes what stands behind the records.
func (a *FetchAppender) EndPartition() {
	if !a.flex {
		return
	}
	count := byte(0)
	if a.diverging.Set {
		count++
	}
	if a.leader.Set {
		count++
	}
	a.dst = append(a.dst, count)
	if a.diverging.Set {
		dst, mark := openTag(a.dst, 0)
		dst = appendInt32(dst, a.diverging.Epoch)
		dst = appendInt64(dst, a.diverging.EndOffset)
		a.dst = closeTag(append(dst, 0), mark)
	}
	if a.leader.Set {
		a.dst = a.leader.append(a.dst, 1)
	}
}

// Finish ends the response and returns it. Endpoints, from version 16, say where the leaders named in hints listen.
func (a *FetchAppender) Finish(endpoints ...NodeEndpoint) []byte {
	a.endTopic()
	a.inTopic = false
	if a.flex {
		if a.version < 16 {
			endpoints = nil
		}
		a.dst = appendEndpoints(a.dst, endpoints, a.version)
	}
	return a.dst
}
