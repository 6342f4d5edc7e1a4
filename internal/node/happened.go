package node

import (
	"context"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/admin"
	"github.com/klamm/klamm/internal/event"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/peer"
	"github.com/klamm/klamm/internal/wire"
)

// keptEvents are the newest events that a node keeps in memory, about 300 bytes each.
const keptEvents = 2000

// tell notes something that this node saw itself.
func (n *Node) tell(kind event.Kind, reason, text string) {
	n.edges.happened.Add(event.Event{Time: n.clock.Now(), Node: n.me, Kind: kind, Reason: reason, Broker: n.me, Partition: -1, Text: text})
}

// collectEvents is what this node has told, or with all others together. Each node tells what it decided, as the active controller, or saw itself; nobody
// is told of it unasked, so asking costs the cluster nothing until somebody does.
func (n *Node) collectEvents(ctx context.Context, q admin.EventQuery) admin.Events {
	out := admin.Events{List: n.edges.happened.Newest(q.Since, q.Limit)}
	if q.Local {
		return out
	}
	req := &wire.EventsRequest{SinceMs: max(0, q.Since.UnixMilli()), Limit: int32(q.Limit)}
	var others []model.BrokerID
	for _, m := range n.quorum.Members() {
		if m.NodeID != n.me {
			others = append(others, m.NodeID)
		}
	}
	var mu sync.Mutex
	n.each(len(others), func(i int) {
		ctx, cancel := context.WithTimeout(ctx, helloTime)
		defer cancel()
		var resp wire.EventsResponse
		err := n.caller(n.links.calls)(ctx, others[i], req, 0, &resp)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			out.Missing = append(out.Missing, admin.Missing{Node: others[i], Err: err})
			return
		}
		out.List = append(out.List, peer.EventsOf(&resp)...)
	})
	return out
}

// happened counts events by kind and reason.
func (c collector) happened(out chan<- prometheus.Metric) {
	d := desc("cluster_events_total", "What this node saw happen to the cluster, or decided as its active controller, by kind and reason.", "kind", "reason")
	for _, n := range c.n.edges.happened.Counts() {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n.N), string(n.Kind), n.Reason)
	}
}

// ailments counts the cluster's partitions that are not as they should be, on the node that leads the metadata quorum: the others would only say the same.
func (c collector) ailments(out chan<- prometheus.Metric) {
	if !c.n.quorum.Leads() {
		return
	}
	img := c.n.image.Load()
	resolve := c.n.resolver.Topics(img)
	a := ail(img, func(topic string) int { return resolve(topic).MinInsyncReplicas })
	gauge := func(name, help string, v int) {
		out <- prometheus.MustNewConstMetric(desc(name, help), prometheus.GaugeValue, float64(v))
	}
	gauge("cluster_partitions", "Partitions of the cluster; this and what follows is said by the active controller.", a.partitions)
	gauge("cluster_offline_partitions", "Partitions without a leader.", a.offline.count)
	gauge("cluster_under_min_isr_partitions", "Partitions that take no acks=all: fewer in sync than min.insync.replicas.", a.underMinISR.count)
	gauge("cluster_under_replicated_partitions", "Partitions with replicas that are not in sync.", a.under.count)
	gauge("cluster_unpreferred_leaders", "Partitions led by another replica than the preferred one.", a.unpreferred.count)
	d := desc("cluster_leaders", "Partitions led by each broker.", "broker")
	for _, b := range img.Brokers() {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(a.leaders[b.ID]), strconv.Itoa(int(b.ID)))
	}
}
