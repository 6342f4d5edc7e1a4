package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// produceLoad is what one produce run sends. Everything is pre-encoded; the load only patches correlation ids.
type produceLoad struct {
	Addr       string
	Topic      string
	Partitions int // of the topic
	PerRequest int // partitions in one request
	Conns      int
	InFlight   int
	BatchBytes int
	ValueSize  int
	Acks       int16
	Requests   int // over all connections
	RatePerSec int // 0: as fast as answers come
	// Leaders are the addresses of the partitions' leaders in a cluster. Each connection then goes to one, and sends to that partition alone.
	Leaders []string
}

// loadResult is printed by the child process as JSON.
type loadResult struct {
	Requests int           `json:"requests"`
	Records  int64         `json:"records"`
	Bytes    int64         `json:"bytes"` // of record batches
	Elapsed  time.Duration `json:"elapsed_ns"`
	P50      time.Duration `json:"p50_ns"`
	P90      time.Duration `json:"p90_ns"`
	P99      time.Duration `json:"p99_ns"`
	Max      time.Duration `json:"max_ns"`
	Hiccup   time.Duration `json:"hiccup_ns"` // longest the load itself was late

	RSSPerConnKB float64 `json:"rss_per_conn_kb,omitempty"`
}

func (r *loadResult) latencies(all []time.Duration) {
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[min(len(all)-1, int(q*float64(len(all))))] }
	r.P50, r.P90, r.P99, r.Max = at(.50), at(.90), at(.99), all[len(all)-1]
}

// runProduce sends l.Requests requests and fails on the first error code: refused records must never count as speed.
func runProduce(l produceLoad) (loadResult, error) {
	batch, records := recordBatch(l.BatchBytes, l.ValueSize, 1)
	var res loadResult
	var mu sync.Mutex
	var all []time.Duration
	errs := make(chan error, l.Conns)
	begun := time.Now()
	for c := range l.Conns {
		n := l.Requests / l.Conns
		go func() {
			lat, err := produceConn(l, batch, c, n)
			mu.Lock()
			all = append(all, lat...)
			mu.Unlock()
			errs <- err
		}()
		res.Requests += n
	}
	for range l.Conns {
		if err := <-errs; err != nil {
			return res, err
		}
	}
	res.Elapsed = time.Since(begun)
	res.Bytes = int64(res.Requests) * int64(l.PerRequest) * int64(len(batch))
	res.Records = int64(res.Requests) * int64(l.PerRequest) * int64(records)
	res.latencies(all)
	return res, nil
}

// target is where a connection goes and what it sends in turn.
func (l *produceLoad) target(batch []byte, conn int) (addr string, frames [][]byte) {
	if n := len(l.Leaders); n > 0 {
		return l.Leaders[conn%n], [][]byte{produceFrame(l.Topic, []int32{int32(conn % n)}, [][]byte{batch}, l.Acks)}
	}
	for first := 0; first < l.Partitions; first += l.PerRequest {
		var parts []int32
		for p := first; p < min(first+l.PerRequest, l.Partitions); p++ {
			parts = append(parts, int32(p))
		}
		frames = append(frames, produceFrame(l.Topic, parts, [][]byte{batch}, l.Acks))
	}
	return l.Addr, frames
}

func produceConn(l produceLoad, batch []byte, conn, n int) ([]time.Duration, error) {
	addr, frames := l.target(batch, conn)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	sent := make(chan time.Time, l.InFlight)
	failed := make(chan error, 1)
	pace := newPace(l)
	go func() {
		for i := range n {
			f := frames[(i+conn)%len(frames)]
			binary.BigEndian.PutUint32(f[8:], uint32(i))
			sent <- pace.next(i)
			if _, err := nc.Write(f); err != nil {
				failed <- err
				return
			}
		}
	}()
	in := bufio.NewReaderSize(nc, 64<<10)
	lat := make([]time.Duration, 0, n)
	buf := make([]byte, 64<<10)
	for i := range n {
		body, err := readFrame(in, &buf)
		if err != nil {
			select {
			case err = <-failed:
			default:
			}
			return nil, fmt.Errorf("answer %d of %d: %w", i, n, err)
		}
		lat = append(lat, time.Since(<-sent))
		if err := checkProduce(body); err != nil {
			return nil, fmt.Errorf("answer %d of %d: %w", i, n, err)
		}
	}
	return lat, nil
}

// pace spreads a connection's requests evenly; without a rate they go as fast as answers come.
type pace struct {
	begun time.Time
	gap   time.Duration
}

func newPace(l produceLoad) pace {
	if l.RatePerSec == 0 {
		return pace{}
	}
	return pace{begun: time.Now(), gap: time.Second * time.Duration(l.Conns) / time.Duration(l.RatePerSec)}
}

// next waits for request i's time and returns it: a late request is charged from when it was meant to go.
func (p pace) next(i int) time.Time {
	if p.gap == 0 {
		return time.Now()
	}
	at := p.begun.Add(time.Duration(i) * p.gap)
	time.Sleep(time.Until(at))
	return at
}

func checkProduce(body []byte) error {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = 9
	// Correlation id and the flexible header's empty tags stand before the body.
	if err := resp.ReadFrom(body[5:]); err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return fmt.Errorf("partition %d: error code %d", p.Partition, p.ErrorCode)
			}
		}
	}
	return nil
}

func readFrame(in *bufio.Reader, buf *[]byte) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n > cap(*buf) {
		*buf = make([]byte, n)
	}
	b := (*buf)[:n]
	_, err := io.ReadFull(in, b)
	return b, err
}
