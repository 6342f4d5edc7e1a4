package main

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordBatch builds one valid v2 batch of records whose values have valueSize bytes, about batchBytes in all (at least one).
func recordBatch(batchBytes, valueSize int, seed int64) (batch []byte, records int) {
	rng := rand.New(rand.NewSource(seed))
	value := make([]byte, valueSize)
	rng.Read(value)
	body := []byte{}
	for {
		body = appendRecord(body, records, value)
		records++
		if len(body)+61+valueSize+16 > batchBytes {
			break
		}
	}
	b := make([]byte, 61, 61+len(body))
	be := binary.BigEndian
	be.PutUint32(b[8:], uint32(61-12+len(body)))
	be.PutUint32(b[12:], 0xffffffff) // leader epoch: unknown
	b[16] = 2
	be.PutUint32(b[23:], uint32(records-1))
	now := time.Now().UnixMilli()
	be.PutUint64(b[27:], uint64(now))
	be.PutUint64(b[35:], uint64(now))
	be.PutUint64(b[43:], ^uint64(0))
	be.PutUint16(b[51:], 0xffff)
	be.PutUint32(b[53:], 0xffffffff)
	be.PutUint32(b[57:], uint32(records))
	b = append(b, body...)
	sealBatch(b)
	return b, records
}

// sealBatch writes the checksum of a batch whose bytes behind the checksum are final.
func sealBatch(b []byte) { binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli)) }

func appendRecord(dst []byte, delta int, value []byte) []byte {
	rec := []byte{0} // attributes
	rec = binary.AppendVarint(rec, 0)
	rec = binary.AppendVarint(rec, int64(delta))
	rec = binary.AppendVarint(rec, -1) // no key
	rec = binary.AppendVarint(rec, int64(len(value)))
	rec = append(rec, value...)
	rec = binary.AppendVarint(rec, 0) // no headers
	dst = binary.AppendVarint(dst, int64(len(rec)))
	return append(dst, rec...)
}

// produceFrame encodes a whole Produce v9 request, length prefix included, for the given partitions of one topic.
func produceFrame(topic string, partitions []int32, batches [][]byte, acks int16) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.Version = 9
	req.Acks = acks
	req.TimeoutMillis = 30000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for i, p := range partitions {
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition = p
		rp.Records = batches[i%len(batches)]
		t.Partitions = append(t.Partitions, rp)
	}
	req.Topics = append(req.Topics, t)
	return frame(req)
}

// fetchFrame encodes a sessionless Fetch v11 of one partition; offset stands at the returned position for patching.
func fetchFrame(topic string, partition int32, maxBytes int32, maxWaitMs int32) (f []byte, offsetAt int) {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 11
	req.ReplicaID = -1
	req.MaxWaitMillis = maxWaitMs
	req.MinBytes = 1
	req.MaxBytes = maxBytes
	req.SessionEpoch = -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition = partition
	p.CurrentLeaderEpoch = -1
	p.FetchOffset = 0x1122334455667788
	p.LogStartOffset = -1
	p.PartitionMaxBytes = maxBytes
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	f = frame(req)
	var mark [8]byte
	binary.BigEndian.PutUint64(mark[:], 0x1122334455667788)
	for i := range f {
		if i+8 <= len(f) && [8]byte(f[i:i+8]) == mark {
			return f, i
		}
	}
	return f, -1
}

// frame adds size and request header; the correlation id stands at bytes 8 to 12.
func frame(req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench")).AppendRequest(nil, req, 0)
}
