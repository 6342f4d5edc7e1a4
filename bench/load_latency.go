package main

import (
	"bufio"
	"encoding/binary"
	"net"
	"time"
)

// latencyLoad sends one small record at a fixed rate and measures until the consumer has it.
type latencyLoad struct {
	Addr       string
	Topic      string
	ValueSize  int
	Acks       int16
	RatePerSec int
	Requests   int
}

// runLatency counts from the intended send time, so that a stalled broker is charged for all it delayed.
func runLatency(l latencyLoad) (loadResult, error) {
	res := loadResult{Requests: l.Requests}
	out, err := net.Dial("tcp", l.Addr)
	if err != nil {
		return res, err
	}
	defer out.Close()
	in, err := net.Dial("tcp", l.Addr)
	if err != nil {
		return res, err
	}
	defer in.Close()

	intended := make([]time.Time, l.Requests)
	begun := time.Now().Add(50 * time.Millisecond)
	gap := time.Second / time.Duration(l.RatePerSec)
	for i := range intended {
		intended[i] = begun.Add(time.Duration(i) * gap)
	}
	fail := make(chan error, 2)
	go func() { fail <- drainAnswers(out, l.Requests) }()
	go func() {
		late, err := paceProduce(out, l, intended)
		res.Hiccup = late
		if err != nil {
			fail <- err
		}
	}()
	got := make(chan error, 1)
	var lat []time.Duration
	go func() {
		var err error
		lat, err = tailTimes(in, l, intended)
		got <- err
	}()
	for {
		select {
		case err := <-fail:
			if err != nil {
				return res, err
			}
		case err := <-got:
			res.Elapsed = time.Since(begun)
			res.latencies(lat)
			return res, err
		}
	}
}

func paceProduce(out net.Conn, l latencyLoad, intended []time.Time) (late time.Duration, err error) {
	batch, _ := recordBatch(0, l.ValueSize, 1)
	f := produceFrame(l.Topic, []int32{0}, [][]byte{batch}, l.Acks)
	defer precisely()()
	for i, at := range intended {
		sleepUntil(at)
		late = max(late, time.Since(at))
		binary.BigEndian.PutUint32(f[8:], uint32(i))
		if _, err := out.Write(f); err != nil {
			return late, err
		}
	}
	return late, nil
}

func drainAnswers(out net.Conn, n int) error {
	in := bufio.NewReader(out)
	buf := make([]byte, 4096)
	for range n {
		body, err := readFrame(in, &buf)
		if err != nil {
			return err
		}
		if err := checkProduce(body); err != nil {
			return err
		}
	}
	return nil
}

// tailTimes long-polls the partition; record i of this run is the i-th record behind the first offset of an empty topic.
func tailTimes(nc net.Conn, l latencyLoad, intended []time.Time) ([]time.Duration, error) {
	f, at := fetchFrame(l.Topic, 0, 1<<20, 500)
	in := bufio.NewReaderSize(nc, 64<<10)
	buf := make([]byte, 2<<20)
	lat := make([]time.Duration, 0, len(intended))
	var offset int64
	for len(lat) < len(intended) {
		binary.BigEndian.PutUint64(f[at:], uint64(offset))
		if _, err := nc.Write(f); err != nil {
			return nil, err
		}
		body, err := readFrame(in, &buf)
		if err != nil {
			return nil, err
		}
		records, err := fetchRecords(body)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		next := nextOffset(records, offset)
		for ; offset < next; offset++ {
			lat = append(lat, now.Sub(intended[len(lat)]))
		}
	}
	return lat, nil
}
