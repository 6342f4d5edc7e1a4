package main

import (
	"fmt"
)

// clusterRows are for three brokers, replication factor 3 and min.insync.replicas=2. Klamm's default waits for the disks of all in-sync replicas,
// Kafka's never does: rows say which durability Klamm has.
func clusterRows() []row {
	return []row{
		replRow("x3 acks=all page cache, 64 KiB", "page-cache", 64<<10, 3000, 0.35),
		replRow("x3 acks=all page cache, 256 KiB", "page-cache", 256<<10, 1000, 0.45),
		replDurableRow(),
		replSmallRow(),
		replSingleRow(),
		replLatencyRow(),
	}
}

func clusterTopic(d string) map[string]string {
	c := benchTopic()
	c["min.insync.replicas"], c[durability] = "2", d
	return c
}

// replicated makes a topic whose partition i is led by node i, and a load whose connections go to its leaders.
func (b *broker) replicated(name, d string, l produceLoad) (produceLoad, error) {
	topic, err := b.topic(name, l.Partitions, clusterTopic(d))
	if err != nil {
		return l, err
	}
	l.Topic, l.PerRequest, l.ValueSize, l.Acks = topic, 1, 1000, -1
	l.Leaders, err = b.leaders(topic)
	return l, err
}

// replRow is B6: what all brokers together spend on a GB that three have.
func replRow(name, d string, batchBytes, requests int, target float64) row {
	return row{ID: "B6", Cluster: true, Name: name, Metrics: []metric{{Unit: "CPU s/GB", Target: target, AtMost: true}, {Name: "MB/s", Unit: "MB/s"}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			l, err := b.replicated("repl-"+d, d, produceLoad{Partitions: 2, Conns: 2, InFlight: 5, BatchBytes: batchBytes, Requests: requests})
			if err != nil {
				return nil, err
			}
			return b.produceSample(l)
		}}
}

func (b *broker) produceSample(l produceLoad) (map[string]sample, error) {
	res, cpu, err := b.measure("produce", l)
	if err != nil {
		return nil, err
	}
	gb := float64(res.Bytes) / 1e9
	raw := map[string]any{"load": res, "cpu_s": cpu}
	return map[string]sample{"": {cpu / gb, raw}, "MB/s": {gb * 1000 / res.Elapsed.Seconds(), raw}, "ack p50": {ms(res.P50), raw}, "CPU": {cpu / gb, raw}}, nil
}

// replDurableRow is B6 with Klamm's default.
func replDurableRow() row {
	return row{ID: "B6", Cluster: true, Name: "x3 acks=all (Klamm fsyncs), 64 KiB",
		Metrics: []metric{{Name: "MB/s", Unit: "MB/s", Target: 1.5}, {Name: "CPU", Unit: "CPU s/GB"}, {Name: "ack p50", Unit: "ms"}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			l, err := b.replicated("repl-fsync", "fsync", produceLoad{Partitions: 2, Conns: 2, InFlight: 5, BatchBytes: 64 << 10, Requests: 3000})
			if err != nil {
				return nil, err
			}
			return b.produceSample(l)
		}}
}

// replSmallRow is B7: ordered requests in flight on one connection, which Kafka takes one by one.
func replSmallRow() row {
	return row{ID: "B7", Cluster: true, Name: "x3 acks=all 16 KiB, 5 in flight", Metrics: []metric{{Name: "MB/s", Unit: "MB/s", Target: 3}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			l, err := b.replicated("repl-small", "page-cache", produceLoad{Partitions: 1, Conns: 1, InFlight: 5, BatchBytes: 16 << 10, Requests: 3000})
			if err != nil {
				return nil, err
			}
			return b.produceSample(l)
		}}
}

// replSingleRow is B7 with one request in flight: how long it takes to have a record three times.
func replSingleRow() row {
	return row{ID: "B7", Cluster: true, Name: "x3 acks=all 16 KiB, 1 in flight", Metrics: []metric{{Name: "ack p50", Unit: "ms", Target: 0.5, AtMost: true}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			l, err := b.replicated("repl-small", "page-cache", produceLoad{Partitions: 1, Conns: 1, InFlight: 1, BatchBytes: 16 << 10, Requests: 1000})
			if err != nil {
				return nil, err
			}
			return b.produceSample(l)
		}}
}

func replLatencyRow() row {
	return row{ID: "B11", Cluster: true, Name: "x3 end to end at 1,000/s, acks=all",
		Metrics: []metric{{Name: "p50", Unit: "ms", Target: 0.6, AtMost: true}, {Name: "p99", Unit: "ms", Target: 0.25, AtMost: true}},
		Run: func(b *broker, run int) (map[string]sample, error) {
			l, err := b.replicated(fmt.Sprintf("latency-%d", run), "page-cache", produceLoad{Partitions: 1})
			if err != nil {
				return nil, err
			}
			res, cpu, err := b.measure("latency", latencyLoad{Addr: l.Leaders[0], Topic: l.Topic, ValueSize: 1000, Acks: -1, RatePerSec: 1000, Requests: 3000})
			if err != nil {
				return nil, err
			}
			raw := map[string]any{"load": res, "cpu_s": cpu}
			return map[string]sample{"p50": {ms(res.P50), raw}, "p99": {ms(res.P99), raw}}, nil
		}}
}
