package workload

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/sim/history"
)

// A record's value is its number, the length of what follows, and that many bytes that the number decides, so that a reader can tell every
// byte that is not what was written.
const (
	headSize = 8 + 4
	// maxPadding keeps most records small: a run should have many.
	maxPadding = 160
	// maxMessageBytes is the topic's limit, and oversize what a producer sends now and then to be refused.
	maxMessageBytes = 32 << 10
	oversize        = 40 << 10
)

// payload is the record value of a number, with padding of n bytes.
func payload(value int64, n int) []byte {
	b := make([]byte, headSize, headSize+n)
	binary.BigEndian.PutUint64(b, uint64(value))
	binary.BigEndian.PutUint32(b[8:], uint32(n))
	return appendPadding(b, value, n)
}

func appendPadding(b []byte, value int64, n int) []byte {
	src := rand.NewPCG(uint64(value), uint64(n))
	for n > 0 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], src.Uint64())
		b = append(b, word[:min(n, 8)]...)
		n -= 8
	}
	return b
}

// seen is what a history says of a record that was read.
func seen(r *kgo.Record) history.Mop {
	m := history.Mop{Key: history.Key{Topic: r.Topic, Partition: r.Partition}, Offset: r.Offset, Epoch: r.LeaderEpoch, Sum: crc32.ChecksumIEEE(r.Value)}
	if len(r.Value) < headSize {
		m.Damaged = true
		return m
	}
	m.Value = int64(binary.BigEndian.Uint64(r.Value))
	n := int(binary.BigEndian.Uint32(r.Value[8:]))
	m.Damaged = len(r.Value) != headSize+n || string(payload(m.Value, n)) != string(r.Value)
	return m
}
