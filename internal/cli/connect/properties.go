package connect

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// property turns a value into an option; a nil option means that the value needs none.
type property func(value string) (kgo.Opt, error)

// properties are the client properties that are understood. A nil entry is one whose effect lies elsewhere, or that has none here.
func properties() map[string]property {
	return map[string]property{
		"bootstrap.servers":       nil,
		"client.id":               func(v string) (kgo.Opt, error) { return kgo.ClientID(v), nil },
		"client.rack":             func(v string) (kgo.Opt, error) { return kgo.Rack(v), nil },
		"security.protocol":       plaintextOnly,
		"metadata.max.age.ms":     millis(func(d time.Duration) kgo.Opt { return kgo.MetadataMaxAge(max(d, 100*time.Millisecond)) }),
		"connections.max.idle.ms": millis(func(d time.Duration) kgo.Opt { return kgo.ConnIdleTimeout(d) }),
		"request.timeout.ms":      millis(func(d time.Duration) kgo.Opt { return kgo.ProduceRequestTimeout(max(d, 100*time.Millisecond)) }),
		"retry.backoff.ms": millis(func(d time.Duration) kgo.Opt {
			return kgo.RetryBackoffFn(func(int) time.Duration { return d })
		}),
		"socket.connection.setup.timeout.ms": millis(func(d time.Duration) kgo.Opt { return kgo.DialTimeout(d) }),

		"acks":                acks,
		"enable.idempotence":  nil,
		"linger.ms":           millis(func(d time.Duration) kgo.Opt { return kgo.ProducerLinger(d) }),
		"batch.size":          number(512, 1<<30, func(n int64) kgo.Opt { return kgo.ProducerBatchMaxBytes(int32(max(n, 512))) }),
		"buffer.memory":       number(1<<10, 1<<40, func(n int64) kgo.Opt { return kgo.MaxBufferedBytes(int(n)) }),
		"max.request.size":    number(1<<10, 1<<30, func(n int64) kgo.Opt { return kgo.BrokerMaxWriteBytes(int32(max(n, 2<<20))) }),
		"delivery.timeout.ms": millis(func(d time.Duration) kgo.Opt { return kgo.RecordDeliveryTimeout(max(d, time.Second)) }),
		"retries":             number(0, 1<<31-1, func(n int64) kgo.Opt { return kgo.RecordRetries(int(max(n, 1))) }),
		"compression.type":    compression,
		"max.in.flight.requests.per.connection": number(1, 1<<20, func(n int64) kgo.Opt {
			return kgo.MaxProduceRequestsInflightPerBroker(int(n))
		}),
		"max.block.ms":     nil,
		"transactional.id": nil,
		"partitioner.class": func(v string) (kgo.Opt, error) {
			if strings.HasSuffix(v, "RoundRobinPartitioner") {
				return kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), nil
			}
			return nil, nil
		},

		"group.id":                  nil,
		"group.instance.id":         func(v string) (kgo.Opt, error) { return kgo.InstanceID(v), nil },
		"group.protocol":            nil,
		"auto.offset.reset":         nil,
		"enable.auto.commit":        nil,
		"auto.commit.interval.ms":   millis(func(d time.Duration) kgo.Opt { return kgo.AutoCommitInterval(max(d, 100*time.Millisecond)) }),
		"session.timeout.ms":        millis(func(d time.Duration) kgo.Opt { return kgo.SessionTimeout(d) }),
		"heartbeat.interval.ms":     millis(func(d time.Duration) kgo.Opt { return kgo.HeartbeatInterval(d) }),
		"max.poll.interval.ms":      millis(func(d time.Duration) kgo.Opt { return kgo.RebalanceTimeout(d) }),
		"max.poll.records":          nil,
		"isolation.level":           isolation,
		"fetch.min.bytes":           number(0, 1<<30, func(n int64) kgo.Opt { return kgo.FetchMinBytes(int32(n)) }),
		"fetch.max.bytes":           number(1, 1<<30, func(n int64) kgo.Opt { return kgo.FetchMaxBytes(int32(n)) }),
		"fetch.max.wait.ms":         millis(func(d time.Duration) kgo.Opt { return kgo.FetchMaxWait(max(d, 10*time.Millisecond)) }),
		"max.partition.fetch.bytes": number(1, 1<<30, func(n int64) kgo.Opt { return kgo.FetchMaxPartitionBytes(int32(n)) }),
		"check.crcs": func(v string) (kgo.Opt, error) {
			if v == "false" {
				return kgo.DisableFetchCRCValidation(), nil
			}
			return nil, nil
		},
		"partition.assignment.strategy": balancers,
		"key.serializer":                nil,
		"value.serializer":              nil,
		"key.deserializer":              nil,
		"value.deserializer":            nil,
		"send.buffer.bytes":             nil,
		"receive.buffer.bytes":          nil,
		"default.api.timeout.ms":        nil,
		"exclude.internal.topics":       nil,
		"allow.auto.create.topics":      nil,
		"interceptor.classes":           nil,
	}
}

func plaintextOnly(v string) (kgo.Opt, error) {
	if v != "" && !strings.EqualFold(v, "PLAINTEXT") {
		return nil, errors.New("only PLAINTEXT is possible in this version")
	}
	return nil, nil
}

func acks(v string) (kgo.Opt, error) {
	switch v {
	case "all", "-1":
		return kgo.RequiredAcks(kgo.AllISRAcks()), nil
	case "1":
		return kgo.RequiredAcks(kgo.LeaderAck()), nil
	case "0":
		return kgo.RequiredAcks(kgo.NoAck()), nil
	}
	return nil, errors.New("must be one of all, -1, 0, 1")
}

func isolation(v string) (kgo.Opt, error) {
	switch v {
	case "read_committed":
		return kgo.FetchIsolationLevel(kgo.ReadCommitted()), nil
	case "read_uncommitted":
		return kgo.FetchIsolationLevel(kgo.ReadUncommitted()), nil
	}
	return nil, errors.New("must be one of read_committed, read_uncommitted")
}

// Codec finds a compression by the name Kafka has for it.
func Codec(name string) (kgo.CompressionCodec, error) {
	switch strings.ToLower(name) {
	case "", "none", "uncompressed":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.CompressionCodec{}, errors.New("must be one of none, gzip, snappy, lz4, zstd")
}

func compression(v string) (kgo.Opt, error) {
	c, err := Codec(v)
	if err != nil {
		return nil, err
	}
	return kgo.ProducerBatchCompression(c), nil
}

func balancers(v string) (kgo.Opt, error) {
	var out []kgo.GroupBalancer
	for name := range strings.SplitSeq(v, ",") {
		switch name = strings.TrimSpace(name); name[strings.LastIndexByte(name, '.')+1:] {
		case "RangeAssignor", "range":
			out = append(out, kgo.RangeBalancer())
		case "RoundRobinAssignor", "roundrobin":
			out = append(out, kgo.RoundRobinBalancer())
		case "StickyAssignor", "sticky":
			out = append(out, kgo.StickyBalancer())
		case "CooperativeStickyAssignor", "cooperative-sticky":
			out = append(out, kgo.CooperativeStickyBalancer())
		default:
			return nil, fmt.Errorf("no assignor is called %s", name)
		}
	}
	return kgo.Balancers(out...), nil
}

func millis(opt func(time.Duration) kgo.Opt) property {
	return number(0, 1<<53, func(n int64) kgo.Opt {
		return opt(time.Duration(min(n, int64(1<<62/time.Millisecond))) * time.Millisecond)
	})
}

func number(low, high int64, opt func(int64) kgo.Opt) property {
	return func(v string) (kgo.Opt, error) {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 && low >= 0 {
			return nil, errors.New("is not a whole number")
		}
		return opt(min(max(n, low), high)), nil
	}
}

// Known says whether a client property has this name.
func Known(name string) bool {
	_, ok := properties()[name]
	return ok
}

// Names are all properties that are understood.
func Names() []string {
	var out []string
	for name := range properties() {
		out = append(out, name)
	}
	return out
}
