package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// startRows measures Klamm's start with 10,000 partitions that all hold data (B14): from exec until every partition has answered
// ListOffsets, after a clean end and after a kill. Kafka is not run here: forty minutes of it would say what the rows above say.
func (s *session) startRows(dir string) ([]result, error) {
	const topics, partitions = 10, 1000
	b, err := startKlamm(s.bin, dir)
	if err != nil {
		return nil, err
	}
	for i := range topics {
		name := fmt.Sprintf("start-%d", i)
		if _, err := b.topic(name, partitions, nil); err != nil {
			return nil, err
		}
		l := produceLoad{Addr: b.addr, Topic: name, Partitions: partitions, PerRequest: 100, Conns: 1, InFlight: 5, ValueSize: 1000, Acks: 1, Requests: partitions / 100}
		if _, err := childLoad("produce", l); err != nil {
			return nil, err
		}
	}
	clean := result{Row: "start, 10,000 partitions, SIGTERM", Unit: "s", Limit: 0.5}
	killed := result{Row: "start, 10,000 partitions, kill -9", Unit: "s", Limit: 2}
	for i := range 6 {
		res, kill := &clean, i%2 == 1
		if kill {
			res = &killed
		}
		if err := b.close(kill); err != nil {
			return nil, err
		}
		begun := time.Now()
		if b, err = startKlamm(s.bin, dir); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		for i := range topics {
			if err := b.awaitLeaders(ctx, fmt.Sprintf("start-%d", i), partitions); err != nil {
				cancel()
				return nil, err
			}
		}
		cancel()
		took := time.Since(begun).Seconds()
		res.Klamm = append(res.Klamm, took)
		if err := s.raw.Encode(map[string]any{"row": res.Row, "broker": "klamm", "seconds": took, "data": filepath.Base(dir)}); err != nil {
			return nil, err
		}
	}
	return []result{clean, killed}, b.close(false)
}
