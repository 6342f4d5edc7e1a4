package abuse

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The tests of this file need a broker that takes Produce v0 to v2. Apache Kafka does up to 3.9; Kafka 4 lists them and hangs up.

// wrap compresses messages into one, with the codec's number in its attributes.
func wrap(magic, codec int8, compressed []byte, last int64, timestamp int64) message {
	return message{magic: magic, attributes: codec, offset: last, timestamp: timestamp, value: compressed}
}

// xerial is the framing in which Java's clients write snappy.
func xerial(b []byte) []byte {
	out := []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
	for len(b) > 0 {
		n := min(len(b), 32<<10)
		block := snappy.Encode(nil, b[:n])
		out = append(append(out, size(int32(len(block)))...), block...)
		b = b[n:]
	}
	return out
}

func lz4Frame(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	// What Kafka reads: blocks that stand alone, without a checksum of the whole.
	if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// oldClient is what a client from before Kafka 0.11 sends, and the records it must become.
type oldClient struct {
	name    string
	version int16
	set     []byte
	values  []string
	// timestamp is what the records carry, -1 in format 0.
	timestamp int64
}

func oldClients(t *testing.T, now int64) []oldClient {
	v0 := func(offset int64, value string) message {
		return message{offset: offset, key: []byte("k"), value: []byte(value)}
	}
	v1 := func(offset int64, value string) message {
		return message{magic: 1, offset: offset, timestamp: now, key: []byte("k"), value: []byte(value)}
	}
	inner0, inner1 := set(v0(0, "a"), v0(1, "b"), v0(2, "c")), set(v1(0, "a"), v1(1, "b"), v1(2, "c"))
	abc := []string{"a", "b", "c"}
	return []oldClient{
		{"v0", 0, set(v0(0, "a")), []string{"a"}, -1},
		{"v0, three messages", 0, inner0, abc, -1},
		{"v0, offsets of no meaning", 0, set(v0(0, "a"), v0(0, "b"), v0(0, "c")), abc, -1},
		{"v0 in Produce v1", 1, inner0, abc, -1},
		{"v0 in Produce v2", 2, inner0, abc, -1},
		{"v0 gzip", 0, set(wrap(0, 1, compress(inner0), 2, -1)), abc, -1},
		{"v0 snappy", 0, set(wrap(0, 2, xerial(inner0), 2, -1)), abc, -1},
		{"v0 snappy without frames", 0, set(wrap(0, 2, snappy.Encode(nil, inner0), 2, -1)), abc, -1},
		{"v1", 2, inner1, abc, now},
		{"v1 gzip", 2, set(wrap(1, 1, compress(inner1), 2, now)), abc, now},
		{"v1 snappy", 2, set(wrap(1, 2, xerial(inner1), 2, now)), abc, now},
		{"v1 lz4", 2, set(wrap(1, 3, lz4Frame(t, inner1), 2, now)), abc, now},
	}
}

// TestOldClients produces as clients did before record batches, and reads the records back with a client of today.
func TestOldClients(t *testing.T) {
	tg := attack(t)
	now := time.Now().UnixMilli()
	for _, tc := range oldClients(t, now) {
		t.Run(tc.name, func(t *testing.T) {
			topic := fresh(t)
			tg.createTopic(t, topic, 1, nil)
			c := tg.dial(t)
			if r := c.produce(t, tc.version, topic, 0, tc.set); r.ErrorCode != 0 || r.BaseOffset != 0 {
				t.Fatalf("%v at %d", kerr.ErrorForCode(r.ErrorCode), r.BaseOffset)
			}
			if end := tg.endOffset(t, topic, 0); end != int64(len(tc.values)) {
				t.Errorf("the partition ends at %d, want %d", end, len(tc.values))
			}
			cl := tg.client(t, kgo.ConsumeTopics(topic))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var got []*kgo.Record
			for len(got) < len(tc.values) && ctx.Err() == nil {
				got = append(got, cl.PollFetches(ctx).Records()...)
			}
			if len(got) != len(tc.values) {
				t.Fatalf("%d records, want %d", len(got), len(tc.values))
			}
			for i, r := range got {
				if r.Offset != int64(i) || string(r.Value) != tc.values[i] || string(r.Key) != "k" || r.Timestamp.UnixMilli() != tc.timestamp {
					t.Errorf("record %d: offset %d, %s=%s at %d", i, r.Offset, r.Key, r.Value, r.Timestamp.UnixMilli())
				}
			}
		})
	}
	tg.checkAlive(t)
}

// TestBrokenMessages sends old messages that are wrong.
func TestBrokenMessages(t *testing.T) {
	tg := attack(t)
	topic, hour := fresh(t), "3600000" // as Kafka 4 has it by itself
	tg.createTopic(t, topic, 1, map[string]*string{"message.timestamp.after.max.ms": &hour})
	now := time.Now().UnixMilli()
	good := message{magic: 1, timestamp: now, value: []byte("value")}
	broken := func(change func([]byte) []byte) []byte { return change(good.bytes()) }
	late := good
	late.timestamp += 2 * 3600 * 1000
	tg.checkRejected(t, topic, []rejected{
		{"checksum", 2, broken(flip(12)), kerr.CorruptMessage, nil},
		{"bit in the value", 2, broken(flip(len(good.bytes()) - 1)), kerr.CorruptMessage, nil},
		{"length of nothing", 2, broken(put32(lengthAt, 0)), kerr.CorruptMessage, nil},
		{"negative length", 2, broken(put32(lengthAt, -1)), kerr.CorruptMessage, nil},
		{"key of 2^31-1 bytes", 2, resum(put32(26, 1<<31-1)(good.bytes())), kerr.CorruptMessage, kerr.UnknownServerError},
		{"two hours ahead", 2, set(late), kerr.InvalidTimestamp, nil},
		{"two formats in a set", 2, set(good, message{value: []byte("v")}), kerr.InvalidRecord, nil},
		{"gzip of nothing", 2, set(wrap(1, 1, nil, 0, now)), kerr.InvalidRecord, nil},
		{"gzip that is none", 2, set(wrap(1, 1, []byte("this is not gzip"), 0, now)), kerr.InvalidRecord, kerr.UnknownServerError},
		{"gzip in gzip", 2, set(wrap(1, 1, compress(set(wrap(1, 1, compress(set(good)), 0, now))), 0, now)), kerr.InvalidRecord, nil},
	})
	tg.checkAlive(t)
}

// resum makes a message's checksum right again.
func resum(b []byte) []byte {
	put32(12, int32(ieee(b[magicAt:])))(b)
	return b
}
