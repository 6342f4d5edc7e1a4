package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// soloRow is a row that only Klamm runs, against a limit of its own: beside Kafka it would take an hour and say little. It gets a cluster
// that has just been formed.
type soloRow struct {
	id, name string
	run      func(s *session, c *klammCluster) ([]result, error)
}

func soloRows() []soloRow {
	return []soloRow{
		{"B14", "x3 formed", (*session).formed},
		{"B12", "x3 idle", (*session).idleCluster},
		{"B16", "x3 admin", (*session).adminWork},
		{"B16", "x3 group grows", (*session).groupGrows},
		{"B15", "x3 kill -9 of the leader", (*session).failover},
		{"B15", "x3 SIGTERM of a leader", (*session).handover},
		{"B10", "x3 follower catching up", (*session).catchUp},
	}
}

// runSolo runs them one after the other, each on a cluster of its own.
func (s *session) runSolo(dir string) error {
	for i, r := range soloRows() {
		if !s.wants(r.id, r.name) {
			continue
		}
		c, err := startKlammCluster(s.bin, filepath.Join(dir, fmt.Sprint("solo", i)))
		if err != nil {
			return err
		}
		got, err := r.run(s, c)
		_ = c.close(true)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		for _, res := range got {
			if err := s.raw.Encode(map[string]any{"row": res.Row, "metric": res.Metric, "broker": "klamm", "values": res.Klamm}); err != nil {
				return err
			}
		}
		s.results = append(s.results, got...)
	}
	return nil
}

// limited is a result of Klamm's against a limit.
func limited(row, metric, unit string, limit float64, values ...float64) result {
	return result{Row: row, Metric: metric, Unit: unit, Limit: limit, Klamm: values}
}

// times is how often something is repeated: often enough for a percentile, or for a first look.
func (s *session) times(full, quick int) int {
	if s.quick {
		return quick
	}
	return full
}

// formed is B14 for a cluster: from exec of three empty nodes until each knows all of them.
func (s *session) formed(first *klammCluster) ([]result, error) {
	took := []float64{first.ready.Seconds()}
	for i := range s.times(9, 4) {
		c, err := startKlammCluster(s.bin, filepath.Join(first.dir, fmt.Sprint("again", i)))
		if err != nil {
			return nil, err
		}
		took = append(took, c.ready.Seconds())
		if err := c.close(true); err != nil {
			return nil, err
		}
	}
	return []result{limited("x3 formed and serving, from exec", "median", "s", 1, took...), limited("x3 formed and serving, from exec", "slowest", "s", 0, slices.Max(took))}, nil
}

// idleCluster is B12: what 5,000 partitions of three replicas cost while nobody uses them.
func (s *session) idleCluster(c *klammCluster) ([]result, error) {
	const topics, partitions = 5, 1000
	for i := range topics {
		if _, err := c.topic(fmt.Sprint("idle-", i), partitions, nil); err != nil {
			return nil, err
		}
	}
	time.Sleep(5 * time.Second) // for what creation left to do
	window := time.Duration(s.times(20, 5)) * time.Second
	before := make([]float64, len(c.nodes))
	for i, n := range c.nodes {
		var err error
		if before[i], err = cpuSeconds(n.pid); err != nil {
			return nil, err
		}
	}
	if s.profiles != "" {
		defer c.profile(s.profiles, "x3 idle")()
	}
	time.Sleep(window)
	var cpu, rss []float64
	for i, n := range c.nodes {
		after, err := cpuSeconds(n.pid)
		if err != nil {
			return nil, err
		}
		mb, err := rssMB(n.pid)
		if err != nil {
			return nil, err
		}
		cpu, rss = append(cpu, 100*(after-before[i])/window.Seconds()), append(rss, mb)
	}
	const row = "x3 idle, 5,000 partitions, each broker"
	return []result{limited(row, "CPU", "% of a core", 2, cpu...), limited(row, "RSS", "MB", 120, rss...)}, nil
}

// adminWork is B16 for the metadata.
func (s *session) adminWork(c *klammCluster) ([]result, error) {
	const many = 1000
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	begun := time.Now()
	if err := c.createTopics(ctx, many); err != nil {
		return nil, err
	}
	created := time.Since(begun)
	// Two replicas on three nodes: the move takes one of them, and leadership, to where there is none.
	pair := func(first, second int) [][]int32 {
		out := make([][]int32, many)
		for p := range out {
			ids := c.replicasFrom(p)
			out[p] = []int32{ids[first], ids[second]}
		}
		return out
	}
	if err := c.create(ctx, "moved", pair(0, 1), nil); err != nil {
		return nil, err
	}
	if err := c.awaitFullISR("moved"); err != nil {
		return nil, err
	}
	begun = time.Now()
	if err := c.reassign(ctx, "moved", pair(1, 2)); err != nil {
		return nil, err
	}
	moved := time.Since(begun)
	if err := c.reassign(ctx, "moved", pair(2, 1)); err != nil {
		return nil, err
	}
	begun = time.Now()
	if err := c.electPreferred(ctx, "moved", many); err != nil {
		return nil, err
	}
	elected := time.Since(begun)
	return []result{
		limited("x3 create 1,000 topics", "", "s", 1, created.Seconds()),
		limited("x3 move 1,000 empty replicas", "", "s", 2, moved.Seconds()),
		limited("x3 elect 1,000 preferred leaders", "", "s", 1, elected.Seconds()),
	}, nil
}

// catchUp is what a follower that copies a backlog costs a producer. The follower is outside of the ISR all the time.
func (s *session) catchUp(c *klammCluster) ([]result, error) {
	megabytes := s.times(10_000, 1_000)
	big := map[string]string{"min.insync.replicas": "2", "segment.bytes": "1073741824"}
	if _, err := c.topic("backlog", 2, big); err != nil {
		return nil, err
	}
	if _, err := c.topic("beside", 1, clusterTopic("fsync")); err != nil {
		return nil, err
	}
	if err := c.nodes[2].stop(false); err != nil {
		return nil, err
	}
	leaders, err := c.leaders("backlog")
	if err != nil {
		return nil, err
	}
	fill := produceLoad{Topic: "backlog", Leaders: leaders, Partitions: 2, PerRequest: 1, Conns: 2, InFlight: 5, BatchBytes: 256 << 10, ValueSize: 1000, Acks: 1, Requests: megabytes * 4}
	if _, err := childLoadOn(allCPUs, "produce", fill); err != nil {
		return nil, err
	}
	unix.Sync() // what the backlog left to write is no part of either figure
	if leaders, err = c.leaders("beside"); err != nil {
		return nil, err
	}
	probe := produceLoad{Topic: "beside", Leaders: leaders, Partitions: 1, PerRequest: 1, Conns: 1, InFlight: 100, ValueSize: 1000, Acks: -1, Requests: 1500, RatePerSec: 1000}
	alone, err := childLoadOn(allCPUs, "produce", probe)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := c.restart(2); err != nil {
		return nil, err
	}
	beside, err := childLoadOn(allCPUs, "produce", probe)
	if err != nil {
		return nil, err
	}
	inTime := !c.inSync("backlog")
	if err := c.awaitFullISR("backlog"); err != nil {
		return nil, err
	}
	row := fmt.Sprintf("x3 follower catching up on %d MB", megabytes)
	if !inTime {
		row += " (done before the load was)"
	}
	return []result{
		limited(row, "produce p90 / alone", "times", 1.5, float64(beside.P90)/float64(alone.P90)), limited(row, "p90 alone", "ms", 0, ms(alone.P90)),
		limited(row, "rate", "MB/s", 0, float64(megabytes)/time.Since(begun).Seconds()),
	}, nil
}

// inSync reports whether every partition of a topic has all its replicas in the ISR.
func (b *broker) inSync(topic string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	m, err := b.admin.Metadata(ctx, topic)
	if err != nil || len(m.Topics[topic].Partitions) == 0 {
		return false
	}
	for _, p := range m.Topics[topic].Partitions {
		if len(p.ISR) < len(p.Replicas) || p.Err != nil {
			return false
		}
	}
	return true
}

func (b *broker) awaitFullISR(topics ...string) error {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if !slices.ContainsFunc(topics, func(t string) bool { return !b.inSync(t) }) {
			return nil
		}
	}
	return fmt.Errorf("%s did not come into sync", strings.Join(topics, ", "))
}
