package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// clientLoad produces through a real client library, with its batching and lingering.
type clientLoad struct {
	Addr       string
	Topic      string
	Clients    int
	ValueSize  int
	Records    int // over all clients
	LingerMs   int
	Idempotent bool // acks=all and a producer id; otherwise acks=1
	MaxPending int  // records in flight per client; the latency of a record begins when it is handed over
}

func runClients(l clientLoad) (loadResult, error) {
	var res loadResult
	opts := []kgo.Opt{kgo.SeedBrokers(l.Addr), kgo.DefaultProduceTopic(l.Topic), kgo.ProducerLinger(time.Duration(l.LingerMs) * time.Millisecond),
		kgo.MaxBufferedRecords(l.MaxPending), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordDeliveryTimeout(time.Minute)}
	if l.Idempotent {
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	} else {
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}
	clients := make([]*kgo.Client, l.Clients)
	for i := range clients {
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			return res, err
		}
		defer cl.Close()
		if err := cl.Ping(context.Background()); err != nil {
			return res, err
		}
		clients[i] = cl
	}
	begun := time.Now()
	lats := make([][]time.Duration, l.Clients)
	errs := make(chan error, l.Clients)
	for i, cl := range clients {
		go func() {
			var err error
			lats[i], err = produceRecords(cl, l, i, l.Records/l.Clients)
			errs <- err
		}()
	}
	for range clients {
		if err := <-errs; err != nil {
			return res, err
		}
	}
	res.Elapsed = time.Since(begun)
	var all []time.Duration
	for _, lat := range lats {
		all = append(all, lat...)
	}
	res.Records = int64(len(all))
	res.Bytes = res.Records * int64(l.ValueSize)
	res.latencies(all)
	return res, nil
}

func produceRecords(cl *kgo.Client, l clientLoad, client, n int) ([]time.Duration, error) {
	value := make([]byte, l.ValueSize)
	copy(value, strconv.Itoa(client))
	var mu sync.Mutex
	var failed error
	lat := make([]time.Duration, 0, n)
	for range n {
		at := time.Now()
		cl.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			lat = append(lat, time.Since(at))
			if err != nil && failed == nil {
				failed = err
			}
		})
	}
	if err := cl.Flush(context.Background()); err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	if failed != nil {
		return nil, fmt.Errorf("client %d: %w", client, failed)
	}
	return lat, nil
}
