package node

import (
	"log/slog"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/wire"
)

// events counts what the logs report, and logs what an operator should know.
type events struct {
	log    *slog.Logger
	counts [eventKinds]atomic.Int64
}

// eventKinds is more than there are kinds of commitlog events.
const eventKinds = 32

func newEvents(log *slog.Logger) *events { return &events{log: log.With("component", "log")} }

func (e *events) add(ev commitlog.Event) {
	if int(ev.Kind) < eventKinds {
		e.counts[ev.Kind].Add(1)
	}
	args := []any{"event", ev.Kind.String(), "topic", ev.TP.Topic, "partition", ev.TP.Partition, "from", ev.From, "to", ev.To, "bytes", ev.Bytes,
		"took", ev.Took, "name", ev.Name, "err", ev.Err}
	switch ev.Kind {
	case commitlog.EventCorrupt, commitlog.EventOffline:
		e.log.Error("log event", args...)
	case commitlog.EventTruncatedTail, commitlog.EventIndexRebuilt, commitlog.EventSnapshotBad, commitlog.EventCheckpointBad, commitlog.EventNoSpace:
		e.log.Warn("log event", args...)
	default:
		e.log.Debug("log event", args...)
	}
}

// collector turns the rooms' counters into metrics when somebody asks.
type collector struct{ n *Node }

func (n *Node) registry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collector{n}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("klamm_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector: what there is depends on the topics, so nothing is promised.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	n := c.n
	img := n.image.Load()
	gauge := func(name, help string, v float64) {
		out <- prometheus.MustNewConstMetric(desc(name, help), prometheus.GaugeValue, v)
	}
	out <- prometheus.MustNewConstMetric(desc("build_info", "The version that runs.", "version", "node", "cluster"), prometheus.GaugeValue, 1,
		n.version, strconv.Itoa(int(n.me)), n.identity.cluster)
	gauge("topics", "Topics of the cluster.", float64(img.TopicCount()))
	gauge("metadata_offset", "Offset of the metadata log that this node has applied.", float64(img.Offset))
	gauge("replicas_unopened", "Replicas that this node should hold and cannot open.", float64(n.unopened.len()))
	st := n.quorum.Status()
	gauge("quorum_leader", "Node that leads the metadata log, -1 for none.", float64(st.Leader))
	gauge("quorum_term", "Term of the metadata log's leader.", float64(st.Term))
	c.server(out)
	c.apis(out)
	c.partitions(out)
	c.dirs(out)
	c.happened(out)
	c.ailments(out)
}

func (c collector) server(out chan<- prometheus.Metric) {
	s := c.n.edges.server.Stats()
	count := func(name, help string, v int64) {
		out <- prometheus.MustNewConstMetric(desc(name, help), prometheus.CounterValue, float64(v))
	}
	out <- prometheus.MustNewConstMetric(desc("connections", "Open client connections."), prometheus.GaugeValue, float64(s.Open.Load()))
	out <- prometheus.MustNewConstMetric(desc("queued_bytes", "Memory held by requests and unsent replies."), prometheus.GaugeValue,
		float64(c.n.edges.server.QueuedBytes()))
	count("connections_accepted_total", "Connections accepted.", s.Accepted.Load())
	count("received_bytes_total", "Bytes of request frames.", s.BytesIn.Load())
	count("sent_bytes_total", "Bytes of response frames.", s.BytesOut.Load())
	count("cold_reads_total", "File ranges that were not in the page cache.", s.ColdReads.Load())
	count("memory_waits_total", "Reads that waited for request memory.", s.MemoryWaits.Load())
	refused := desc("connections_refused_total", "Connections refused or closed by the server, by reason.", "reason")
	for reason, v := range map[string]int64{
		"max_connections": s.RefusedTotal.Load(), "max_connections_per_ip": s.RefusedPerIP.Load(), "idle": s.ClosedIdle.Load(), "partial_frame": s.ClosedPartial.Load(),
		"write_stall": s.ClosedStalled.Load(), "handshake": s.ClosedHandshake.Load(), "malformed": s.ClosedMalformed.Load(),
	} {
		out <- prometheus.MustNewConstMetric(refused, prometheus.CounterValue, float64(v), reason)
	}
}

func (c collector) apis(out chan<- prometheus.Metric) {
	m := c.n.edges.metrics
	d := desc("request_seconds", "Time from a request's arrival to its answer, by API.", "api")
	for key := range m.APIs {
		a := &m.APIs[key]
		total := a.Requests.Load()
		if total == 0 {
			continue
		}
		out <- prometheus.MustNewConstHistogram(d, uint64(total), float64(a.Micros.Load())/1e6, buckets(a, total), wire.Name(wire.Key(key)))
	}
	count := func(name, help string, v int64) {
		out <- prometheus.MustNewConstMetric(desc(name, help), prometheus.CounterValue, float64(v))
	}
	count("requests_unsupported_total", "Requests of an API or version that is not served.", m.Unsupported.Load())
	count("requests_malformed_total", "Requests that could not be read.", m.Malformed.Load())
	count("produce_errors_total", "Partitions of produce requests answered with an error.", m.FailedProduces.Load())
	count("fetch_errors_total", "Partitions of fetch requests answered with an error.", m.FailedFetches.Load())
}

// buckets is the cumulative histogram of an API. Counters are read one after the other, so it is cut at the total read first.
func buckets(a *api.APIMetrics, total int64) map[float64]uint64 {
	out := map[float64]uint64{}
	for atMost, n := range a.Latencies {
		out[atMost.Seconds()] = uint64(min(n, total))
	}
	return out
}

// topicSums are the counters of a topic's partitions on this node.
type topicSums struct {
	partitions                                                       int
	bytesIn, recordsIn, batchesIn, bytesOut, size                    int64
	produces, fetches, failedProduces, failedFetches, offline, under int64
}

func (c collector) partitions(out chan<- prometheus.Metric) {
	sums := map[string]*topicSums{}
	leaders := 0
	for _, r := range c.n.replicas.all() {
		s := sums[r.part.TP().Topic]
		if s == nil {
			s = &topicSums{}
			sums[r.part.TP().Topic] = s
		}
		p, info := r.part.Stats(), r.part.Info()
		s.partitions++
		s.bytesIn += p.BytesIn.Load()
		s.recordsIn += p.RecordsIn.Load()
		s.batchesIn += p.BatchesIn.Load()
		s.bytesOut += p.BytesOut.Load()
		s.produces += p.ProduceRequests.Load()
		s.fetches += p.FetchRequests.Load()
		s.failedProduces += p.FailedProduces.Load()
		s.failedFetches += p.FailedFetches.Load()
		s.size += r.part.Log().Size()
		if info.IsLeader {
			leaders++
			if len(info.ISR) < len(info.Replicas) {
				s.under++
			}
		}
		if info.Offline {
			s.offline++
		}
	}
	out <- prometheus.MustNewConstMetric(desc("leaders", "Partitions this node leads."), prometheus.GaugeValue, float64(leaders))
	for topic, s := range sums {
		for _, m := range []struct {
			name, help string
			kind       prometheus.ValueType
			v          int64
		}{
			{"topic_replicas", "Replicas of a topic on this node.", prometheus.GaugeValue, int64(s.partitions)},
			{"topic_offline_replicas", "Replicas of a topic on this node whose disk failed.", prometheus.GaugeValue, s.offline},
			{"topic_under_replicated", "Partitions led by this node whose ISR lacks replicas.", prometheus.GaugeValue, s.under},
			{"topic_log_bytes", "Size of a topic's logs on this node.", prometheus.GaugeValue, s.size},
			{"topic_bytes_in_total", "Bytes of batches appended by producers.", prometheus.CounterValue, s.bytesIn},
			{"topic_records_in_total", "Records appended by producers.", prometheus.CounterValue, s.recordsIn},
			{"topic_batches_in_total", "Batches appended by producers.", prometheus.CounterValue, s.batchesIn},
			{"topic_bytes_out_total", "Bytes of batches read by consumers.", prometheus.CounterValue, s.bytesOut},
			{"topic_produce_requests_total", "Produce requests for a partition of the topic.", prometheus.CounterValue, s.produces},
			{"topic_fetch_requests_total", "Fetch requests for a partition of the topic.", prometheus.CounterValue, s.fetches},
			{"topic_produce_errors_total", "Produce requests for a partition of the topic that failed.", prometheus.CounterValue, s.failedProduces},
			{"topic_fetch_errors_total", "Fetch requests for a partition of the topic that failed.", prometheus.CounterValue, s.failedFetches},
		} {
			out <- prometheus.MustNewConstMetric(desc(m.name, m.help, "topic"), m.kind, float64(m.v), topic)
		}
	}
}

func (c collector) dirs(out chan<- prometheus.Metric) {
	bytes := desc("log_dir_bytes", "Size of the file system a data directory is on, and what is free.", "dir", "kind")
	online := desc("log_dir_online", "1 while a data directory works.", "dir")
	for _, dir := range c.n.dirs.list {
		ok := 0.0
		if dir.Offline() == nil {
			ok = 1
		}
		out <- prometheus.MustNewConstMetric(online, prometheus.GaugeValue, ok, dir.Path())
		if total, free, err := dir.Usage(); err == nil {
			out <- prometheus.MustNewConstMetric(bytes, prometheus.GaugeValue, float64(total), dir.Path(), "total")
			out <- prometheus.MustNewConstMetric(bytes, prometheus.GaugeValue, float64(free), dir.Path(), "free")
		}
	}
	d := desc("log_events_total", "What the logs report, by kind.", "kind")
	for kind := range c.n.edges.events.counts {
		if v := c.n.edges.events.counts[kind].Load(); v > 0 {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), commitlog.EventKind(kind).String())
		}
	}
}
