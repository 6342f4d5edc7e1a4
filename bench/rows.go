package main

import "fmt"

// benchTopic is set alike for every broker. Small segments, looked at twice a second and deleted soon, keep writing into memory that was used
// before: fresh page-cache memory costs a virtual machine many times as much, and would be all that is measured.
func benchTopic() map[string]string {
	return map[string]string{"segment.bytes": "67108864", "retention.bytes": "67108864", "file.delete.delay.ms": "500"}
}

// retainSoon goes with it, for both systems. The rows without load have it not: nobody looks through his logs twice a second.
const retainSoon = "log.retention.check.interval.ms=500"

func rows() []row {
	return []row{
		produceRow("B1", "produce acks=1, 64 KiB", 0.38, produceLoad{Partitions: 4, PerRequest: 1, Conns: 2, InFlight: 5, BatchBytes: 64 << 10, ValueSize: 1000, Acks: 1, Requests: 16000}),
		produceRow("B1", "produce acks=1, 16 KiB", 0.40, produceLoad{Partitions: 4, PerRequest: 1, Conns: 2, InFlight: 5, BatchBytes: 16 << 10, ValueSize: 1000, Acks: 1, Requests: 40000}),
		tinyRow("1 KB requests, 16 connections", 16, 0.45, 60000),
		tinyRow("1 KB requests, 1 connection", 1, 0.28, 30000),
		produceRow("B4", "produce 100 partitions, 16 x 16 KiB", 0, produceLoad{Partitions: 100, PerRequest: 16, Conns: 2, InFlight: 5, BatchBytes: 16 << 10, ValueSize: 1000, Acks: 1, Requests: 2000}),
		durableRow(),
		fetchRow("fetch hot, 1 MiB", 1<<20, 0.85, 4<<30),
		fetchRow("fetch hot, 64 KiB", 64<<10, 0.60, 2<<30),
		latencyRow(),
		smallRow(),
		manyRow(),
		coldRow(),
		idleRow(),
		connsRow(),
	}
}

// produceRow scores the broker's CPU seconds per GB of record batches acknowledged.
func produceRow(id, name string, target float64, l produceLoad) row {
	return row{ID: id, Name: name, Metrics: []metric{{Unit: "CPU s/GB", Target: target, AtMost: true}, {Name: "MB/s", Unit: "MB/s"}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			l := l
			var err error
			if l.Topic, err = b.topic(fmt.Sprintf("produce-%d", l.Partitions), l.Partitions, benchTopic()); err != nil {
				return nil, err
			}
			l.Addr = b.addr
			res, cpu, err := b.measure("produce", l)
			if err != nil {
				return nil, err
			}
			gb := float64(res.Bytes) / 1e9
			raw := map[string]any{"load": res, "cpu_s": cpu}
			return map[string]sample{"": {cpu / gb, raw}, "MB/s": {gb * 1000 / res.Elapsed.Seconds(), raw}}, nil
		}}
}

func tinyRow(name string, conns int, target float64, requests int) row {
	return row{ID: "B2", Name: name, Metrics: []metric{{Unit: "CPU us/req", Target: target, AtMost: true}, {Name: "rate", Unit: "req/s"}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			topic, err := b.topic("tiny", 4, benchTopic())
			if err != nil {
				return nil, err
			}
			l := produceLoad{Addr: b.addr, Topic: topic, Partitions: 4, PerRequest: 1, Conns: conns, InFlight: 5, BatchBytes: 0, ValueSize: 1000, Acks: 1, Requests: requests}
			res, cpu, err := b.measure("produce", l)
			if err != nil {
				return nil, err
			}
			raw := map[string]any{"load": res, "cpu_s": cpu}
			return map[string]sample{"": {cpu * 1e6 / float64(res.Requests), raw}, "rate": {float64(res.Requests) / res.Elapsed.Seconds(), raw}}, nil
		}}
}

func fetchRow(name string, maxBytes int, target float64, total int64) row {
	return row{ID: "B9", Name: name, Metrics: []metric{{Unit: "CPU s/GB", Target: target, AtMost: true}, {Name: "MB/s", Unit: "MB/s"}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			const partitions, each = 2, 128 << 20
			topic, err := b.filledTopic("fetch", partitions, each)
			if err != nil {
				return nil, err
			}
			res, cpu, err := b.measure("fetch", fetchLoad{Addr: b.addr, Topic: topic, Partitions: partitions, Conns: 2, MaxBytes: maxBytes, Bytes: total})
			if err != nil {
				return nil, err
			}
			gb := float64(res.Bytes) / 1e9
			raw := map[string]any{"load": res, "cpu_s": cpu}
			return map[string]sample{"": {cpu / gb, raw}, "MB/s": {gb * 1000 / res.Elapsed.Seconds(), raw}}, nil
		}}
}

func latencyRow() row {
	return row{ID: "B11", Name: "end to end at 1,000/s, acks=1", Metrics: []metric{{Name: "p50", Unit: "ms", Target: 0.55, AtMost: true}, {Name: "p99", Unit: "ms", Target: 0.20, AtMost: true}},
		Run: func(b *broker, run int) (map[string]sample, error) {
			topic, err := b.topic(fmt.Sprintf("latency-%d", run), 1, nil)
			if err != nil {
				return nil, err
			}
			res, cpu, err := b.measure("latency", latencyLoad{Addr: b.addr, Topic: topic, ValueSize: 1000, Acks: 1, RatePerSec: 1000, Requests: 3000})
			if err != nil {
				return nil, err
			}
			raw := map[string]any{"load": res, "cpu_s": cpu}
			return map[string]sample{"p50": {ms(res.P50), raw}, "p99": {ms(res.P99), raw}}, nil
		}}
}

// durableRow compares Klamm's default, an fsync before each acks=all answer, with Kafka's default, no fsync.
func durableRow() row {
	return row{ID: "B8", LastProduce: true, Name: "acks=all (Klamm fsyncs), 64 KiB", Metrics: []metric{{Unit: "MB/s", Target: 1}, {Name: "ack p50", Unit: "ms"}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			topic, err := b.topic("durable", 4, benchTopic())
			if err != nil {
				return nil, err
			}
			l := produceLoad{Addr: b.addr, Topic: topic, Partitions: 4, PerRequest: 1, Conns: 8, InFlight: 5, BatchBytes: 64 << 10, ValueSize: 1000, Acks: -1, Requests: 8000}
			res, cpu, err := b.measure("produce", l)
			if err != nil {
				return nil, err
			}
			raw := map[string]any{"load": res, "cpu_s": cpu}
			return map[string]sample{"": {float64(res.Bytes) / 1e6 / res.Elapsed.Seconds(), raw}, "ack p50": {float64(res.P50) / 1e6, raw}}, nil
		}}
}
