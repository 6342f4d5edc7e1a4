package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// smallRow is B3: 100-byte records of a real client that lingers 5 ms.
func smallRow() row {
	return row{ID: "B3", Name: "100 B records, linger 5 ms, real client", Metrics: []metric{{Unit: "CPU us/1k"}, {Name: "rate", Unit: "records/s"}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			topic, err := b.topic("small", 4, benchTopic())
			if err != nil {
				return nil, err
			}
			res, cpu, err := b.measure("clients", clientLoad{Addr: b.addr, Topic: topic, Clients: 1, ValueSize: 100, Records: 400_000, LingerMs: 5, MaxPending: 50_000})
			if err != nil {
				return nil, err
			}
			raw := map[string]any{"load": res, "cpu_s": cpu}
			return map[string]sample{"": {cpu * 1e9 / float64(res.Records), raw}, "rate": {float64(res.Records) / res.Elapsed.Seconds(), raw}}, nil
		}}
}

// manyRow is B5: fifty idempotent producers with acks=all. Klamm waits for the disk, Kafka does not.
func manyRow() row {
	return row{ID: "B5", Name: "50 idempotent producers, acks=all", Metrics: []metric{{Unit: "CPU s/GB"}, {Name: "p50", Unit: "ms"}, {Name: "p90", Unit: "ms"}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			topic, err := b.topic("many", 12, benchTopic())
			if err != nil {
				return nil, err
			}
			res, cpu, err := b.measure("clients", clientLoad{Addr: b.addr, Topic: topic, Clients: 50, ValueSize: 1000, Records: 100_000, LingerMs: 5, Idempotent: true, MaxPending: 100})
			if err != nil {
				return nil, err
			}
			raw := map[string]any{"load": res, "cpu_s": cpu}
			return map[string]sample{"": {cpu * 1e9 / float64(res.Bytes), raw}, "p50": {ms(res.P50), raw}, "p90": {ms(res.P90), raw}}, nil
		}}
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// coldRow is B10: what a reader of data that is not in memory costs a producer at the tail.
func coldRow() row {
	return row{ID: "B10", Pairs: 1, Name: "produce beside a cold reader", Metrics: []metric{{Name: "p50 alone", Unit: "ms"}, {Name: "p50 beside", Unit: "ms"}, {Name: "p90 beside", Unit: "ms"}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			cold, err := b.filledTopic("cold", 1, 512<<20)
			if err != nil {
				return nil, err
			}
			tail, err := b.topic("cold-tail", 1, benchTopic())
			if err != nil {
				return nil, err
			}
			l := produceLoad{Addr: b.addr, Topic: tail, Partitions: 1, PerRequest: 1, Conns: 1, InFlight: 100, ValueSize: 1000, Acks: 1, Requests: 2000, RatePerSec: 1000}
			alone, _, err := b.measure("produce", l)
			if err != nil {
				return nil, err
			}
			if err := evict(b.dir, cold); err != nil {
				return nil, err
			}
			read := make(chan error, 1)
			go func() {
				_, err := childLoad("fetch", fetchLoad{Addr: b.addr, Topic: cold, Partitions: 1, Conns: 1, MaxBytes: 1 << 20, Bytes: 512 << 20})
				read <- err
			}()
			beside, _, err := b.measure("produce", l)
			if err = errors.Join(err, <-read); err != nil {
				return nil, err
			}
			raw := map[string]any{"alone": alone, "beside": beside}
			return map[string]sample{"p50 alone": {ms(alone.P50), raw}, "p50 beside": {ms(beside.P50), raw}, "p90 beside": {ms(beside.P90), raw}}, nil
		}}
}

// evict takes a topic's log files out of the page cache.
func evict(dir, topic string) error {
	return filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(p, ".log") || !strings.HasPrefix(filepath.Base(filepath.Dir(p)), topic+"-") {
			return err
		}
		f, err := os.OpenFile(p, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
	})
}

// idleRow is B12 on one node: what partitions cost that nobody uses.
func idleRow() row {
	const partitions, window = 1000, 3 * time.Second
	return row{ID: "B12", Pairs: 1, Name: fmt.Sprintf("idle, %d partitions", partitions), Metrics: []metric{{Name: "CPU", Unit: "% of a core"}, {Name: "RSS", Unit: "MB"}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			if _, err := b.topic("idle", partitions, nil); err != nil {
				return nil, err
			}
			before, err := cpuSeconds(b.pid)
			if err != nil {
				return nil, err
			}
			time.Sleep(window)
			after, err := cpuSeconds(b.pid)
			if err != nil {
				return nil, err
			}
			rss, err := rssMB(b.pid)
			raw := map[string]any{"cpu_s": after - before, "rss_mb": rss}
			return map[string]sample{"CPU": {100 * (after - before) / window.Seconds(), raw}, "RSS": {rss, raw}}, err
		}}
}

// connsRow is B13: ten thousand idle connections beside a hundred that work.
func connsRow() row {
	return row{ID: "B13", Name: "10,000 idle + 100 active connections", Pairs: 1, Metrics: []metric{{Name: "RSS", Unit: "KB/conn"}, {Name: "active p50", Unit: "ms"}},
		Run: func(b *broker, _ int) (map[string]sample, error) {
			topic, err := b.topic("conns", 4, benchTopic())
			if err != nil {
				return nil, err
			}
			l := connLoad{Addr: b.addr, Pid: b.pid, Idle: 10_000, Active: produceLoad{Addr: b.addr, Topic: topic, Partitions: 4, PerRequest: 1, Conns: 100, InFlight: 1, ValueSize: 1000, Acks: 1, Requests: 3000, RatePerSec: 1000}}
			res, cpu, err := b.measure("conns", l)
			if err != nil {
				return nil, err
			}
			raw := map[string]any{"load": res, "cpu_s": cpu}
			return map[string]sample{"RSS": {res.RSSPerConnKB, raw}, "active p50": {ms(res.P50), raw}}, nil
		}}
}
