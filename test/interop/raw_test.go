package interop

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// codecNames are the codecs by their number in a batch's attributes.
func codecNames() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }

// checkCodecs looks at the batches that a client produced to PREFIX-CODEC: each must be in format 2 and compressed as the client was told. A
// client that is offered the wrong versions of Produce sends uncompressed without a word (librdkafka before 2.11).
func checkCodecs(t *testing.T, addr, prefix string) {
	t.Helper()
	for _, codec := range codecNames() {
		topic := prefix + "-" + codec
		found, err := batchCodecs(t.Context(), addr, topic)
		if err != nil {
			t.Errorf("%s: %v", topic, err)
			continue
		}
		if len(found) == 0 || slices.ContainsFunc(found, func(c string) bool { return c != codec }) {
			t.Errorf("%s: batches in the log have codecs %v", topic, found)
		}
	}
}

// batchCodecs names the codec of every batch of partition 0, as fetched from its first offset.
func batchCodecs(ctx context.Context, addr, topic string) ([]string, error) {
	// Kafka 2.4's versions know topics by name.
	cl, err := kgo.NewClient(seeds(addr), kgo.MaxVersions(kversion.V2_4_0()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	first, err := kadm.NewClient(cl).ListStartOffsets(ctx, topic)
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return nil, err
	}
	o, _ := first.Lookup(topic, 0)
	fetch := kmsg.NewPtrFetchRequest()
	fetch.MaxWaitMillis, fetch.MinBytes, fetch.MaxBytes = 500, 1, 10<<20
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic = topic
	fp := kmsg.NewFetchRequestTopicPartition()
	fp.FetchOffset, fp.PartitionMaxBytes = o.Offset, 10<<20
	ft.Partitions = append(ft.Partitions, fp)
	fetch.Topics = append(fetch.Topics, ft)
	m, err := kadm.NewClient(cl).Metadata(ctx, topic)
	if err != nil {
		return nil, err
	}
	answer, err := fetch.RequestWith(ctx, cl.Broker(int(m.Topics[topic].Partitions[0].Leader)))
	if err != nil {
		return nil, err
	}
	partition := answer.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
		return nil, err
	}
	return codecsOf(partition.RecordBatches)
}

// codecsOf walks batches by their length and reads the lowest three bits of the attributes.
func codecsOf(batches []byte) ([]string, error) {
	const head, lengthAt, magicAt, attributesAt = 61, 8, 16, 21
	var found []string
	for len(batches) >= head {
		if magic := batches[magicAt]; magic != 2 {
			return nil, fmt.Errorf("a batch in format %d", magic)
		}
		codec := int(binary.BigEndian.Uint16(batches[attributesAt:])) & 7
		if codec >= len(codecNames()) {
			return nil, fmt.Errorf("a batch with codec %d", codec)
		}
		found = append(found, codecNames()[codec])
		size := 12 + int(binary.BigEndian.Uint32(batches[lengthAt:]))
		batches = batches[min(size, len(batches)):]
	}
	return found, nil
}
